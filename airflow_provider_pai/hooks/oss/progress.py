"""Progress of a long transfer in the task's log."""

from __future__ import annotations

import threading
from typing import Any

from airflow_provider_pai.clock import SYSTEM_CLOCK, Clock

INTERVAL = 10.0
"""Seconds between two lines; what is done sooner has none."""


class TransferProgress:
    """Counts bytes from many threads and tells percent, MB/s and the time that is left.

    :param total: bytes; 0: not known.
    """

    def __init__(
        self, log: Any, what: str, total: int, interval: float = INTERVAL, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._log = log
        self._what = what
        self._total = total
        self._interval = interval
        self._done = 0
        self._monotonic = clock.monotonic
        self._begun = self._told = self._monotonic()
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """Count bytes that were moved."""
        with self._lock:
            self._done += size
            now = self._monotonic()
            if now - self._told < self._interval:
                return
            self._told = now
            self._tell(self._done / (now - self._begun))

    def expect(self, size: int) -> None:
        """Count bytes that are to be moved."""
        with self._lock:
            self._total += size

    def _tell(self, rate: float) -> None:
        done, total = self._done, self._total
        if not total or not rate:
            self._log.info("%s: %.1f MB, %.1f MB/s", self._what, done / 1e6, rate / 1e6)
            return
        self._log.info(
            "%s: %.0f %% of %.1f MB, %.1f MB/s, %.0f s left",
            self._what,
            100 * done / total,
            total / 1e6,
            rate / 1e6,
            max(0, total - done) / rate,
        )
