from __future__ import annotations

import json
from io import StringIO
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_pai.artifact import ModelArtifact
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.manifests import write_artifact
from airflow_provider_pai.operators.model import ModelGateOperator
from tests.said import said
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


def artifact(bucket, name, accuracy):
    uri = f"oss://{bucket.bucket_name}/models/{name}/"
    OssHook().put(uri + "metrics.json", json.dumps({"accuracy": accuracy}))
    return write_artifact(OssHook(), ModelArtifact(name="m", version=f"20260101T0000Z-{name}", uri=uri))


def gate(candidate, **changes):
    given = {"task_id": "task", "artifact": candidate.to_dict(), "group": "no_such_group"}
    return Task(lambda: ModelGateOperator(**{**given, **changes}))


def serve(monkeypatch, *artifacts):
    """Let these artifacts stand behind the group's services; the group itself is test_eas.py's business."""
    monkeypatch.setattr(ModelGateOperator, "_serving", lambda self: list(artifacts))


def test_where_nothing_serves_everything_gets_through(bucket):
    result = gate(artifact(bucket, "a", 0.2)).run()
    assert result == {
        "metric": "accuracy",
        "candidate": 0.2,
        "serving": None,
        "needed": None,
        "changed_inputs": {},
        "passed": True,
    }


@pytest.mark.parametrize(
    ("accuracy", "tolerance", "passes"), [(0.9, 0, True), (0.89, "0.02", True), (0.8, 0.05, False)]
)
def test_compares_with_what_serves(bucket, monkeypatch, accuracy, tolerance, passes):
    serve(monkeypatch, artifact(bucket, "serving", 0.9))
    run = gate(artifact(bucket, "new", accuracy), tolerance=tolerance)
    if passes:
        assert run.run()["passed"]
    else:
        with pytest.raises(AirflowSkipException, match=r"accuracy 0\.8000 .* serves 0\.9000, needed is 0\.8500"):
            run.run()
    (row,) = Ledger.open().rows()
    assert row.kind == ("gate_passed" if passes else "gate_failed")
    assert run.xcoms["return_value"]["passed"] is passes


def test_the_minimum_holds_where_nothing_serves(bucket):
    with pytest.raises(AirflowSkipException):
        gate(artifact(bucket, "a", 0.2), minimum=0.5).run()


def test_metrics_that_are_too_many_for_an_xcom_are_compared_all_the_same(bucket):
    uri = f"oss://{bucket.bucket_name}/models/many/"
    OssHook().put(uri + "metrics.json", json.dumps({"accuracy": 0.2} | {f"class {n}": 0.5 for n in range(2000)}))
    many = write_artifact(OssHook(), ModelArtifact(name="m", version="20260101T0000Z-many", uri=uri))
    assert many.to_dict()["metrics"] == {}
    assert gate(many).run()["candidate"] == 0.2
    with pytest.raises(AirflowSkipException):
        gate(many, minimum=0.5).run()


def test_bad_input_is_named(bucket):
    with pytest.raises(PaiConfigError, match="metric: 'f1' is not allowed; one of the artifact's: accuracy"):
        gate(artifact(bucket, "a", 0.2), metric="f1").run()
    with pytest.raises(PaiConfigError, match="minimum: 'high'"):
        gate(artifact(bucket, "a", 0.2), minimum="high").run()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("NaN", "nan"),
        ("-Infinity", "-inf"),
        ("1e999", "inf"),
        ("null", "None"),
        ('"0.98"', "'0.98'"),
        ("true", "True"),
        ('{"macro": 0.9}', "{'macro': 0.9}"),
        ("[0.9]", r"\[0.9\]"),
    ],
)
def test_what_is_no_finite_number_gets_nowhere(bucket, value, told):
    """Neither does it get through, nor is it compared with: every later model would be skipped."""
    uri = f"oss://{bucket.bucket_name}/models/a/"
    OssHook().put(uri + "metrics.json", f'{{"accuracy": {value}, "f1": 0.5}}')
    candidate = write_artifact(OssHook(), ModelArtifact(name="m", version="20260101T0000Z-a", uri=uri))
    assert candidate.metrics == {"f1": 0.5}
    with pytest.raises(PaiConfigError, match=f"metrics.json it is {told}, and a metric is a finite number"):
        gate(candidate).run()
    assert gate(candidate, metric="f1").run()["passed"]
    assert [row.kind for row in Ledger.open().rows()] == ["gate_passed"]


def test_an_artifact_may_be_given_by_its_address(bucket):
    candidate = artifact(bucket, "a", 0.2)
    assert gate(candidate, artifact=candidate.uri).run()["candidate"] == 0.2


@pytest.mark.parametrize("left", [None, "", "None"])
def test_a_task_that_was_skipped_has_left_no_artifact(bucket, left):
    with pytest.raises(PaiConfigError, match="the task that makes it left none: was it skipped"):
        gate(artifact(bucket, "a", 0.2), artifact=left).run()


def test_a_training_without_metrics_is_told_as_what_it_is(bucket):
    uri = f"oss://{bucket.bucket_name}/models/a/"
    OssHook().put(uri + "model", "1")
    candidate = write_artifact(OssHook(), ModelArtifact(name="m", version="20260101T0000Z-a", uri=uri))
    with pytest.raises(PaiConfigError, match=r"models/a/ has no metrics\.json: the job has to leave one in PAI_OUTPUT"):
        gate(candidate).run()


def test_a_model_that_serves_without_the_metric_is_named_and_bars_nobody(bucket, monkeypatch):
    """Its metric was a NaN, say: what is compared with a NaN never is as good."""
    serving, told = artifact(bucket, "serving", float("nan")), StringIO()
    monkeypatch.setattr("airflow_provider_pai.canary.weights.carriers", lambda _: [SimpleNamespace(name="s")])
    monkeypatch.setattr("airflow_provider_pai.manifests.served_artifact", lambda *_: serving)
    monkeypatch.setattr(EasHook, "describe", lambda *_: {})
    with said(told):
        assert gate(artifact(bucket, "new", 0.2)).run()["serving"] is None
    assert f"Not compared with {serving.version}, which serves: it has no accuracy" in told.getvalue()
