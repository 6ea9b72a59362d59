from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_pai.emulator.errors import InvalidParameterError
from airflow_provider_pai.emulator.queries import MAX_PAGE, choice, fuzzy, page, time_range

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_pages_are_cut_one_after_the_other():
    items = list("abcde")
    assert [page(items, number, 2) for number in (1, 2, 3, 4)] == [["a", "b"], ["c", "d"], ["e"], []]


@pytest.mark.parametrize(("number", "size"), [(0, 10), (-1, 10), (1, 0), (1, MAX_PAGE + 1)])
def test_a_page_out_of_range_is_refused(number, size):
    with pytest.raises(InvalidParameterError, match=r"Page(Number|Size) must be"):
        page([], number, size)


def test_a_name_holds_the_text_whatever_the_case():
    assert fuzzy(None, "digits")
    assert fuzzy("GIT", "digits")
    assert not fuzzy("gits ", "digits")


def test_one_of_a_few_values_is_read_whatever_the_case():
    assert choice({"Order": "ASC"}, "Order", "desc", ("desc", "asc")) == "asc"
    assert choice({}, "Order", "desc", ("desc", "asc")) == "desc"
    with pytest.raises(InvalidParameterError, match="Order must be one of desc, asc, not 'up'"):
        choice({"Order": "up"}, "Order", "desc", ("desc", "asc"))


def test_a_span_ends_now_and_begins_seven_days_before():
    week = timedelta(days=7)
    assert time_range({}, NOON) == (NOON - week, NOON)
    early = datetime(2026, 11, 1, tzinfo=UTC)
    assert time_range({"EndTime": "2026-11-01T00:00:00Z"}, NOON) == (early - week, early)
    assert time_range({"StartTime": "2026-11-01T08:00:00+08:00"}, NOON) == (early, NOON)


@pytest.mark.parametrize("field", ["StartTime", "EndTime"])
def test_what_is_no_time_is_refused(field):
    with pytest.raises(InvalidParameterError, match=f"{field} must be a time such as"):
        time_range({field: "yesterday"}, NOON)
