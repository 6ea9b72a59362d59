"""Time of the services: what their answers' dates tell, whatever a worker's clock shows."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.clock import SYSTEM_CLOCK, Clock
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.service_time import ServiceTime, hear

NOW = 1_800_000_000
HOUR = 3600.0


def answer(time_: ServiceTime, date: float, sent: float, received: float, mark: str = "x-acs-request-id") -> None:
    hear({"Date": format_datetime(datetime.fromtimestamp(int(date), UTC), usegmt=True), mark: "1"})
    time_.note(sent, received)


def shown(time_: ServiceTime, monotonic: float) -> float:
    return time_.clock(Clock(now=lambda: 5.0, monotonic=lambda: monotonic)).now()


def test_before_an_answer_it_is_the_worker_s_own():
    assert shown(ServiceTime(), 100) == 5.0


@pytest.mark.parametrize(
    "headers",
    [{}, {"Date": "Fri, 15 Jan 2027 08:00:00 GMT"}, {"x-acs-request-id": "1"}, {"Date": ""}],
)
def test_what_no_service_has_dated_tells_nothing(headers):
    one = ServiceTime()
    hear(headers)
    one.note(0, 1)
    assert shown(one, 100) == 5.0


def test_it_goes_on_by_the_monotonic_clock_alone():
    one = ServiceTime()
    answer(one, NOW, 10.0, 10.0)
    assert [shown(one, 10.0), shown(one, 70.5)] == [NOW, NOW + 60.5]


def test_a_slow_answer_moves_it_back_no_more_than_it_must():
    one = ServiceTime()
    answer(one, NOW, 10.0, 10.1)
    answer(one, NOW + 1, 10.2, 40.0)
    assert shown(one, 40.0) == pytest.approx(NOW + 29.9)


def test_services_whose_clock_is_set_back_are_followed():
    one = ServiceTime()
    answer(one, NOW, 10.0, 10.1)
    answer(one, NOW - HOUR, 11.0, 11.1)
    assert shown(one, 11.1) == pytest.approx(NOW - HOUR, abs=2.2)


@given(
    st.lists(st.tuples(st.floats(0.0, 9.0), st.floats(0.0, 3.0), st.floats(0.0, 1.0)), min_size=1, max_size=30),
    st.floats(-1e6, 1e6),
)
def test_it_is_never_ahead_and_hardly_behind(calls, offset):
    """Each call begins some time after the last, takes some time, and is dated at some moment of it."""
    one, at, slowest = ServiceTime(), 0.0, 9.0
    for pause, length, part in calls:
        sent = at + pause
        at = sent + length
        answer(one, NOW + sent + length * part, sent + offset, at + offset)
        slowest = min(slowest, length)
    assert NOW + at - slowest - 1.0 <= shown(one, at + offset) + 1e-3
    assert shown(one, at + offset) <= NOW + at + 1e-3


@pytest.mark.parametrize("skew", [-HOUR, HOUR])
@pytest.mark.parametrize(
    ("hook_class", "ask"),
    [(EasHook, EasHook.ping), (DlcHook, DlcHook.ping), (OssHook, OssHook.ping)],
)
def test_every_hook_learns_it_from_what_it_asks(connection, hook_class, ask, skew):
    hook = hook_class()
    # With a monotonic clock of its own it has heard of nobody else.
    hook.clock = SYSTEM_CLOCK._replace(now=lambda: time.time() + skew, monotonic=lambda: time.monotonic() + 7)
    ask(hook)
    assert hook.service_clock.now() == pytest.approx(time.time(), abs=5)
    deadline = (hook.clock.utc() + timedelta(seconds=60)).isoformat()
    left = datetime.fromisoformat(hook.in_service_time(deadline)) - datetime.now(UTC)
    assert left.total_seconds() == pytest.approx(60, abs=5)
    assert hook.in_service_time(None) is None
