"""A night as a user writes it, with an operator or a sensor of each service."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.dsw import DswRunNotebookOperator
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator
from airflow_provider_pai.operators.model import ModelGateOperator
from airflow_provider_pai.operators.oss import OssUploadOperator
from airflow_provider_pai.sensors.oss import OssKeySensor


@dag(schedule="@daily", start_date=pendulum.datetime(2026, 1, 1), catchup=False)
def right() -> None:
    """Wait, prepare, train, judge, deploy."""
    landed = OssKeySensor(task_id="landed", uri="oss://my-team/raw/_SUCCESS", poke_interval=60, deferrable=True)
    prepare = DswRunNotebookOperator(
        task_id="prepare",
        notebook="oss://my-team/prepare.ipynb",
        image="registry/notebook:3",
        ecs_spec="ecs.g7.xlarge",
        output="oss://my-team/prepared",
    )
    train = DlcSubmitJobOperator(
        task_id="train",
        framework="xgboost",
        workers=2,
        ecs_spec="ecs.g7.xlarge",
        image="registry/xgboost:3",
        code={"repo": "https://github.com/my-team/digits.git", "commit": "4f2a9c1"},
        command="python train.py",
        inputs={"data": "oss://my-team/prepared"},
        output="oss://my-team/models/digits",
        poll_interval="30s",
        execution_timeout=timedelta(hours=2),
        retries=2,
        deferrable=True,
    )
    gate = ModelGateOperator(task_id="gate", artifact=train.output, group="digits", minimum=0.9)
    deploy = EasCanaryDeployOperator(
        task_id="deploy",
        artifact=train.output,
        group="digits",
        image="registry/xgboost:3",
        port=8000,
        command="python {model}/serve.py",
        instance_type="ecs.c7.large",
        steps=[10, 50, 100],
        plan={"max_error_rate": 0.01},
        deferrable=True,
    )
    report = OssUploadOperator(task_id="report", path="/tmp/report.json", uri="oss://my-team/reports/{{ run_id }}.json")
    landed >> prepare >> train >> gate >> deploy >> report


right()
