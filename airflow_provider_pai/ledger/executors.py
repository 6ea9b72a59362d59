"""Executors of this Airflow, and whether a ledger in a file is that of all tasks."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import conf

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

# Executors whose tasks run on the scheduler's machine (`is_local` of their classes; DebugExecutor: in one process).
_LOCAL = frozenset({"LocalExecutor", "SequentialExecutor", "DebugExecutor"})

# In a pod or container of its own a task may be told another executor than its scheduler has: Airflow's Helm chart
# writes LocalExecutor into the pod's environment (pod-template-file.kubernetes-helm-yaml). The executors set these.
_ELSEWHERE = {
    "AIRFLOW_IS_K8S_EXECUTOR_POD": "KubernetesExecutor",
    "AIRFLOW_IS_EXECUTOR_CONTAINER": "an executor of containers",
}


def executors() -> list[str]:
    """Return the class names of Airflow's executors; each may have a team, an alias and a path."""
    given = conf.get("core", "executor", fallback="LocalExecutor").replace(";", ",").split(",")
    return [re.split(r"[=:.]", one.strip())[-1] for one in given if one.strip()]


def remote_executors() -> list[str]:
    """Return the executors that may run tasks on other machines than the scheduler's."""
    marked = [name for variable, name in _ELSEWHERE.items() if os.environ.get(variable)]
    return list(dict.fromkeys([name for name in executors() if name not in _LOCAL] + marked))


def one_of_many(database: DbApiHook) -> str:
    """Return why a ledger's database may be one of many; empty: all tasks have the same."""
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    remote = remote_executors()
    if not remote or not isinstance(database, SqliteHook):
        return ""
    return f"under {', '.join(remote)} each worker machine writes an SQLite file of its own"
