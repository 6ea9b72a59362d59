"""
### Spot training on Alibaba Cloud PAI

Trains on spot instances, which cost a fraction and may be taken away at any moment. Then the job fails, the task is
retried, and its next job goes on at the last checkpoint; the last of the tries runs on demand. The model is the same as
one that nobody has disturbed, and its metrics tell how many epochs were not computed again.

The training script was uploaded to `oss://<bucket>/code/spot`; here it lies in `spot_training/`.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import Param, dag

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator

PLACE = "Where it runs"
PARAMS = {
    "epochs": Param(60, type="integer", minimum=1, title="Epochs", description="passes over the data set"),
    "checkpoint_every": Param(
        5, type="integer", minimum=1, title="Checkpoint every", description="so many epochs at most are computed again"
    ),
    "pause": Param(
        0,
        type="number",
        minimum=0,
        title="Pause",
        description="seconds after each epoch: time to take its machine away",
    ),
    "discount_limit": Param(
        0.5,
        type="number",
        exclusiveMinimum=0,
        maximum=1,
        title="Discount limit",
        section=PLACE,
        description="part of the full price that a spot instance may cost",
    ),
    "bucket": Param(
        "my-team",
        type="string",
        title="Bucket",
        section=PLACE,
        description="holds datasets/digits and code/spot; gets models/spot, and checkpoints meanwhile",
    ),
    "image": Param(
        "registry.example.com/ml/python:3.11",
        type="string",
        title="Image",
        section=PLACE,
        description="Python and NumPy",
    ),
    "ecs_spec": Param(
        "ecs.g7.xlarge", type="string", title="Instance type", section=PLACE, description="of the one node"
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
    dag_id="pai_spot_training",
    schedule=None,
    start_date=pendulum.datetime(2025, 1, 1, tz="Asia/Shanghai"),
    # The next job need not wait long: it is PAI that waits for an instance.
    default_args={"retries": 4, "retry_delay": timedelta(seconds=5)},
    params=PARAMS,
    render_template_as_native_obj=True,
    doc_md=__doc__,
    tags=["pai", "example"],
)
def pai_spot_training() -> None:
    """Train on machines that may go."""
    DlcSubmitJobOperator(
        task_id="train",
        framework="python",
        ecs_spec="{{ params.ecs_spec }}",
        spot={"discount_limit": "{{ params.discount_limit }}", "last_try_on_demand": True},
        checkpoints="oss://{{ params.bucket }}/checkpoints/spot",
        image="{{ params.image }}",
        role_arn="{{ params.role_arn }}",
        code={"uri": "oss://{{ params.bucket }}/code/spot"},
        entry_script="train.py",
        inputs={"dataset": "oss://{{ params.bucket }}/datasets/digits"},
        output="oss://{{ params.bucket }}/models/spot",
        parameters={
            "epochs": "{{ params.epochs }}",
            "checkpoint_every": "{{ params.checkpoint_every }}",
            "pause": "{{ params.pause }}",
        },
        max_running_time=timedelta(hours=2),
        poll_interval=5,
        log_interval=5,
        deferrable=True,
    )


pai_spot_training()
