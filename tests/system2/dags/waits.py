"""Jobs that would run for five minutes on Airflow 2.11, for tests that end their tasks in every way."""

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator

COMMON = {"framework": "pytorch", "ecs_spec": "ecs.g6.large", "image": "train:1", "poll_interval": 1}
LONG = {"command": "sleep 300", **COMMON}

with DAG("waits", schedule=None, start_date=pendulum.datetime(2026, 1, 1), catchup=False):
    DlcSubmitJobOperator(task_id="late", deferrable=True, execution_timeout=timedelta(seconds=30), **LONG)
    DlcSubmitJobOperator(task_id="done", deferrable=True, command="sleep 2", **COMMON)
    for task_id in ("marked", "cleared", "moved"):
        DlcSubmitJobOperator(task_id=task_id, deferrable=True, **LONG)
    DlcSubmitJobOperator(task_id="kept", deferrable=True, cancel_on_kill=False, **LONG)

with DAG("unwatched", schedule=None, start_date=pendulum.datetime(2026, 1, 1), catchup=False):
    DlcSubmitJobOperator(task_id="late", deferrable=True, execution_timeout=timedelta(seconds=15), **LONG)

# Alone: while it runs, the SequentialExecutor starts no other task.
with DAG("works", schedule=None, start_date=pendulum.datetime(2026, 1, 1), catchup=False):
    DlcSubmitJobOperator(task_id="in_worker", deferrable=False, **LONG)
