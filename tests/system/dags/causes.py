"""Jobs that fail: one by its code, which fails alike each time, one by its machine."""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator

FAILURES = {"code": "sleep 1; echo \"ModuleNotFoundError: No module named 'pandsa'\" >&2; exit 1", "node": "exit 245"}

with DAG("causes", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    for cause, command in FAILURES.items():
        DlcSubmitJobOperator(
            task_id=cause,
            framework="python",
            ecs_spec="ecs.g6.large",
            image="train:1",
            command=command,
            poll_interval=0.5,
            deferrable=True,
            retries=2,
            retry_delay=1,
        )
