"""Planted: a secret in env. It stands in the repository, and in the job for whoever may read jobs."""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator

with DAG("secret", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    DlcSubmitJobOperator(
        task_id="train",
        framework="pytorch",
        ecs_spec="ecs.g6.large",
        image="train:1",
        command="sleep 2",
        env={"DB_USER": "reader", "DB_PASSWORD": "correct-horse-battery"},
        max_running_time=timedelta(hours=1),
        deferrable=True,
        retries=3,
    )
