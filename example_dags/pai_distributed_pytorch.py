"""
### Distributed PyTorch on Alibaba Cloud PAI

One PyTorchJob of several nodes; torchrun starts as many processes on each as DLC says it has GPUs, and
DistributedDataParallel keeps their gradients together: over NCCL on GPUs, over gloo without.

While it trains, rank 0 writes TensorBoard events beside the model; a TensorBoard shows them afterwards.
The training script was uploaded to `oss://<bucket>/code/ddp`; here it lies in `distributed_pytorch/`.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import Param, dag

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.dlc.tensorboards import DlcStartTensorBoardOperator

PLACE = "Where it runs"
PARAMS = {
    "epochs": Param(20, type="integer", minimum=1, title="Epochs", description="passes over the data set"),
    "workers": Param(2, type="integer", minimum=1, title="Workers", description="nodes of the job"),
    "bucket": Param(
        "my-team",
        type="string",
        title="Bucket",
        section=PLACE,
        description="holds datasets/digits and code/ddp; gets models/ddp",
    ),
    "image": Param(
        "registry.example.com/ml/pytorch:2",
        type="string",
        title="Image",
        section=PLACE,
        description="Python and PyTorch",
    ),
    "ecs_spec": Param("ecs.g7.xlarge", type="string", title="Instance type", section=PLACE, description="of each node"),
    "role_arn": Param(
        "acs:ram::1000000000000001:role/pai-retraining",
        type="string",
        title="Role ARN",
        section=PLACE,
        description="RAM role that mounts the bucket",
    ),
}

# DLC's WORLD_SIZE and RANK count nodes, not processes.
TORCHRUN = (
    "python -m torch.distributed.run --nnodes=$WORLD_SIZE --node-rank=$RANK --nproc-per-node=${NPROC_PER_NODE:-1} "
    "--master-addr=$MASTER_ADDR --master-port=$MASTER_PORT $PAI_CODE_DIR/train.py"
)


@dag(
    dag_id="pai_distributed_pytorch",
    schedule=None,
    start_date=pendulum.datetime(2025, 1, 1, tz="Asia/Shanghai"),
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    params=PARAMS,
    render_template_as_native_obj=True,
    doc_md=__doc__,
    tags=["pai", "example"],
)
def pai_distributed_pytorch() -> None:
    """Train on all nodes together, then show how it went."""
    train = DlcSubmitJobOperator(
        task_id="train",
        framework="pytorch",
        workers="{{ params.workers }}",
        ecs_spec="{{ params.ecs_spec }}",
        image="{{ params.image }}",
        role_arn="{{ params.role_arn }}",
        code={"uri": "oss://{{ params.bucket }}/code/ddp"},
        command=TORCHRUN,
        inputs={"dataset": "oss://{{ params.bucket }}/datasets/digits"},
        output="oss://{{ params.bucket }}/models/ddp",
        parameters={"epochs": "{{ params.epochs }}"},
        max_running_time=timedelta(hours=2),
        poll_interval=5,
        deferrable=True,
    )
    tensorboard = DlcStartTensorBoardOperator(
        task_id="tensorboard",
        log_uri="{{ ti.xcom_pull(task_ids='train')['uri'] }}",
        job_id="{{ ti.xcom_pull(task_ids='train')['job']['id'] }}",
        max_running_time=timedelta(hours=1),
    )
    train >> tensorboard


pai_distributed_pytorch()
