"""Time that runs thirty times as fast for hooks, drivers and triggers: their minute of retries is two seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

SPEED = 30.0
READ_SECONDS = 1.0
"""Of real time, for which an answer is waited for."""
WINDOW = 60 / SPEED
"""Seconds of real time for which a hook repeats a call."""


@contextmanager
def impatient() -> Iterator[None]:
    """Let hooks that are made meanwhile wait for an answer no longer than `READ_SECONDS`."""
    with (
        patch("airflow_provider_pai.hooks.base._READ_MS", int(1000 * READ_SECONDS)),
        patch("airflow_provider_pai.hooks.oss.calls.CONNECT_SECONDS", READ_SECONDS),
    ):
        yield
