from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from airflow_provider_pai.triggers import oss_quiet
from airflow_provider_pai.triggers.oss_quiet import Quiet
from airflow_provider_pai.uri import OssUri

NOW = datetime(2026, 11, 21, 18, tzinfo=UTC)


@pytest.fixture
def seconds(monkeypatch):
    """The process's own clock, in a list of one."""
    now = [1000.0]
    monkeypatch.setattr(oss_quiet.time, "monotonic", lambda: now[0])
    return now


def info(key, age, etag="e"):
    return SimpleNamespace(uri=OssUri("b", key), size=1, etag=etag, last_modified=NOW - timedelta(seconds=age))


@pytest.mark.parametrize(
    ("ages", "why"),
    [
        ([60, 90], ""),
        ([59, 90], "the last change is 59 of 60 s ago"),
        ([-3], "the last change is 0 of 60 s ago"),
        ([90], "1 objects of at least 2"),
    ],
)
def test_the_objects_own_times_tell_a_process_that_has_just_begun_to_look(ages, why):
    infos = [info(str(number), age) for number, age in enumerate(ages)]
    assert Quiet(60, least=1 if len(ages) == 1 and ages[0] < 0 else 2).restless(infos, NOW) == why


def test_nothing_is_at_rest_at_once_where_nothing_is_asked_for():
    assert Quiet(60, least=0).restless([], NOW) == ""


def test_what_was_deleted_shows_to_one_that_has_looked_before(seconds):
    quiet = Quiet(60, least=1)
    old = [info("a", 900), info("b", 900)]
    assert quiet.restless(old, NOW) == ""
    assert quiet.restless(old[:1], NOW) == "the last change is 0 of 60 s ago"
    seconds[0] += 59
    assert quiet.restless(old[:1], NOW) == "the last change is 59 of 60 s ago"
    seconds[0] += 1
    assert quiet.restless(old[:1], NOW) == ""


def test_what_was_replaced_by_as_many_bytes_is_a_change(seconds):
    quiet = Quiet(60, least=1)
    quiet.restless([info("a", 900)], NOW)
    assert quiet.restless([info("a", 900, etag="other")], NOW)
