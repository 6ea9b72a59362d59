"""
### Nightly retraining on Alibaba Cloud PAI

Every night at 02:00 in Shanghai: prepare what has arrived until then (DSW), train on two workers (DLC), verify what
they left on OSS, compare it with what serves, and hand it live traffic step by step (EAS). A model that is worse, older
or unhealthy does not get through; the group goes on serving what it served.

A night in which no new data has arrived makes no training job: what serves was trained on the same dataset by the same
code. The job reads a copy of the dataset that stays as it was, and a retry makes a second job only where that may help.

A backfill of earlier nights trains and keeps their models and deploys none of them.

The scripts are in the Git repository named by `repo`; here they lie beside this file, in `nightly_retraining/`.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pendulum
from airflow.sdk import Param, dag
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.dsw import DswRunNotebookOperator
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator
from airflow_provider_pai.operators.model import ModelGateOperator
from airflow_provider_pai.sensors.oss import OssArtifactSensor, OssKeySensor

SHANGHAI = pendulum.timezone("Asia/Shanghai")

# What differs between deployments; `make demo` sets them for its emulator.
BUCKET = os.environ.get("RETRAINING_BUCKET", "my-team")
REPO = os.environ.get("RETRAINING_REPO", "https://github.com/my-team/digits.git")
COMMIT = os.environ.get("RETRAINING_COMMIT", "main")
POLL_SECONDS = float(os.environ.get("RETRAINING_POLL_SECONDS", "15"))

CODE, PLACE, ROLLOUT, TRIAL = "Code", "Where it runs", "Rollout", "Trying it out"
PARAMS = {
    "group": Param("digits", type="string", title="Service group", description="EAS group that serves the model"),
    "tolerance": Param(
        0.05, type="number", minimum=0, title="Tolerance", description="accuracy that a new model may lose"
    ),
    "repo": Param(
        REPO,
        type="string",
        title="Git repository",
        section=CODE,
        description="holds prepare.ipynb, train.py and serve.py",
    ),
    "commit": Param(
        COMMIT,
        type="string",
        title="Commit",
        section=CODE,
        description="of the code that prepares, trains and serves: a hash, a tag or a branch",
    ),
    "image": Param(
        "registry.example.com/ml/xgboost:3",
        type="string",
        title="Image",
        section=PLACE,
        description="Python, XGBoost and JupyterLab",
    ),
    "instance_type": Param(
        "ecs.c7.large", type="string", title="Instance type", section=PLACE, description="of the service's instances"
    ),
    "role_arn": Param(
        "acs:ram::1000000000000001:role/pai-retraining",
        type="string",
        title="Role ARN",
        section=PLACE,
        description="RAM role that mounts the bucket",
    ),
    "steps": Param(
        [10, 50, 100], type="array", title="Steps", section=ROLLOUT, description="percent of live traffic, one a line"
    ),
    "step_seconds": Param(
        300, type="number", title="Seconds a step", section=ROLLOUT, description="how long a step lasts at least"
    ),
    "look_seconds": Param(
        60,
        type="integer",
        title="Seconds between looks",
        section=ROLLOUT,
        description="at CloudMonitor; the period that it counts by",
    ),
    "min_requests": Param(
        100, type="integer", title="Requests a step", section=ROLLOUT, description="at least, before a step can pass"
    ),
    "max_error_rate": Param(
        0.05, type="number", title="Error rate", section=ROLLOUT, description="share of failed requests that rolls back"
    ),
    "drain_seconds": Param(
        30,
        type="number",
        title="Seconds to drain",
        section=ROLLOUT,
        description="between taking the old model's traffic and stopping it",
    ),
    "fail_share": Param(
        0,
        type="number",
        minimum=0,
        maximum=1,
        title="Failing requests",
        section=TRIAL,
        description="share of requests that the new model fails on purpose, to see a rollback",
    ),
}


@dag(
    dag_id="pai_nightly_retraining",
    schedule=CronDataIntervalTimetable("0 2 * * *", timezone=SHANGHAI),
    start_date=pendulum.datetime(2025, 1, 1, tz=SHANGHAI),
    catchup=False,
    # One night after the other: two rollouts of one group would wait for each other anyway.
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=4 * POLL_SECONDS)},
    params=PARAMS,
    doc_md=__doc__,
    tags=["pai", "example"],
)
def pai_nightly_retraining() -> None:
    """Prepare, train, verify, compare, deploy."""
    code = {"repo": "{{ params.repo }}", "commit": "{{ params.commit }}"}
    on_pai = {
        "image": "{{ params.image }}",
        "role_arn": "{{ params.role_arn }}",
        "code": code,
        "ecs_spec": "ecs.g7.xlarge",
        "deferrable": True,
        "poll_interval": POLL_SECONDS,
    }
    waiting = {"deferrable": True, "poke_interval": POLL_SECONDS, "timeout": 3600}

    prepare = DswRunNotebookOperator(
        task_id="prepare",
        notebook="prepare.ipynb",
        inputs={"raw": f"oss://{BUCKET}/raw"},
        output=f"oss://{BUCKET}/datasets",
        parameters={
            "arrived_until": "{{ (dag_run.data_interval_end or dag_run.run_after).strftime('%Y-%m-%dT%H:%M:%SZ') }}"
        },
        execution_timeout=timedelta(hours=1),
        **on_pai,
    )
    dataset = "{{ ti.xcom_pull(task_ids='prepare')['output'] }}"
    dataset_ready = OssKeySensor(task_id="dataset_ready", uri=f"{dataset}_READY", **waiting)
    train = DlcSubmitJobOperator(
        task_id="train",
        framework="xgboost",
        workers=2,
        command="python $PAI_CODE_DIR/train.py",
        inputs={"dataset": dataset},
        pin=True,
        output=f"oss://{BUCKET}/models/digits",
        parameters={"rounds": 30, "max_depth": 4},
        reuse="serving",
        group="{{ params.group }}",
        retry_on="auto",
        max_running_time=timedelta(hours=1),
        execution_timeout=timedelta(hours=2),
        **on_pai,
    )
    artifact = OssArtifactSensor(task_id="artifact", artifact=train.output, **waiting)

    gate = ModelGateOperator(
        task_id="gate",
        artifact=artifact.output,
        group="{{ params.group }}",
        metric="accuracy",
        tolerance="{{ params.tolerance }}",
    )
    deploy = EasCanaryDeployOperator(
        task_id="deploy",
        artifact=artifact.output,
        group="{{ params.group }}",
        service={
            "metadata": {"instance": 1},
            "containers": [
                {
                    "image": "{{ params.image }}",
                    "script": "python {model}/serve.py",
                    "port": 8000,
                    "env": [
                        {"name": "HOST", "value": "0.0.0.0"},
                        {"name": "PORT", "value": "8000"},
                        {"name": "FAIL_SHARE", "value": "{{ params.fail_share }}"},
                    ],
                }
            ],
        },
        instance_type="{{ params.instance_type }}",
        steps="{{ params.steps }}",
        plan={
            "interval": "{{ params.look_seconds }}",
            "min_duration": "{{ params.step_seconds }}",
            "min_requests": "{{ params.min_requests }}",
            "max_error_rate": "{{ params.max_error_rate }}",
            "drain": "{{ params.drain_seconds }}",
        },
        probe={"requests": [{"method": "GET", "path": "/health", "expect": {"status": "ok"}}]},
        metrics={"kind": "cloudmonitor", "period": "{{ params.look_seconds }}"},
        deferrable=True,
    )
    prepare >> dataset_ready >> train >> artifact >> gate >> deploy


pai_nightly_retraining()
