"""Time of the services, learnt from the dates of their answers: what decides must not hang on a worker's clock."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime

from airflow_provider_pai.clock import Clock

# What names an answer of Alibaba Cloud's: a proxy's own has neither, and a clock of its own.
_MARKS = ("x-acs-request-id", "x-oss-request-id")
# A date has whole seconds, and a server may take it from a second ago.
_COARSE = 2.0

_heard = threading.local()


def hear(headers: Mapping[str, str]) -> None:
    """Keep the date of an answer that this thread has got."""
    if "Date" not in headers or not any(mark in headers for mark in _MARKS):
        return
    with suppress(ValueError):  # one that nobody can read tells nothing
        _heard.date = parsedate_to_datetime(headers["Date"]).timestamp()


class ServiceTime:
    """How far the services' time is ahead of a monotonic clock; so no correction of a worker's clock moves it."""

    def __init__(self) -> None:
        self._ahead: float | None = None

    @property
    def known(self) -> bool:
        """Tell whether one of them has answered."""
        return self._ahead is not None

    def note(self, sent: float, received: float) -> None:
        """Take in the date of the answer that came between two monotonic times, if it had one."""
        date = _heard.__dict__.pop("date", None)
        if date is not None:
            # Of several answers the one that was dated just before it came tells most.
            earliest, latest = date - received, date + _COARSE - sent
            known = earliest if self._ahead is None else self._ahead
            self._ahead = min(max(earliest, known), latest)

    def clock(self, own: Clock) -> Clock:
        """Return a clock that shows the services' time; the worker's own until one of them has answered."""
        return own._replace(now=lambda: own.now() if self._ahead is None else own.monotonic() + self._ahead)


OF_THIS_PROCESS = ServiceTime()
"""By the one monotonic clock that a process has; what one hook has heard is true for all."""
