"""Planted: a canary without minimum requests. Each step passes on the first answer."""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator

TRAIN = """
echo "{\\"version\\": \\"$RANDOM\\"}" > $PAI_OUTPUT_DIR/model.json
cp $PAI_CODE_DIR/server.py $PAI_OUTPUT_DIR/
"""

with DAG("few_requests", schedule=None, start_date=pendulum.datetime(2026, 1, 1), catchup=False):
    train = DlcSubmitJobOperator(
        task_id="train",
        framework="pytorch",
        ecs_spec="ecs.g6.large",
        image="train:1",
        command=TRAIN,
        code={"uri": "oss://night/code"},
        output="oss://night/models/few_requests",
        max_running_time=timedelta(hours=1),
        deferrable=True,
        retries=3,
    )
    EasCanaryDeployOperator(
        task_id="deploy",
        artifact=train.output,
        group="few_requests",
        image="serve:1",
        command="python {model}/server.py {model} 8000",
        port=8000,
        instance_type="ecs.c7.large",
        probe={"requests": [{"path": "/predict", "json": {"golden": 1}, "expect": {"answer": 42}}]},
        plan={"min_requests": 1},
        deferrable=True,
        retries=3,
    )
