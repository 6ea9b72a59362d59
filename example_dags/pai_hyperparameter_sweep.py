"""
### Hyperparameter sweep on Alibaba Cloud PAI

One DLC job for each combination of parameters, side by side; each leaves a model of its own version. The model with the
best metric goes on: its artifact is verified on OSS, and what follows gets it as XCom.

The training script was uploaded to `oss://<bucket>/code/digits`; here it lies in `nightly_retraining/`. The artifact of
every model bears the digest of the code that trained it.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import Any

import pendulum
from airflow.sdk import Param, dag, task

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.sensors.oss import OssArtifactSensor

PLACE = "Where it runs"
PARAMS = {
    "grid": Param(
        {"max_depth": [3, 5, 7], "learning_rate": [0.1, 0.3]},
        type="object",
        title="Grid",
        description="values of each parameter; one job for each combination",
    ),
    "metric": Param("accuracy", type="string", title="Metric", description="name in metrics.json; the highest is best"),
    "bucket": Param(
        "my-team",
        type="string",
        title="Bucket",
        section=PLACE,
        description="holds datasets/digits and code/digits; gets models/sweep",
    ),
    "image": Param(
        "registry.example.com/ml/xgboost:3",
        type="string",
        title="Image",
        section=PLACE,
        description="Python and XGBoost",
    ),
    "role_arn": Param(
        "acs:ram::1000000000000001:role/pai-retraining",
        type="string",
        title="Role ARN",
        section=PLACE,
        description="RAM role that mounts the bucket",
    ),
}


@dag(
    dag_id="pai_hyperparameter_sweep",
    schedule=None,
    start_date=pendulum.datetime(2025, 1, 1, tz="Asia/Shanghai"),
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    params=PARAMS,
    doc_md=__doc__,
    tags=["pai", "example"],
)
def pai_hyperparameter_sweep() -> None:
    """Train every combination, go on with the best."""

    @task
    def combinations(params: dict[str, Any]) -> list[dict[str, Any]]:
        grid = params["grid"]
        return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]

    @task
    def best(models: Any, params: dict[str, Any]) -> dict[str, Any]:
        metric = params["metric"]
        for model in sorted(models, key=lambda model: model["metrics"][metric]):
            print(f"{metric} {model['metrics'][metric]}: {model['params']} ({model['version']})")
        winner: dict[str, Any] = max(models, key=lambda model: model["metrics"][metric])
        return winner

    train = DlcSubmitJobOperator.partial(
        task_id="train",
        framework="xgboost",
        ecs_spec="ecs.g7.xlarge",
        image="{{ params.image }}",
        role_arn="{{ params.role_arn }}",
        code={"uri": "oss://{{ params.bucket }}/code/digits"},
        entry_script="train.py",
        inputs={"dataset": "oss://{{ params.bucket }}/datasets/digits"},
        output="oss://{{ params.bucket }}/models/sweep",
        max_running_time=timedelta(hours=1),
        poll_interval=5,
        deferrable=True,
        max_active_tis_per_dagrun=4,
        map_index_template="{{ task.parameters }}",
    ).expand(parameters=combinations())
    OssArtifactSensor(task_id="artifact", artifact=best(train.output), deferrable=True, poke_interval=5, timeout=600)


pai_hyperparameter_sweep()
