"""Capture of a task's log while it runs in this process, as any Airflow writes it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

# What `dag.test` says of itself.
_ITS_OWN = "[DAG TEST]"


@contextmanager
def captured(lines: list[str]) -> Iterator[None]:
    """Add what is logged meanwhile to the lines."""

    def add(level: str, text: str) -> None:
        if not text.startswith(_ITS_OWN):
            lines.append(f"{level.upper()} {text}")

    handler = _Handler(add)
    loggers = [logging.getLogger(), *(one for one in [logging.getLogger("airflow.task")] if not one.propagate)]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        with _structlog(add):
            yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


class _Handler(logging.Handler):
    def __init__(self, add: Any) -> None:
        super().__init__(logging.INFO)
        self._add = add

    def emit(self, record: logging.LogRecord) -> None:
        self._add(record.levelname, record.getMessage())


@contextmanager
def _structlog(add: Any) -> Iterator[None]:
    """Listen to structlog, by which Airflow 3 logs; 2.11 may not have it."""
    try:
        import structlog
    except ImportError:
        yield
        return
    processors = structlog.get_config()["processors"]

    def listen(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        add(event.get("level", method), str(event.get("event", "")))
        return event

    # The last one makes a line of the event; before it, secrets are masked.
    processors.insert(len(processors) - 1, listen)
    try:
        yield
    finally:
        processors.remove(listen)
