"""Approval of a candidate's rise to 100 % by a person: the state of another task of the same run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_REFUSED = frozenset({"failed", "upstream_failed", "skipped", "removed"})


def gate_of(task: dict[str, Any], approval_task_id: str) -> Callable[[], str]:
    """Return what tells `open` (the task has succeeded), `refused` (it was skipped or failed) or `waiting`.

    It can be asked in a worker and in a triggerer of Airflow 3.

    :param task: dag_id and run_id of the task that asks.
    """
    if not approval_task_id:
        return lambda: "open"

    def ask() -> str:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        run_id = task["run_id"]
        states = RuntimeTaskInstance.get_task_states(
            dag_id=task["dag_id"], task_ids=[approval_task_id], run_ids=[run_id]
        )
        state = str(states.get(run_id, {}).get(approval_task_id) or "")
        return "open" if state == "success" else "refused" if state in _REFUSED else "waiting"

    return ask
