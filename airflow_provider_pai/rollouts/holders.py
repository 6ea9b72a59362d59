"""Holders of leases that are gone: what Airflow says of the task of one."""

from __future__ import annotations

import logging

from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_pai.rollouts.lease import Holder

_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
_log = logging.getLogger(__name__)


def has_ended(holder: Holder) -> bool:
    """Tell whether Airflow says that nobody goes on with a holder's task; False where it can't be known.

    It can be asked in a worker, and in a triggerer of Airflow 3.
    """
    try:
        states = (_by_api if AIRFLOW_V_3_0_PLUS else _in_database)(holder)
    except Exception as error:  # noqa: BLE001 - of Airflow's API or its database: then the lease ends by itself
        _log.debug("Airflow does not say what became of %s: %s", holder, error)
        return False
    return bool(states) and states <= _ENDED


def _by_api(holder: Holder) -> set[str]:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    name = holder.name
    states = RuntimeTaskInstance.get_task_states(
        dag_id=name.dag_id,
        task_ids=[name.task_id],
        run_ids=[name.run_id],
        map_index=name.map_index if name.map_index >= 0 else None,
    )
    return {str(state or "") for state in states.get(name.run_id, {}).values()}


def _in_database(holder: Holder) -> set[str]:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    key = [getattr(TaskInstance, field) == value for field, value in holder.name._asdict().items()]
    with create_session() as session:
        return {str(state or "") for state in session.scalars(select(TaskInstance.state).where(*key))}
