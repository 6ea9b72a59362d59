"""Services of EAS on a real Airflow, waited for in its triggerer."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.artifact import ModelArtifact
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.manifests import write_artifact
from tests.group import SERVER

pytestmark = pytest.mark.timeout(300)

BUCKET = "serving"


@pytest.fixture
def params(dlc):
    """A model that brings its server, and a file of requests."""
    oss, uri = OssHook(), f"oss://{BUCKET}/models/20261121T1800Z-00000001/"
    oss.create_bucket(BUCKET)
    oss.put(f"{uri}server.py", SERVER)
    oss.put(f"{uri}model.json", '{"version": "1"}')
    write_artifact(oss, ModelArtifact(name="digits", version="20261121T1800Z-00000001", uri=uri))
    oss.put(f"oss://{BUCKET}/requests.jsonl", '{"json": {}, "expect": {"answer": 42}}\n' * 700)
    return {
        "artifact": uri,
        "command": "python {model}/server.py {model} 8000",
        "requests": f"oss://{BUCKET}/requests.jsonl",
        "output": f"oss://{BUCKET}/predictions",
    }


def services(one):
    """Return the services that a run has made."""
    labels = {"airflow_run_id": one.run_id}
    return [service["ServiceName"] for service in EasHook().list_services(label=labels)]


def test_a_batch_prediction_leaves_answers_and_no_service(run, api, params):
    one = run("pai_batch_prediction", **params)
    one.until("the service is deleted", lambda: one.task("delete")["state"] == "success", timeout=200)
    assert api.xcom(one.dag_id, one.run_id, "deploy")["instances"] == 2
    end = api.xcom(one.dag_id, one.run_id, "predict")
    assert (end["requests"], end["wrong"]) == (700, 0)
    assert json.loads(OssHook().get(f"{end['output']}_summary.json")) == end
    assert services(one) == []


def test_a_deployment_that_is_marked_failed_leaves_no_service(run, params):
    one = run("pai_batch_prediction", **{**params, "command": "sleep 600"})
    one.until("it waits in the triggerer", lambda: one.task("deploy")["state"] == "deferred", timeout=100)
    assert len(services(one)) == 1
    one.mark("deploy", "failed")
    one.until("the service is deleted", lambda: services(one) == [], timeout=30)
