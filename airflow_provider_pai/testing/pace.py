"""Pace of people who ask a service: threads that take turns, so many a second, until a `with` ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Self


class Pace:
    """Threads that run for the length of a `with`, and what each of them waits for between two requests.

    :param ask_on: what each thread runs; it asks once a turn.
    :param rate: turns a second, of all threads together.
    """

    def __init__(self, ask_on: Callable[[], None], rate: float, threads: int) -> None:
        self._pause = threads / rate
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=ask_on, name=f"people-{number}", daemon=True) for number in range(threads)
        ]

    def __enter__(self) -> Self:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; what was asked is answered."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def is_over_after(self, seconds: float) -> bool:
        """Wait; tell whether the `with` has ended meanwhile."""
        return self._stopped.wait(seconds)

    def turns(self) -> Iterator[None]:
        """Yield at each turn of a thread; after a pause of the machine at the same rate as before."""
        due = time.monotonic()
        while not self.is_over_after(max(0.0, due - time.monotonic())):
            due = max(due, time.monotonic() - self._pause) + self._pause
            yield
