"""Images of private registries: the login reaches the service, and is seen nowhere else."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.manifests import read_manifest
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.dsw import DswRunCommandOperator
from tests.task import Task

PASSWORD = "hunter2-hunter2"
AUTH = "dGVhbTpodW50ZXIyLWh1bnRlcjI="
IMAGE = {"image": "registry.example.com/team/train:1", "image_conn_id": "team_registry"}


@pytest.fixture(autouse=True)
def registry(monkeypatch, connection):
    stored = {"conn_type": "docker", "login": "team", "password": PASSWORD}
    monkeypatch.setenv("AIRFLOW_CONN_TEAM_REGISTRY", json.dumps(stored))


def seen(task):
    """Return what people see of a task: its lines and its result."""
    result = task.run()
    return result, f"{task.lines} {json.dumps(result)}"


def test_a_job_gets_the_login_and_its_model_does_not(bucket):
    given = {"framework": "python", "ecs_spec": "ecs.g6.large", "output": f"oss://{bucket.bucket_name}/m", **IMAGE}
    command = "echo '{}' > $PAI_OUTPUT_DIR/metrics.json"
    task = Task(lambda: DlcSubmitJobOperator(task_id="task", command=command, poll_interval=0.02, **given))
    artifact, text = seen(task)
    (spec,) = DlcHook().describe(artifact["job"]["id"])["JobSpecs"]
    assert (spec["ImageConfig"]["Password"], spec["ImageConfig"]["DockerRegistry"]) == (
        PASSWORD,
        "registry.example.com",
    )
    manifest = asdict(read_manifest(task.make().oss, artifact["uri"]))
    assert manifest["request"]["JobSpecs"][0]["ImageConfig"]["Username"] == "team"
    assert PASSWORD not in f"{text} {manifest}"
    assert all(PASSWORD not in each.read().decode() for each in objects(bucket))


def test_an_instance_gets_the_login_and_its_run_does_not(bucket, pai):
    given = {"ecs_spec": "ecs.g6.large", "run_uri": f"oss://{bucket.bucket_name}/r", **IMAGE}
    task = Task(lambda: DswRunCommandOperator(task_id="task", command="env", poll_interval=0.02, **given))
    result, text = seen(task)
    assert pai.account.store.get("dsw-instance", result["instance_id"])["Request"]["ImageAuth"] == AUTH
    assert DswHook().describe(result["instance_id"])["ImageAuth"] == "***"
    everything = text + "".join(each.read().decode() for each in objects(bucket))
    assert PASSWORD not in everything
    assert AUTH not in everything


def objects(bucket):
    return [bucket.get_object(each.key) for each in bucket.list_objects_v2(max_keys=100).object_list]
