"""Nights of the demo, and the data that has arrived by each of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Shanghai")
HOUR = 2

# Samples that had arrived by the end of each night's data interval.
ARRIVED = (700, 800, 900, 1000, 1200, 1397)

# The demo is over before this has passed: no new nightly run becomes due while it plays.
_LENGTH = timedelta(minutes=15)


@dataclass(frozen=True)
class Night:
    """One data interval of the DAG."""

    name: str
    start: datetime
    end: datetime
    arrived: int


def nights(now: datetime) -> tuple[list[Night], list[Night]]:
    """Return the three nights of a backfill and the three nights after them, which end with the latest.

    The latest is the one that the scheduler would run by itself on un-pausing: its run exists by then, so that
    the scheduler finds it and makes none.
    """
    last = (now + _LENGTH).astimezone(ZONE).replace(hour=HOUR, minute=0, second=0, microsecond=0)
    if last > now + _LENGTH:
        last -= timedelta(days=1)
    ends = [last - timedelta(days=days) for days in range(len(ARRIVED), -1, -1)]
    half = len(ARRIVED) // 2
    names = [f"backfill {n}" for n in range(1, half + 1)] + [f"night {n}" for n in range(1, half + 1)]
    every = [
        Night(name, start, end, arrived)
        for name, (start, end), arrived in zip(names, pairwise(ends), ARRIVED, strict=True)
    ]
    return every[:half], every[half:]


def arrival_times(every: list[Night]) -> list[datetime]:
    """Return when each training sample arrived: the first night's long before, the others' during their interval."""
    times: list[datetime] = []
    for number, night in enumerate(every):
        count = night.arrived - len(times)
        start = night.start - timedelta(days=30) if number == 0 else night.start
        times += [start + (night.end - start) * (place + 0.5) / count for place in range(count)]
    return times
