"""Answers of Airflow on what became of a holder of the lease."""

from __future__ import annotations

import pytest

from airflow_provider_pai.identity import TaskName
from airflow_provider_pai.rollouts import holders
from airflow_provider_pai.rollouts.holders import has_ended
from airflow_provider_pai.rollouts.lease import Holder

HOLDER = Holder(key="one/1", name=TaskName("dag", "run", "deploy", -1), deployment="https://airflow")


@pytest.mark.parametrize(
    ("states", "ended"),
    [
        ({"failed"}, True),
        ({"success"}, True),
        ({"running"}, False),
        ({"deferred"}, False),
        ({"up_for_retry"}, False),
        ({""}, False),
        ({"failed", "running"}, False),
        (set(), False),
    ],
)
def test_only_a_task_that_has_ended_has(monkeypatch, states, ended):
    for ask in ("_by_api", "_in_database"):
        monkeypatch.setattr(holders, ask, lambda holder: states)
    assert has_ended(HOLDER) is ended


def test_what_airflow_does_not_say_is_not_known(monkeypatch):
    for ask in ("_by_api", "_in_database"):
        monkeypatch.setattr(holders, ask, lambda holder: 1 / 0)
    assert has_ended(HOLDER) is False
