from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from demo.nights import ARRIVED, arrival_times, nights


# 02:00 in Shanghai is 18:00 UTC.
@pytest.mark.parametrize(
    ("now", "last"),
    [
        ("2026-11-23T09:00", "2026-11-22T18:00"),
        ("2026-11-22T18:00", "2026-11-22T18:00"),
        ("2026-11-22T17:50", "2026-11-22T18:00"),  # due while the demo plays: taken already
        ("2026-11-22T17:40", "2026-11-21T18:00"),
    ],
)
def test_the_last_night_is_the_one_that_the_scheduler_would_run(now, last):
    backfilled, played = nights(datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert played[-1].end == datetime.fromisoformat(last).replace(tzinfo=UTC)
    every = backfilled + played
    assert [night.name for night in every][::3] == ["backfill 1", "night 1", "night 4"]
    assert all(earlier.end == later.start for earlier, later in pairwise(every))
    assert {night.end - night.start for night in every} == {timedelta(days=1)}


def test_there_may_be_other_nights_and_more_time():
    now = datetime(2026, 11, 22, 17, tzinfo=UTC)
    backfilled, played = nights(now, [5, 6, 7, 8, 9], played=1, length=timedelta(hours=2))
    assert [night.arrived for night in backfilled + played] == [5, 6, 7, 8, 9]
    assert [night.name for night in played] == ["night 1"]
    assert played[-1].end == now + timedelta(hours=1)


def test_each_night_has_seen_what_arrived_until_its_end():
    backfilled, played = nights(datetime(2026, 11, 23, 9, tzinfo=UTC))
    every = backfilled + played
    times = arrival_times(every)
    assert [sum(time < night.end for time in times) for night in every] == list(ARRIVED)
    assert times == sorted(times)
