"""Time limit of a job or an instance: what the service itself ends it by, where no process of Airflow's is left."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from airflow_provider_pai.clock import in_words

MARGIN = timedelta(minutes=10)
"""What the service waits longer than Airflow: whoever is alive ends the work himself, and tells why."""


class TimeLimit(NamedTuple):
    """How long the service lets the work run.

    :param source: what has named it.
    """

    seconds: float
    source: str

    @staticmethod
    def of(given: float | None, execution_timeout: timedelta | None, of_connection: float | None) -> TimeLimit:
        """Return the limit that counts: the operator's, else what Airflow's time-out asks for, else the connection's.

        :param given: `max_running_time` of the operator, in seconds.
        :param of_connection: `max_running_time` of the connection, in seconds.
        """
        if given is not None:
            return TimeLimit(given, "max_running_time")
        if execution_timeout is not None:
            return TimeLimit((execution_timeout + MARGIN).total_seconds(), "execution_timeout and 10 minutes")
        if of_connection is not None:
            return TimeLimit(of_connection, "max_running_time of the connection")
        return FALLBACK

    def __str__(self) -> str:
        """Return it in words."""
        return f"{in_words(self.seconds)} ({self.source})"


FALLBACK = TimeLimit(timedelta(days=7).total_seconds(), "neither max_running_time nor execution_timeout is set")
"""Limit where nobody has named one."""
