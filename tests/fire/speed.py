"""Time that runs thirty times as fast for hooks, drivers and triggers: their minute of retries is two seconds."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from airflow_provider_pai.clock import Clock
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.service_time import ServiceTime
from tests.task import fire as fire_in

SPEED = 30.0
READ_SECONDS = 1.0
"""Of real time, for which an answer is waited for."""
WINDOW = 60 / SPEED
"""Seconds of real time for which a hook repeats a call."""


def shortened(seconds: float) -> float:
    """Return how long a pause is, of real time; short ones are left, since services have their own time."""
    return min(seconds, max(0.03, seconds / SPEED))


# What is compared with the services' times is not to run away from them.
CLOCK = Clock(
    now=time.time, monotonic=lambda: SPEED * time.monotonic(), sleep=lambda seconds: time.sleep(shortened(seconds))
)


class _Selector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> Any:
        return super().select(None if timeout is None else shortened(timeout))


class Loop(asyncio.SelectorEventLoop):
    """A triggerer's event loop in that time."""

    def __init__(self) -> None:
        super().__init__(_Selector())

    def time(self) -> float:
        return SPEED * super().time()


def fire(trigger: Any) -> Any:
    """Run a trigger in a loop whose time runs fast."""
    return fire_in(trigger, Loop)


@contextmanager
def fast() -> Iterator[None]:
    """Let time run fast for whatever is called meanwhile."""
    with (
        patch("tests.task.fire", fire),
        patch.object(PaiHook, "clock", CLOCK),
        # The services' time goes on by a monotonic clock, of which this one is none.
        patch.object(PaiHook, "service_clock", CLOCK),
        patch.object(PaiHook, "_service_time", ServiceTime()),
    ):
        yield


@contextmanager
def impatient() -> Iterator[None]:
    """Let hooks that are made meanwhile wait for an answer no longer than `READ_SECONDS`."""
    with (
        patch("airflow_provider_pai.hooks.base._READ_MS", int(1000 * READ_SECONDS)),
        patch("airflow_provider_pai.hooks.oss.calls.CONNECT_SECONDS", READ_SECONDS),
    ):
        yield
