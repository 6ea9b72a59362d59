"""Dataset that a job made: what of it an XCom holds, and what is read back."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.artifact import MAX_XCOM_BYTES, Code, DatasetRef, ModelArtifact, Producer, is_record
from airflow_provider_pai.dataset import Column, DatasetArtifact, Table

VERSION = "20261121T1800Z-3f2a9c1b"
MODEL = ModelArtifact(
    name="features",
    version=VERSION,
    uri=f"oss://my-team/features/{VERSION}/",
    params={"days": 7},
    code=Code(repo="https://example.com/features.git", commit="0" * 40),
    inputs=(DatasetRef(name="raw", uri="oss://my-team/raw/", digest="sha256:1", size=1, files=1, version="v"),),
    produced_by=Producer(dag_id="nightly", run_id="run", task_id="prepare", try_number=1),
    framework="python",
)
TABLES = (Table(files="part-*.csv", count=3, format="csv", columns=(Column("a", "integer"), Column("b", "text"))),)
DATASET = DatasetArtifact.of(MODEL, digest="sha256:2", size=9, files=3, tables=TABLES)


def test_it_knows_all_that_the_job_s_artifact_knew_and_is_read_back_as_it_was():
    assert (DATASET.params, DATASET.code, DATASET.inputs, DATASET.produced_by) == (
        MODEL.params,
        MODEL.code,
        MODEL.inputs,
        MODEL.produced_by,
    )
    value = json.loads(json.dumps(DATASET.to_dict()))
    assert value["tables"][0]["columns"] == [{"name": "a", "type": "integer"}, {"name": "b", "type": "text"}]
    assert DatasetArtifact.from_dict({**value, "of_a_later_version": 1}) == DATASET


def test_it_is_the_input_of_another_job():
    assert DATASET.ref("data") == DatasetRef(
        name="data", uri=DATASET.uri, digest="sha256:2", size=9, files=3, version=VERSION
    )


def test_of_a_thousand_columns_the_record_of_the_run_alone_tells():
    columns = tuple(Column(f"column_{number}", "double") for number in range(1000))
    wide = DatasetArtifact.of(MODEL, tables=(Table(files="a.parquet", format="parquet", columns=columns),))
    value = wide.to_dict()
    assert (value["tables"], value["in_record"]) == ([], ["tables"])
    assert len(json.dumps(value).encode()) <= MAX_XCOM_BYTES
    assert DatasetArtifact.from_dict(value).tables == ()


def test_it_is_no_model():
    with pytest.raises(ValueError, match=f"{DATASET.uri} is a dataset, not a model: .* no metrics.json"):
        ModelArtifact.from_dict(DATASET.to_dict())


@pytest.mark.parametrize("tables", [3, ["x"], [{"files": "a"}], [{"files": "a", "format": "csv", "columns": [1]}]])
def test_what_is_no_dataset_is_said_to_be_none(tables):
    with pytest.raises(ValueError, match="allowed is what a DatasetArtifact's to_dict"):
        DatasetArtifact.from_dict({**DATASET.to_dict(), "tables": tables})


@pytest.mark.parametrize(
    ("key", "told"),
    [("_runs/v/run.json", True), ("a/_runs/b", True), ("_runs", False), ("my_runs/a", False), ("a/b.csv", False)],
)
def test_what_lies_in_a_folder_of_runs_is_a_record(key, told):
    assert is_record(key) is told
