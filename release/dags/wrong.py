"""The same with mistakes: each line that has one names the code of mypy's error."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator
from airflow_provider_pai.operators.model import ModelGateOperator
from airflow_provider_pai.sensors.oss import OssKeySensor

with DAG("wrong"):
    OssKeySensor(task_id="landed", uri=7)  # arg-type
    OssKeySensor(task_id="no_address")  # call-arg
    train = DlcSubmitJobOperator(
        task_id="train",
        framework=["xgboost"],  # arg-type
        workers=2.5,  # arg-type
        image="registry/xgboost:3",
        command="python train.py",
    )
    ModelGateOperator(task_id="gate", artifact=train.outputs, group="digits", minimum=None)  # attr-defined
    ModelGateOperator(task_id="no_group", artifact=train.output)  # call-arg
    EasCanaryDeployOperator(task_id="deploy", artifact=train.output, group="digits", steps={10: 1})  # arg-type
