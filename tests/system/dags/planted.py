"""Secrets in every place where a DAG's author may put one, from Variables whose names make Airflow mask none itself."""

import pendulum
from airflow.sdk import DAG

from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.dsw import DswRunCommandOperator
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator, EasDeployServiceOperator

ENV = {"DB_PASSWORD": "{{ var.value.planted_env }}"}
CODE = {"repo": "{{ params.repo }}", "commit": "main", "git_conn_id": "git_mine"}
COMMON = {"poll_interval": 1, "image": "train:1", "command": "env | grep -c PAI; cat n.txt"}
SERVICE = {
    "token": "{{ var.value.planted_token }}",
    "dockerAuth": "{{ var.value.planted_auth }}",
    "containers": [{"env": [{"name": "API_KEY", "value": "{{ var.value.planted_pair }}"}]}],
}
SPEC = {"Type": "Worker", "Image": "train:1", "PodCount": 1, "EcsSpec": "ecs.g6.large"}
MODEL = {"artifact": "{{ params.artifact }}", "command": "{{ params.command }}", "image": "serve:1", "port": 8000}

with DAG(
    "planted",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1),
    params={"repo": "", "artifact": "", "command": "", "output": ""},
):
    train = {**COMMON, "framework": "pytorch", "ecs_spec": "ecs.g6.large", "env": ENV}
    DlcSubmitJobOperator(
        task_id="train",
        deferrable=True,
        code={**CODE, "path": "sub"},
        output="{{ params.output }}/models",
        job={"JobSpecs": [{**SPEC, "ImageConfig": {"Auth": "{{ var.value.planted_image }}"}}]},
        **{**train, "command": "cp $PAI_CODE_DIR/n.txt $PAI_OUTPUT_DIR/model"},
    )
    DlcSubmitJobOperator(task_id="fails", retries=0, **{**train, "command": "echo $PAI_PARAMS; exit 3"})
    DswRunCommandOperator(
        task_id="notebook",
        ecs_spec="ecs.g6.large",
        run_uri="{{ params.output }}/runs",
        code={**CODE, "path": "sub"},
        env=ENV,
        instance_config={"ImageAuth": "{{ var.value.planted_instance }}"},
        **COMMON,
    )
    EasDeployServiceOperator(
        task_id="deploy", service_name="planted", service=SERVICE, env=ENV, deferrable=True, poll_interval=1, **MODEL
    )
    EasCanaryDeployOperator(task_id="plan", group="planted_group", service=SERVICE, env=ENV, plan_only=True, **MODEL)
    # Refused: a login in the repository's URL and in the address of a service, and what is no JSON.
    refused = {"retries": 0, "output": "{{ params.output }}/none"}
    DlcSubmitJobOperator(
        task_id="login_in_url",
        code={"repo": "https://me:{{ var.value.planted_url }}@example.com/r.git", "commit": "main"},
        **{**train, **refused},
    )
    DlcSubmitJobOperator(
        task_id="torn", job='{"JobSpecs": [{"Auth": "{{ var.value.planted_torn }}"}', **{**train, **refused}
    )
    DlcSubmitJobOperator(task_id="login_in_endpoint", pai_conn_id="pai_elsewhere", **{**train, **refused})
