"""A person's answer is the state of another task of the run."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_1_PLUS

from airflow_provider_pai.rollouts.approval import gate_of

TASK = {"dag_id": "train", "run_id": "r1", "task_id": "deploy"}


def test_nobody_is_asked():
    assert gate_of(TASK, "")() == "open"


@pytest.mark.skipif(not AIRFLOW_V_3_1_PLUS, reason="nobody can be asked there")
@pytest.mark.parametrize(
    ("state", "gate"),
    [
        ("success", "open"),
        ("failed", "refused"),
        ("skipped", "refused"),
        ("upstream_failed", "refused"),
        ("removed", "refused"),
        ("deferred", "waiting"),
        (None, "waiting"),
    ],
)
def test_the_state_of_the_task_that_asks_a_person(monkeypatch, state, gate):
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    asked = []

    def states(**query):
        asked.append(query)
        return {"r1": {"ask": state}}

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", states)
    assert gate_of(TASK, "ask")() == gate
    assert asked == [{"dag_id": "train", "task_ids": ["ask"], "run_ids": ["r1"]}]


@pytest.mark.skipif(not AIRFLOW_V_3_1_PLUS, reason="nobody can be asked there")
def test_a_task_that_is_not_there_yet_is_waited_for(monkeypatch):
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **query: {})
    assert gate_of(TASK, "ask")() == "waiting"
