"""Lists of the last 90 days, in spans as long as the service takes them: nothing lost, nothing twice."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.exceptions import PaiApiError, PaiPermissionError
from airflow_provider_pai.hooks.dlc.spans import newest_first
from airflow_provider_pai.versions import utc_text

NOW = datetime(2026, 11, 28, 12, 0, 0, 700_000, tzinfo=UTC)
names = (f"account {number}" for number in range(10_000))


class Service:
    """A list that refuses long spans; its clock is a little ahead."""

    def __init__(self, days, ages=(), error=PaiApiError):
        self.days, self.error, self.asked = days, error, []
        self.made = sorted(((NOW - age, f"dlc{number}") for number, age in enumerate(ages)), reverse=True)
        connection = SimpleNamespace(cache_key=next(names))
        clock = SimpleNamespace(utc=lambda: NOW)
        self.hook = SimpleNamespace(
            connection=connection, clock=clock, service_clock=clock, log=logging.getLogger("dlc")
        )

    def listed(self, start, end):
        first, last = datetime.fromisoformat(start), datetime.fromisoformat(end) if end else NOW + timedelta(seconds=9)
        self.asked.append((start, end))
        if self.days and last - first > timedelta(days=self.days):
            raise self.error("dlc", "ListJobs", "too long", "InvalidParameter", 400)
        yield from ({"JobId": job_id} for made, job_id in self.made if first <= made <= last)

    def all(self):
        return [item["JobId"] for item in newest_first(self.hook, self.listed, "JobId")]


AGES = st.lists(st.timedeltas(timedelta(0), timedelta(days=89, hours=23)), max_size=9)
EDGES = [timedelta(days=days, hours=-1) * count for days in (7, 30) for count in (1, 2)]


@pytest.mark.parametrize("days", [0, 30, 7])
@given(AGES)
def test_every_item_comes_once_the_newest_first(days, ages):
    service = Service(days, [*ages, *EDGES])
    assert service.all() == [job_id for _, job_id in service.made]


def test_where_any_time_is_taken_one_call_asks_for_all():
    service = Service(0)
    service.all()
    assert service.asked == [(utc_text(NOW - timedelta(days=90)), None)]


@pytest.mark.parametrize(("days", "spans"), [(30, 4), (7, 13)])
def test_what_was_taken_is_remembered_for_the_connection(days, spans):
    service = Service(days)
    service.all()
    service.asked.clear()
    service.all()
    assert len(service.asked) == spans


def test_an_earlier_span_is_asked_for_only_when_the_list_is_read_on():
    service = Service(7, [timedelta(days=1), timedelta(days=60)])
    assert next(newest_first(service.hook, service.listed, "JobId")) == {"JobId": "dlc0"}
    assert len(service.asked) == 3


@pytest.mark.parametrize(("error", "calls"), [(PaiApiError, 3), (PaiPermissionError, 1)])
def test_what_is_refused_for_another_reason_is_an_error(error, calls):
    service = Service(1, error=error)
    with pytest.raises(error):
        service.all()
    assert len(service.asked) == calls
