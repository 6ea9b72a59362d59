"""
### Batch prediction on Alibaba Cloud PAI

Brings the model that the nightly retraining has promoted up as a service of its own, asks it a file full of requests,
and deletes it again, whatever came of it: live traffic is not touched, and nothing runs on.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pendulum
from airflow.sdk import Param, dag

from airflow_provider_pai.operators.eas import (
    EasDeleteServiceOperator,
    EasDeployServiceOperator,
    EasPredictOperator,
)

BUCKET = os.environ.get("RETRAINING_BUCKET", "my-team")
POLL_SECONDS = float(os.environ.get("RETRAINING_POLL_SECONDS", "15"))

SERVICE = "Service"
PARAMS = {
    "artifact": Param(
        f"oss://{BUCKET}/models/digits/", type="string", title="Model", description="address of the model's version"
    ),
    "requests": Param(
        f"oss://{BUCKET}/batch/requests.jsonl",
        type="string",
        title="Requests",
        description="address of a file with one JSON object a line",
    ),
    "output": Param(
        f"oss://{BUCKET}/predictions", type="string", title="Answers", description="prefix where they are kept"
    ),
    "image": Param(
        "registry.example.com/ml/xgboost:3",
        type="string",
        title="Image",
        section=SERVICE,
        description="Python and XGBoost",
    ),
    "command": Param(
        "python {model}/serve.py",
        type="string",
        title="Command",
        section=SERVICE,
        description="what serves; {model} is where the model is mounted",
    ),
    "path": Param("/predict", type="string", title="Path", section=SERVICE, description="that answers requests"),
    "instance_type": Param(
        "ecs.c7.large", type="string", title="Instance type", section=SERVICE, description="of the public pool"
    ),
    "instances": Param(
        2, type="integer", minimum=1, title="Instances", section=SERVICE, description="deleted after the last answer"
    ),
}


@dag(
    dag_id="pai_batch_prediction",
    schedule=None,
    start_date=pendulum.datetime(2025, 1, 1),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=4 * POLL_SECONDS)},
    params=PARAMS,
    doc_md=__doc__,
    tags=["pai", "example"],
)
def pai_batch_prediction() -> None:
    """Deploy, ask, delete."""
    name = "batch_{{ dag_run.run_after.strftime('%Y%m%dt%H%M%S') }}"
    waiting = {"deferrable": True, "poll_interval": POLL_SECONDS}
    deploy = EasDeployServiceOperator(
        task_id="deploy",
        service_name=name,
        artifact="{{ params.artifact }}",
        image="{{ params.image }}",
        command="{{ params.command }}",
        env={"HOST": "0.0.0.0", "PORT": "8000"},
        instances="{{ params.instances }}",
        health_check="/health",
        instance_type="{{ params.instance_type }}",
        **waiting,
    )
    predict = EasPredictOperator(
        task_id="predict",
        service_name=name,
        path="{{ params.path }}",
        requests="{{ params.requests }}",
        output="{{ params.output }}",
    )
    delete = EasDeleteServiceOperator(task_id="delete", service_name=name, trigger_rule="all_done", **waiting)
    deploy >> predict >> delete


pai_batch_prediction()
