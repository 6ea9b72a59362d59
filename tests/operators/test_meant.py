"""Data that a DAG means: an address, or what another task returned, in whatever form a template gives it."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.artifact import DatasetRef, ModelArtifact
from airflow_provider_pai.exceptions import PaiConfigError, PaiVersionError
from airflow_provider_pai.inputs import mapping
from airflow_provider_pai.operators.meant import Meant, MeantData
from airflow_provider_pai.uri import OssUri
from tests.test_dataset import DATASET, MODEL, VERSION

REF = DatasetRef(name="other", uri="oss://my-team/in", digest="sha256:3", size=1, files=1)
FORMS = {
    "object": lambda artifact: artifact,
    "XCom": lambda artifact: json.loads(json.dumps(mapping("x", artifact))),
    "rendered": lambda artifact: str(mapping("x", artifact)),
    "tojson": lambda artifact: json.dumps(mapping("x", artifact)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("artifact", "key", "told"),
    [
        (REF, "in/", ("sha256:3", "", False)),
        (DATASET, f"features/{VERSION}/", ("sha256:2", VERSION, False)),
        (MODEL, f"features/{VERSION}/", ("", VERSION, True)),
    ],
)
def test_what_a_task_returned_is_read_in_every_form(artifact, key, told, form):
    given = mapping("inputs", {"data": FORMS[form](artifact)})["data"]
    assert MeantData.of(given, "x") == ("x", OssUri("my-team", key), *told)


def test_an_address_and_the_dict_of_one_say_nothing_of_a_digest():
    plain = MeantData("x", OssUri("my-team", "in/"))
    assert MeantData.of("oss://my-team/in", "x") == MeantData.of({"uri": "oss://my-team/in/"}, "x") == plain


@pytest.mark.parametrize("given", ["", "None", None])
def test_of_a_task_that_was_skipped_the_error_says_so(given):
    with pytest.raises(PaiConfigError, match="the task that makes it left none: was it skipped"):
        MeantData.of(given, "x")


@pytest.mark.parametrize(
    "given", ["/tmp", {}, {"digest": "sha256:1"}, {"uri": 3}, {"uri": "oss://my-team/in", "digest": 1}]
)
def test_what_is_no_data_is_refused_with_what_is(given):
    with pytest.raises(
        PaiConfigError, match=r"x: .* write oss://bucket/prefix, or give a DatasetRef, a DatasetArtifact"
    ):
        MeantData.of(given, "x")


def test_an_address_in_a_dict_is_named_where_it_stands():
    with pytest.raises(PaiConfigError, match=r"x\['uri'\]: '/tmp' is not allowed; write oss://bucket/key"):
        MeantData.of({"uri": "/tmp"}, "x")


def test_what_a_later_version_wrote_is_refused():
    with pytest.raises(PaiVersionError):
        MeantData.of({**DATASET.to_dict(), "schema_version": 99}, "x")
    assert ModelArtifact.from_dict(MODEL.to_dict()) == MODEL


def test_a_dataset_where_a_model_is_wanted_is_said_to_be_one():
    with pytest.raises(PaiConfigError, match="is a dataset, not a model: what made it has left no metrics"):
        Meant.of(DATASET.to_dict())
