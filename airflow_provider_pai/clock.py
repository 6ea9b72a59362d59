"""Clock that can be handed to whatever waits or reads the time, so that tests run it in virtual time."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from pendulum import duration


class Clock(NamedTuple):
    """The time and a way to let it pass; all in seconds.

    :param now: Unix time.
    :param monotonic: a count that no correction of the system's time moves, for spans within one process.
    :param sleep: returns after so long.
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def utc(self) -> datetime:
        """Return the time as a datetime in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)


SYSTEM_CLOCK = Clock()


def in_words(seconds: float) -> str:
    """Return a span for people: `3 minutes 20 seconds`."""
    return duration(seconds=round(seconds)).in_words() if seconds >= 1 else f"{seconds:.1f} seconds"
