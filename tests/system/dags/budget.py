"""Thirty nights that train, and a budget that ends before them."""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator

with DAG(
    "budget",
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Shanghai"),
    end_date=pendulum.datetime(2026, 1, 31, tz="Asia/Shanghai"),
    catchup=False,
):
    DlcSubmitJobOperator(
        task_id="train",
        framework="python",
        ecs_spec="ecs.g6.large",
        image="train:1",
        command="sleep 2",
        poll_interval=0.5,
        retries=2,
        retry_delay=1,
        budget={"per_day": "10s"},
    )
