from __future__ import annotations

import pytest

from airflow_provider_pai.emulator.eas.series import KEPT_SECONDS, Counts, Series


class Now:
    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self):
        return self.seconds


def test_a_window_adds_up_the_seconds_from_its_start_on():
    now = Now(1000.0)
    series = Series(now)
    for second, status in [(1000, 200), (1000, 503), (1001, 404), (1003, 200)]:
        now.seconds = second + 0.9
        series.record(status, 0.1)
    assert series.since == 1000
    window = series.window(1000, 3)
    assert (window.requests, dict(window.classes)) == (3, {2: 1, 5: 1, 4: 1})
    assert series.window(1001, 2).requests == 1
    assert series.window(2000, 60) == Counts()


def test_an_hour_is_kept():
    now = Now(0.0)
    series = Series(now)
    for second in range(KEPT_SECONDS + 10):
        now.seconds = float(second)
        series.record(200, 0.001)
    assert series.window(0, KEPT_SECONDS + 10).requests == KEPT_SECONDS


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.99, 1.0])
def test_a_percentile_is_at_most_6_percent_off(share):
    counts = Counts()
    for latency in range(1, 1001):
        counts.add(200, latency * 100.0)
    assert counts.percentile(share) == pytest.approx(share * 100_000, rel=0.06)


def test_no_request_has_no_latency():
    assert Counts().percentile(0.5) == 0.0
