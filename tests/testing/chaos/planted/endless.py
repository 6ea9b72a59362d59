"""Planted: no time limit. What hangs is paid for until somebody looks."""

import pendulum
from airflow.sdk import DAG

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator

with DAG("endless", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    DlcSubmitJobOperator(
        task_id="train",
        framework="pytorch",
        ecs_spec="ecs.g6.large",
        image="train:1",
        command="sleep 2",
        deferrable=True,
        retries=3,
    )
