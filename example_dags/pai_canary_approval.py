"""
### A canary release that a person approves

The candidate gets a tenth of the group's traffic and is judged there, while somebody is asked. It rises to 100 % only
when its numbers are good and the answer is yes; when they turn bad meanwhile, it is rolled back without waiting for
anybody. No answer within a day is a no.

`approved` stands between the question and the rollout, since Airflow's own `ApprovalOperator` ends as a success
whatever the answer is: a no skips what comes after it. Needs Airflow 3.1.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag

from airflow_provider_pai.operators.eas import EasCanaryDeployOperator

SERVICE, ROLLOUT = "Service", "Rollout"
PARAMS = {
    "artifact": Param(
        "oss://my-team/models/digits/20261121T1800Z-3f2a9c1b/",
        type="string",
        title="Model",
        description="address of the model's version",
    ),
    "group": Param("digits", type="string", title="Service group", description="EAS group that serves the model"),
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
        description="serves the model on port 8000; {model} is where it is mounted",
    ),
    "instance_type": Param(
        "ecs.c7.large", type="string", title="Instance type", section=SERVICE, description="of the public pool"
    ),
    "plan": Param(
        {"bake": 600},
        type="object",
        title="Plan",
        section=ROLLOUT,
        description="durations, limits and patience; bake: seconds at 100 % before the old model goes",
    ),
    "metrics": Param(
        {"kind": "cloudmonitor", "period": 60},
        type="object",
        title="Metrics",
        section=ROLLOUT,
        description="where the counts come from",
    ),
}


@dag(
    dag_id="pai_canary_approval",
    schedule=None,
    start_date=pendulum.datetime(2025, 1, 1, tz="Asia/Shanghai"),
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    params=PARAMS,
    render_template_as_native_obj=True,
    doc_md=__doc__,
    tags=["pai", "example"],
)
def pai_canary_approval() -> None:
    """Roll out and ask, side by side."""
    EasCanaryDeployOperator(
        task_id="deploy",
        artifact="{{ params.artifact }}",
        group="{{ params.group }}",
        image="{{ params.image }}",
        command="{{ params.command }}",
        port=8000,
        instance_type="{{ params.instance_type }}",
        steps=[10, 100],
        plan="{{ params.plan }}",
        metrics="{{ params.metrics }}",
        probe={"requests": [{"method": "GET", "path": "/health"}]},
        approval_task_id="approved",
        deferrable=True,
    )
    ask = ApprovalOperator(
        task_id="ask",
        subject="May {{ params.artifact }} serve all of {{ params.group }}?",
        body="It has a tenth of the traffic; what it answers stands in the log of the task `deploy`.",
        defaults="Reject",
        response_timeout=timedelta(days=1),
    )
    ask >> EmptyOperator(task_id="approved")


pai_canary_approval()
