"""Planted: an unpinned image. The night that is run again runs something else."""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator

with DAG("unpinned", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    DlcSubmitJobOperator(
        task_id="train",
        framework="pytorch",
        ecs_spec="ecs.g6.large",
        image="registry.example.com:5000/ml/pytorch:latest",
        command="sleep 2",
        max_running_time=timedelta(hours=1),
        deferrable=True,
        retries=3,
    )
