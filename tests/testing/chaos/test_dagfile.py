"""The user's DAG file: read as it is, with pauses made short, and asked what it names."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("airflow.sdk.definitions._internal.contextmanager", reason="bad nights need Airflow 3")

from airflow_provider_pai.testing.chaos.dagfile import dags_in

EXAMPLES = Path(__file__).parents[3] / "example_dags"


def test_pauses_are_short_and_nothing_else_is_changed():
    dag = dags_in(str(EXAMPLES / "pai_hyperparameter_sweep.py"), fileloc="elsewhere.py")["pai_hyperparameter_sweep"]
    train = dag.task_dict["train"]
    assert (dag.fileloc, dag.catchup) == ("elsewhere.py", False)
    assert train.partial_kwargs["poll_interval"] == 1
    assert (train.retry_delay, train.retries) == (timedelta(seconds=1), 2)
    assert train.partial_kwargs["max_running_time"] == timedelta(hours=1)
    assert dag.task_dict["artifact"].poke_interval == 1


def test_metrics_of_an_artifact_are_no_counts_of_a_service():
    manifest = dags_in(str(EXAMPLES / "pai_oss_landing.py"))["pai_oss_landing"].task_dict["manifest"]
    assert manifest.metrics is None


def test_a_rollout_keeps_its_limits():
    deploy = dags_in(str(EXAMPLES / "pai_nightly_retraining.py"))["pai_nightly_retraining"].task_dict["deploy"]
    assert deploy.plan["min_requests"] == "{{ params.min_requests }}"
    assert (deploy.plan["min_duration"], deploy.metrics["period"]) == (2, 1)


def test_what_a_file_names():
    command = [sys.executable, "-m", "airflow_provider_pai.testing.chaos.dagfile"]
    told = subprocess.run([*command, str(EXAMPLES / "pai_hyperparameter_sweep.py")], check=True, capture_output=True)
    assert json.loads(told.stdout.splitlines()[-1]) == {
        "pai_hyperparameter_sweep": {
            "connections": ["pai_default"],
            "buckets": ["my-team"],
            "inputs": ["oss://my-team/datasets/digits"],
        }
    }
