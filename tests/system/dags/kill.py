"""Jobs that would run for five minutes, for tests that end their tasks in every way."""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator

COMMON = {
    "framework": "pytorch",
    "ecs_spec": "ecs.g6.large",
    "image": "train:1",
    "command": "sleep 300",
    "poll_interval": 1,
}

with DAG("kill", schedule=None, start_date=pendulum.datetime(2026, 1, 1), catchup=False):
    DlcSubmitJobOperator(task_id="deferred", deferrable=True, **COMMON)
    DlcSubmitJobOperator(task_id="in_worker", deferrable=False, **COMMON)
    DlcSubmitJobOperator(task_id="late", deferrable=True, execution_timeout=timedelta(seconds=25), **COMMON)
    DlcSubmitJobOperator(task_id="late_in_worker", execution_timeout=timedelta(seconds=25), **COMMON)
    DlcSubmitJobOperator(task_id="called_done", deferrable=True, **COMMON)
    DlcSubmitJobOperator(task_id="called_done_in_worker", **COMMON)
    DlcSubmitJobOperator(task_id="cleared_in_worker", **COMMON)
    DlcSubmitJobOperator(task_id="kept", deferrable=True, cancel_on_kill=False, **COMMON)

with DAG("short", schedule=None, start_date=pendulum.datetime(2026, 1, 1), dagrun_timeout=timedelta(seconds=30)):
    DlcSubmitJobOperator(task_id="deferred", deferrable=True, **COMMON)
    DlcSubmitJobOperator(task_id="in_worker", **COMMON)

with DAG("wait", schedule=None, start_date=pendulum.datetime(2026, 1, 1), catchup=False):
    DlcSubmitJobOperator(task_id="deferred", deferrable=True, **COMMON)
