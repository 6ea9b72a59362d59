"""Virtual time: it passes when somebody sleeps, and at once."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_pai.clock import Clock


class VirtualClock:
    """A clock whose hands are moved by sleeping.

    :param on_sleep: told each span that has passed.
    """

    def __init__(self, now: float = 1_800_000_000.0, on_sleep: Callable[[float], None] = lambda seconds: None) -> None:
        self.now = now
        self._on_sleep = on_sleep

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        assert seconds >= 0
        self.now += seconds
        self._on_sleep(seconds)

    @property
    def clock(self) -> Clock:
        """Return it as whoever waits takes it."""
        return Clock(now=lambda: self.now, monotonic=lambda: self.now, sleep=self.sleep)
