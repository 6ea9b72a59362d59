"""Parallel work: one function on many items, a few threads at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

FAST = 100e6
"""Bytes per second of one connection from which on further ones cost more CPU than they bring."""

A = TypeVar("A")
B = TypeVar("B")


def fitting(threads: int, size: int, seconds: float, few: int) -> int:
    """Return how many threads a line is worth: a slow one all of them, a fast one a few.

    :param size: bytes that one connection moved in so many seconds.
    """
    return min(threads, few) if size >= FAST * seconds else threads


def in_parallel(function: Callable[[A], B], items: Iterable[A], threads: int) -> Iterator[B]:
    """Yield the results as they come; the first error ends it, and what has not begun is not done.

    Items are taken as threads get free: a million of them take no more room than a hundred.
    """
    running: set[Future[B]] = set()
    with ThreadPoolExecutor(threads, thread_name_prefix="pai-oss") as pool:
        try:
            for item in items:
                running.add(pool.submit(function, item))
                if len(running) >= 2 * threads:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (each.result() for each in done)
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (each.result() for each in done)
        finally:
            for each in running:
                each.cancel()
