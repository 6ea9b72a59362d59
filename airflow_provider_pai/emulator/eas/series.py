"""Requests of one service, counted second by second for the last hour."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

KEPT_SECONDS = 3600
# Latencies are kept in bins that grow by a twelfth of an octave: a percentile is at most 6 % off.
_BINS_PER_OCTAVE = 12


@dataclass
class Counts:
    """Requests of one second, or of several added up; latencies in microseconds."""

    requests: int = 0
    classes: Counter[int] = field(default_factory=Counter)
    """Requests by the first digit of their status."""
    latency_sum: float = 0.0
    bins: Counter[int] = field(default_factory=Counter)

    def add(self, status: int, latency: float) -> None:
        """Count one request."""
        self.requests += 1
        self.classes[status // 100] += 1
        self.latency_sum += latency
        self.bins[round(math.log2(max(latency, 1.0)) * _BINS_PER_OCTAVE)] += 1

    def merge(self, other: Counts) -> None:
        """Add other counts."""
        self.requests += other.requests
        self.classes.update(other.classes)
        self.latency_sum += other.latency_sum
        self.bins.update(other.bins)

    def percentile(self, share: float) -> float:
        """Return the latency that this share (0 to 1) of the requests did not exceed."""
        rank = math.ceil(share * self.requests)
        for bin_, count in sorted(self.bins.items()):
            rank -= count
            if rank <= 0:
                return float(2 ** (bin_ / _BINS_PER_OCTAVE))
        return 0.0


class Series:
    """Counts of each second; memory is bounded by the hour.

    :param now: seconds since 1970.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.since = int(now())
        self._seconds: OrderedDict[int, Counts] = OrderedDict()

    def record(self, status: int, seconds: float) -> None:
        """Count one finished request."""
        second = int(self.now())
        counts = self._seconds.get(second)
        if counts is None:
            counts = self._seconds[second] = Counts()
            while next(iter(self._seconds)) <= second - KEPT_SECONDS:
                self._seconds.popitem(last=False)
        counts.add(status, seconds * 1e6)

    def window(self, start: int, length: int) -> Counts:
        """Add up the seconds from `start` on."""
        total = Counts()
        for second in range(start, start + length):
            if counts := self._seconds.get(second):
                total.merge(counts)
        return total
