"""Results of DSW runs: models and datasets, all that tells how they came about, and the input of what follows."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.artifact import DatasetChange, ModelArtifact
from airflow_provider_pai.dataset import Column, DatasetArtifact
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.datasets import kept_list
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.manifests import read_artifact
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.dsw import DswRunCommandOperator
from airflow_provider_pai.uri import OssUri
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

PREPARE = 'cat "$PAI_INPUT_RAW_DIR"/*.csv > "$PAI_OUTPUT_DIR"/clean.csv'


@pytest.fixture
def root(bucket):
    bucket.put_object("raw/a.csv", "id,city\n1,x\n")
    return f"oss://{bucket.bucket_name}/"


def run(root, run_id="made", command=PREPARE, **changes):
    given = {
        "task_id": "task",
        "image": "notebook:1",
        "ecs_spec": "ecs.g6.large",
        "command": command,
        "inputs": {"raw": f"{root}raw"},
        "output": f"{root}features",
        "parameters": {"days": 7},
        "poll_interval": 0.02,
    }
    return Task(lambda: DswRunCommandOperator(**{**given, **changes}), run_id=f"{root}{run_id}")


def test_a_dataset_has_its_columns_its_inputs_and_its_record_and_trains_a_model_that_names_it(root):
    oss, result = OssHook(), run(root).run()
    made = DatasetArtifact.from_dict(result)
    assert (made.name, made.files, made.uri, made.params) == ("features", 1, result["output"], {"days": 7})
    assert made.tables[0].columns == (Column("id", "integer"), Column("city", "text"))
    assert (made.job.service, made.job.id, made.instances) == ("dsw", result["instance_id"], {"ecs.g6.large": 1})
    assert made.inputs[0].change == DatasetChange()
    assert [info.uri.key for info in oss.list_objects(made.uri) if not info.is_marker] == [
        f"features/{made.version}/clean.csv"
    ]
    record = OssUri.parse(made.record)
    assert DatasetArtifact.from_dict(json.loads(oss.get(record.join("dataset.json")))) == made
    kept = kept_list(oss, record.join("inputs", "raw.jsonl"), made.inputs[0].digest)
    assert [item.key for item in kept] == ["a.csv"]
    rows = [row for row in Ledger.open().rows() if row.kind == "dataset_produced"]
    assert [(row.subject, row.version, row.digest) for row in rows] == [("features", made.version, made.digest)]
    job = {"framework": "python", "ecs_spec": "ecs.g6.large", "image": "train:1", "poll_interval": 0.02}
    command = 'cat "$PAI_INPUT_DATA_DIR"/clean.csv > $PAI_OUTPUT_DIR/model'
    trained = Task(
        lambda: DlcSubmitJobOperator(
            task_id="task", command=command, inputs={"data": result}, output=f"{root}models", **job
        ),
        run_id=root,
    ).run()
    assert (trained["inputs"][0]["version"], trained["inputs"][0]["digest"]) == (made.version, made.digest)


def test_two_runs_on_the_same_data_leave_the_same_dataset(root):
    first, second = (run(root, run_id).run() for run_id in ("first", "second"))
    assert (first["digest"], first["version"] == second["version"]) == (second["digest"], False)


def test_a_run_that_leaves_metrics_has_made_a_model(root):
    command = f'{PREPARE}; echo \'{{"accuracy": 0.9}}\' > "$PAI_OUTPUT_DIR"/metrics.json'
    made = ModelArtifact.from_dict(run(root, command=command).run())
    assert (made.metrics, made.files) == ({"accuracy": 0.9}, 2)
    stored = read_artifact(OssHook(), made.uri)
    assert (stored.digest, stored.record) == (made.digest, made.record)


def test_a_run_that_leaves_no_file_has_made_nothing(root):
    assert "digest" not in run(root, command="true").run()


def test_what_a_run_left_on_a_pinned_copy_keeps_the_copy(root):
    from datetime import UTC, datetime, timedelta

    from airflow_provider_pai.hooks.oss.pins import pins_below

    oss, result = OssHook(), run(root, pin=True).run()
    (pin,) = pins_below(oss, OssUri.parse(f"{root}features/_pins/"))
    later = datetime.now(UTC) + timedelta(days=8)
    assert pin.user(oss, later) == f"{result['uri']} was trained on it"
    oss.delete(f"{result['record']}dataset.json")
    assert pin.user(oss, later) == ""
