"""Planted: a fixed output path. The next run, or the next try, writes over the model that may be serving."""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator

OUTPUT = "oss://night.oss-cn-hangzhou-internal.aliyuncs.com/models/latest/"

with DAG("fixed_path", schedule="@daily", start_date=pendulum.datetime(2026, 1, 1), catchup=False):
    DlcSubmitJobOperator(
        task_id="train",
        framework="pytorch",
        ecs_spec="ecs.g6.large",
        image="train:1",
        command="date +%s%N > /mnt/out/model.bin; sleep 2",
        job={"DataSources": [{"Uri": OUTPUT, "MountPath": "/mnt/out"}]},
        max_running_time=timedelta(hours=1),
        deferrable=True,
        retries=3,
    )
