"""Nights of the demo, and the data that has arrived by each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Shanghai")
HOUR = 2

# Samples that had arrived by the end of each night's data interval.
ARRIVED = (700, 800, 900, 1000, 1200, 1200, 1397)


@dataclass(frozen=True)
class Night:
    """One data interval of the DAG."""

    name: str
    start: datetime
    end: datetime
    arrived: int


def nights(
    now: datetime,
    arrived: Sequence[int] = ARRIVED,
    *,
    played: int = 4,
    length: timedelta = timedelta(minutes=15),
) -> tuple[list[Night], list[Night]]:
    """Return the nights of a backfill and those that are played after them, which end with the latest.

    The latest is the one that the scheduler would run by itself on un-pausing: its run exists by then, so that
    the scheduler finds it and makes none.

    :param length: all is over before this has passed: no new nightly run becomes due meanwhile.
    """
    last = (now + length).astimezone(ZONE).replace(hour=HOUR, minute=0, second=0, microsecond=0)
    if last > now + length:
        last -= timedelta(days=1)
    ends = [last - timedelta(days=days) for days in range(len(arrived), -1, -1)]
    backfilled = len(arrived) - played
    names = [f"backfill {n + 1}" for n in range(backfilled)] + [f"night {n + 1}" for n in range(played)]
    every = [
        Night(name, start, end, count) for name, (start, end), count in zip(names, pairwise(ends), arrived, strict=True)
    ]
    return every[:backfilled], every[backfilled:]


def arrival_times(every: list[Night]) -> list[datetime]:
    """Return when each training sample arrived: the first night's long before, the others' during their interval."""
    times: list[datetime] = []
    for number, night in enumerate(every):
        count = night.arrived - len(times)
        start = night.start - timedelta(days=30) if number == 0 else night.start
        times += [start + (night.end - start) * (place + 0.5) / count for place in range(count)]
    return times
