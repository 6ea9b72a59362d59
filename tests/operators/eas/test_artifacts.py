"""Models whose inputs were changed: no operator that takes one lets it pass unless it is told to."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_pai.artifact import DatasetChange, DatasetRef, ModelArtifact
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.manifests import write_artifact
from airflow_provider_pai.operators.eas import (
    EasBlueGreenDeployOperator,
    EasCanaryDeployOperator,
    EasDeployServiceOperator,
    EasShadowOperator,
)
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

COMMON = {"task_id": "task", "image": "serve:1", "command": "serve {model}", "cpu": 1, "memory": 1000}
OPERATORS = [
    (EasCanaryDeployOperator, {"group": "no_such_group"}),
    (EasBlueGreenDeployOperator, {"group": "no_such_group", "probe": {"requests": [{}]}}),
    (EasDeployServiceOperator, {"service_name": "no_such_service"}),
    (EasShadowOperator, {"source": "no_such_service", "requests_are_idempotent": True}),
]


@pytest.fixture
def changed(bucket):
    uri = f"oss://{bucket.bucket_name}/models/changed/"
    OssHook().put(uri + "model", "1")
    change = DatasetChange(replaced=("a.csv",))
    ref = DatasetRef(name="train", uri="oss://d/n/", digest="sha256:1", size=3, files=1, change=change)
    return write_artifact(OssHook(), ModelArtifact(name="m", version="20260101T0000Z-a", uri=uri, inputs=(ref,)))


@pytest.mark.parametrize("as_address", [False, True])
@pytest.mark.parametrize(("kind", "given"), OPERATORS)
def test_a_model_of_changed_inputs_is_refused_before_anything_is_created(changed, monkeypatch, kind, given, as_address):
    monkeypatch.setattr(EasHook, "create", lambda *_: pytest.fail("created"))
    artifact = changed.uri if as_address else changed.to_dict()
    with pytest.raises(AirflowSkipException, match=r"20260101T0000Z-a may .* input train, 1 objects: replaced a"):
        Task(lambda: kind(artifact=artifact, **COMMON, **given)).run()
    with pytest.raises(PaiConfigError, match="inputs_changed: 'no' is not allowed; one of refuse, warn"):
        Task(lambda: kind(artifact=artifact, inputs_changed="no", **COMMON, **given)).run()


@pytest.mark.parametrize(("kind", "given"), OPERATORS)
def test_it_passes_where_a_warning_is_enough(changed, kind, given):
    operator = kind(artifact=changed.to_dict(), inputs_changed="warn", **COMMON, **given)
    assert operator.verified_artifact() == changed
