"""Time limits: who has named the one that counts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_pai.operators.workload.limits import FALLBACK, TimeLimit


@pytest.mark.parametrize(
    ("given", "execution_timeout", "of_connection", "seconds", "source"),
    [
        (3600.0, timedelta(days=1), 60.0, 3600, "max_running_time"),
        (None, timedelta(hours=1), 60.0, 4200, "execution_timeout and 10 minutes"),
        (None, None, 60.0, 60, "max_running_time of the connection"),
        (None, None, None, 604_800, "neither max_running_time nor execution_timeout is set"),
    ],
)
def test_whoever_stands_nearest_counts(given, execution_timeout, of_connection, seconds, source):
    assert TimeLimit.of(given, execution_timeout, of_connection) == (seconds, source)


def test_a_limit_in_words():
    assert str(FALLBACK) == "1 week (neither max_running_time nor execution_timeout is set)"
