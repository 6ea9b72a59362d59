from datetime import UTC, datetime

import pytest

from airflow_provider_pai.clock import SYSTEM_CLOCK, Clock, in_words


def test_the_systems_clock_goes_on_by_what_is_slept():
    before = SYSTEM_CLOCK.monotonic(), SYSTEM_CLOCK.now()
    SYSTEM_CLOCK.sleep(0.01)
    assert SYSTEM_CLOCK.monotonic() - before[0] >= 0.01
    assert SYSTEM_CLOCK.now() >= before[1]


def test_a_clocks_time_as_a_datetime_is_its_now_in_utc():
    assert Clock(now=lambda: 1_795_284_000.5).utc() == datetime(2026, 11, 21, 18, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 seconds"),
        (3.21, "3 seconds"),
        (60, "1 minute"),
        (200.4, "3 minutes 20 seconds"),
        (90_000, "1 day 1 hour"),
    ],
)
def test_a_span_in_words(seconds, words):
    assert in_words(seconds) == words
