"""The deployment: PostgreSQL, Redis, CeleryExecutor, and two each of the parts that may be more than one."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any, NamedTuple

import psycopg2

from airflow_provider_pai.testing.airflow_api import AirflowApi
from airflow_provider_pai.testing.killing import replace_killed
from airflow_provider_pai.testing.stack import HOST, Stack
from demo import ROOT
from tests import servers

FOLDER = ROOT / "build" / "distributed"
LEDGER = "pai_ledger"
STATE = "oss://pai-state/airflow"

PARTS = {
    "api-server": "api-server",
    "dag-processor": "dag-processor",
    **{f"{part}-{number}": part for part in ("scheduler", "triggerer", "worker") for number in (1, 2)},
}

# Of each kind one dies, when this share of the sweep is done.
KILLS = {"worker": 0.1, "triggerer": 0.35, "scheduler": 0.6}


class Kill(NamedTuple):
    """A part that was killed.

    :param held: tasks that ran in it, or waits.
    """

    part: str
    held: int


def make(say, dags) -> Stack:
    """Return the stack, which is not started yet."""
    return Stack(
        say,
        folder=FOLDER / "stack",
        dags=dags,
        parts=PARTS,
        apart=True,
        extra={"ledger_conn_id": LEDGER, "state_uri": STATE, "deployment": "distributed"},
        patience=600,
    )


def start_servers(stack: Stack) -> None:
    """Start both servers, and tell Airflow of them.

    :raises MissingError: this machine has not got one of them.
    """
    # Both before either is made.
    servers.program("redis-server", "redis-server")
    database = f"root@{HOST}:{servers.start(servers.postgres, stack.folder / 'postgres', stack.run)}"
    broker = f"{HOST}:{servers.start(servers.redis, stack.folder / 'redis', stack.run)}"
    for name in ("airflow", "ledger"):
        create(f"postgresql://{database}/postgres", name)
    stack.variables |= {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__PARALLELISM": "16",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}/airflow",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql://{database}/airflow",
        "AIRFLOW__CELERY__BROKER_URL": f"redis://{broker}/0",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "4",
        # What the machines of a deployment share: its logs' volume, or their store.
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(stack.folder / "task-logs"),
        # What Airflow notices after five or ten minutes by default, it notices after one or two here.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "60",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "120",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "30",
        f"AIRFLOW_CONN_{LEDGER.upper()}": f"postgres://{database}/ledger",
    }


def connected(server: str) -> Any:
    """Return a connection to a server that may still be starting although its port is open."""
    end = time.monotonic() + servers.SECONDS
    while True:
        try:
            return psycopg2.connect(server)
        except psycopg2.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def create(server: str, name: str) -> None:
    """Make a database."""
    with closing(connected(server)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")


def held(api: AirflowApi, name: str) -> int:
    """Return how many tasks a worker runs, or how many waits a triggerer has; a scheduler has none of its own."""
    holders = [
        task if task["state"] == "running" else task["triggerer_job"] or {}
        for task in api.all_task_instances(state=["running", "deferred"])
    ]
    return sum(holder.get("unixname") == name for holder in holders)


def kill_one(stack: Stack, api: AirflowApi, part: str) -> Kill | None:
    """SIGKILL the one of a kind that has more to lose, and start a third; None: neither has anything just now."""
    lost, name = max((held(api, name), name) for name in (f"{part}-1", f"{part}-2"))
    if not lost and part != "scheduler":
        return None
    replace_killed(stack, part, name, by=f"{part}-3")
    return Kill(name, lost)
