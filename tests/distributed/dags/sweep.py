"""As many DLC jobs as a run asks for, each of which leaves a small model."""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param, task

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator

with DAG(
    "sweep",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1),
    params={"jobs": Param(200, type="integer", minimum=1)},
    default_args={"retries": 5, "retry_delay": timedelta(seconds=2)},
):

    @task
    def grid(**context):
        return [{"seed": number} for number in range(context["params"]["jobs"])]

    DlcSubmitJobOperator.partial(
        task_id="train",
        framework="python",
        image="train:1",
        ecs_spec="ecs.g6.large",
        command='echo "$PAI_PARAMS" > "$PAI_OUTPUT_DIR/model.json"; sleep 5',
        output="oss://sweep/models",
        deferrable=True,
        poll_interval=2,
    ).expand(parameters=grid())
