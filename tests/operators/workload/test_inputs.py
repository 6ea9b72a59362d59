"""Inputs of a job: what its artifact says of them, from the submit to the deployment."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_pai.artifact import DatasetChange, DatasetRef, ModelArtifact
from airflow_provider_pai.exceptions import PaiArtifactError, PaiConfigError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.datasets import describe_dataset, kept_list
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.manifests import made_dataset, read_artifact, write_artifact
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.dsw import DswRunCommandOperator
from airflow_provider_pai.operators.model import ModelGateOperator
from airflow_provider_pai.uri import OssUri
from tests.conftest import airflow_connection
from tests.said import said
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

# The model is what was read.
TRAIN = """
cat "$PAI_INPUT_TRAIN_DIR"/*.csv > $PAI_OUTPUT_DIR/model
echo '{"accuracy": 0.9}' > $PAI_OUTPUT_DIR/metrics.json
"""


def training(bucket, run_id="inputs", **changes):
    given = {
        "task_id": "task",
        "framework": "python",
        "ecs_spec": "ecs.g6.large",
        "image": "train:1",
        "command": TRAIN,
        "inputs": {"train": f"oss://{bucket.bucket_name}/in"},
        "output": f"oss://{bucket.bucket_name}/models/digits",
        "poll_interval": 0.02,
    }
    return Task(lambda: DlcSubmitJobOperator(**{**given, **changes}), run_id=f"{bucket.bucket_name}-{run_id}")


@pytest.fixture
def oss(bucket):
    oss = OssHook()
    for key, text in (("in/a.csv", "1"), ("in/b.csv", "2")):
        oss.put(f"oss://{bucket.bucket_name}/{key}", text)
    return oss


def changing(task, monkeypatch, change):
    """Let something happen between the list and the job: what a person does to the data while nobody looks."""
    submit = DlcHook.submit

    def late(hook, body):
        change()
        return submit(hook, body)

    monkeypatch.setattr(DlcHook, "submit", late)
    return ModelArtifact.from_dict(task.run())


def gate(artifact, **changes):
    given = {"task_id": "task", "artifact": artifact.to_dict(), "group": "no_such_group"}
    return Task(lambda: ModelGateOperator(**{**given, **changes}))


def rows(kind):
    return [json.loads(row.payload) for row in Ledger.open().rows() if row.kind == kind]


def test_an_input_that_stays_as_it_is_is_said_to_and_its_list_lies_beside_the_manifest(bucket, oss):
    artifact = ModelArtifact.from_dict(training(bucket).run())
    (ref,) = artifact.inputs
    assert (ref.files, ref.size, ref.pinned, ref.change) == (2, 2, "", DatasetChange())
    assert read_artifact(oss, artifact.uri) == artifact
    kept = OssUri.parse(artifact.uri).join("_inputs", "train.jsonl")
    assert [item.key for item in kept_list(oss, kept, ref.digest)] == ["a.csv", "b.csv"]
    assert artifact.files == 2  # the list is no part of the model
    assert gate(artifact).run()["changed_inputs"] == {}
    assert rows("inputs_changed") == []


@pytest.mark.parametrize(
    ("change", "told", "model"),
    [
        (lambda oss, at: oss.put(f"{at}a.csv", "9"), "1 objects: replaced a.csv", b"92"),
        (lambda oss, at: oss.delete(f"{at}a.csv"), "1 objects: removed a.csv", b"2"),
    ],
)
def test_a_model_of_other_data_than_its_artifact_says_is_told_of_and_goes_no_further(
    bucket, oss, monkeypatch, change, told, model
):
    artifact = changing(training(bucket), monkeypatch, lambda: change(oss, f"oss://{bucket.bucket_name}/in/"))
    assert oss.get(artifact.uri + "model") == model  # what the job has really read
    assert artifact.changed_inputs == {"train": told}
    (row,) = rows("inputs_changed")
    assert (row["uri"], row["inputs"]) == (artifact.uri, {"train": told})
    with pytest.raises(AirflowSkipException, match=f"may have been trained on other data .* input train, {told}"):
        (refused := gate(artifact)).run()
    assert (refused.xcoms["return_value"]["passed"], refused.xcoms["return_value"]["candidate"]) == (False, 0.9)
    assert [row["changed_inputs"] for row in rows("gate_failed")] == [{"train": told}]
    warned = gate(artifact, inputs_changed="warn")
    assert warned.run()["passed"]
    assert any(told in line for _, line in warned.lines)
    with pytest.raises(PaiConfigError, match="inputs_changed: 'ignore' is not allowed; one of refuse, warn"):
        gate(artifact, inputs_changed="ignore").run()


def test_what_is_added_to_an_input_is_told_and_is_no_reason(bucket, oss, monkeypatch):
    add = lambda: oss.put(f"oss://{bucket.bucket_name}/in/c.csv", "3")  # noqa: E731
    artifact = changing(training(bucket), monkeypatch, add)
    assert artifact.inputs[0].change == DatasetChange(added=("c.csv",))
    assert gate(artifact).run()["passed"]
    assert rows("inputs_changed") == []


def test_an_input_that_can_t_be_read_after_the_job_fails_no_paid_job(bucket, oss, monkeypatch, pai):
    def refuse():
        for listing in (f"^oss GET /{bucket.bucket_name}/?$", r"^oss (GET|PUT) .*/inputs/"):
            pai.account.faults.add(match=listing, status=403, code="AccessDenied")

    run = training(bucket)
    monkeypatch.setattr(
        "airflow_provider_pai.manifests.write_artifact",
        lambda *made: pai.account.faults.clear() or write_artifact(*made),
    )
    artifact = changing(run, monkeypatch, refuse)
    (ref,) = artifact.inputs
    assert "AccessDenied" in ref.change.unread
    assert artifact.changed_inputs == {}
    passed = gate(artifact)
    assert passed.run()["passed"]
    assert any("Input train of" in line and "not read again" in line for _, line in passed.lines)


@pytest.mark.parametrize("home", ["state/", None])
def test_a_pinned_input_is_read_as_it_was_whatever_becomes_of_it(bucket, oss, monkeypatch, pai, home):
    root = f"oss://{bucket.bucket_name}/"
    if home:
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai, state_uri=root + home)))
    replace = lambda: oss.put(f"{root}in/a.csv", "9")  # noqa: E731
    artifact = changing(training(bucket, pin=True), monkeypatch, replace)
    (ref,) = artifact.inputs
    assert oss.get(artifact.uri + "model") == b"12"
    assert ref.uri == f"{root}in/"
    pins = f"{root}{home}pins/" if home else f"{root}models/digits/_pins/"
    assert ref.pinned == f"{pins}{ref.digest.removeprefix('sha256:')}/data/"
    assert ref.change == DatasetChange()
    assert gate(artifact).run()["passed"]
    oss.delete(ref.pinned + "a.csv")  # a rule of the bucket that deletes what is old, say
    gone = ModelArtifact.from_dict(training(bucket, "again", pin="true").run())
    assert gone.inputs[0].digest != ref.digest  # what lies there now


def test_a_copy_that_is_lost_while_the_job_runs_is_told_of(bucket, oss, monkeypatch):
    def lose():
        for info in list(oss.list_objects(f"oss://{bucket.bucket_name}/models/digits/_pins/")):
            if info.uri.key.endswith("b.csv"):
                oss.delete(info.uri)

    artifact = changing(training(bucket, pin=True), monkeypatch, lose)
    assert artifact.changed_inputs == {"train": "1 objects: removed b.csv"}


def test_a_dsw_run_reads_pinned_inputs_too(bucket, oss):
    run = Task(
        lambda: DswRunCommandOperator(
            task_id="task",
            image="notebook:1",
            ecs_spec="ecs.g6.large",
            command='[ "$(cat "$PAI_INPUT_TRAIN_DIR"/*.csv)" = 12 ]',
            inputs={"train": f"oss://{bucket.bucket_name}/in"},
            output=f"oss://{bucket.bucket_name}/runs",
            pin=True,
            poll_interval=0.02,
        ),
        run_id=bucket.bucket_name,
    )
    run.run()
    keys = [info.uri.key for info in oss.list_objects(f"oss://{bucket.bucket_name}/runs/_pins/")]
    assert [key.rpartition("/")[2] for key in keys[:3]] == ["_pinned.json", "a.csv", "b.csv"]


def test_pinning_needs_a_place(bucket, oss):
    with pytest.raises(PaiConfigError, match="pin: True is not allowed; with output, or a state_uri"):
        training(bucket, output=None, command="true", pin=True).run()


def test_an_artifact_of_before_tells_nothing_and_passes(bucket, oss):
    uri = f"oss://{bucket.bucket_name}/models/old/"
    oss.put(uri + "metrics.json", '{"accuracy": 0.9}')
    ref = DatasetRef(name="train", uri="oss://d/n/", digest="sha256:1", size=3, files=1)
    artifact = write_artifact(oss, ModelArtifact(name="m", version="20260101T0000Z-a", uri=uri, inputs=(ref,)))
    assert gate(artifact).run()["passed"]


@pytest.fixture
def prepared(bucket, oss):
    """Return what a task before has made, as its XCom has it."""
    facts = {"name": "features", "version": "20261121T1800Z-3f2a9c1b", "uri": f"oss://{bucket.bucket_name}/in/"}
    return made_dataset(oss, ModelArtifact(**facts))


@pytest.mark.parametrize("form", [lambda made: made, lambda made: made.to_dict(), lambda made: str(made.to_dict())])
def test_what_a_task_before_returned_is_an_input_whose_version_the_model_names(bucket, prepared, form):
    made = ModelArtifact.from_dict(training(bucket, inputs={"train": form(prepared)}).run())
    (ref,) = made.inputs
    assert replace(ref, change=None) == prepared.ref("train")
    assert made.digest == read_artifact(OssHook(), made.uri).digest


def test_a_dataset_that_was_changed_after_its_task_is_refused_before_anything_is_made_or_told_of(bucket, oss, prepared):
    oss.put(f"oss://{bucket.bucket_name}/in/a.csv", "9")
    before = len(list(DlcHook().list_jobs()))
    told = rf"inputs\['train'\]: oss://{bucket.bucket_name}/in/ has digest .*, not {prepared.digest}: it was changed"
    with pytest.raises(PaiArtifactError, match=told):
        training(bucket, inputs={"train": prepared.to_dict()}).run()
    assert len(list(DlcHook().list_jobs())) == before
    warned = training(bucket, run_id="warned", inputs={"train": prepared.to_dict()}, inputs_changed="warn")
    with said(log := StringIO()):
        (ref,) = ModelArtifact.from_dict(warned.run()).inputs
    assert (ref.digest != prepared.digest, ref.version) == (True, prepared.version)
    assert "it was changed after the task that made it" in log.getvalue()
    with pytest.raises(PaiConfigError, match="inputs_changed: 'ignore' is not allowed; one of refuse, warn"):
        training(bucket, inputs_changed="ignore").run()


def test_a_model_is_an_input_too_believed_by_its_manifest(bucket, oss):
    model = training(bucket).run()
    reads = {"command": 'cat "$PAI_INPUT_MODEL_DIR"/model > $PAI_OUTPUT_DIR/copy', "inputs": {"model": model}}
    (ref,) = ModelArtifact.from_dict(training(bucket, run_id="evaluates", **reads).run()).inputs
    assert (ref.uri, ref.version) == (model["uri"], model["version"])
    oss.put(f"{model['uri']}model", "other")
    with pytest.raises(PaiArtifactError, match="model"):
        training(bucket, run_id="again", **reads).run()


def test_equal_data_made_twice_is_the_same_data_and_trains_nothing_anew(bucket, oss):
    """Records of the runs lie beside the versions: neither digest, manifest nor a pinned copy has them."""
    root, made = f"oss://{bucket.bucket_name}/features/", []
    for version in ("20261121T1800Z-3f2a9c1b", "20261122T1800Z-aaaaaaaa"):
        oss.put(f"{root}{version}/a.csv", "x,y\n1,2\n")
        oss.put(f"{root}_runs/{version}/run.json", version)
        made.append(made_dataset(oss, ModelArtifact(name="features", version=version, uri=f"{root}{version}/")))
    assert made[0].digest == made[1].digest
    assert [column.type for column in made[0].tables[0].columns] == ["integer", "integer"]
    reuses = {"reuse": "latest", "retries": 1}
    first, second = (training(bucket, run_id=each.version, inputs={"train": each.to_dict()}, **reuses) for each in made)
    trained = first.run()
    assert (trained["reused_from"], second.run()["reused_from"]) == (None, trained["version"])


@pytest.mark.parametrize("pin", [False, True])
def test_of_a_whole_output_as_an_input_the_records_of_runs_are_told_and_not_counted(bucket, oss, pin):
    root = f"oss://{bucket.bucket_name}/in/"
    before = describe_dataset(oss, "train", root)
    oss.put(f"{root}_runs/v/run.json", "{}")
    task = training(bucket, pin=pin, command='ls -a "$PAI_INPUT_TRAIN_DIR" > $PAI_OUTPUT_DIR/seen')
    with said(log := StringIO()):
        made = ModelArtifact.from_dict(task.run())
    assert (made.inputs[0].digest, made.inputs[0].change) == (before.digest, DatasetChange())
    assert ("_runs" in oss.get(made.uri + "seen").decode().split()) is not pin
    assert f"1 objects below {root} are records of runs (_runs)" in log.getvalue()


def test_a_dsw_run_refuses_a_dataset_that_was_changed_too(bucket, oss, prepared):
    oss.delete(f"oss://{bucket.bucket_name}/in/b.csv")
    given = {"image": "notebook:1", "ecs_spec": "ecs.g6.large", "command": "true", "inputs": {"train": prepared}}
    output = f"oss://{bucket.bucket_name}/runs"
    with pytest.raises(PaiArtifactError, match=r"inputs\['train'\]: .* it was changed after the task that made it"):
        Task(lambda: DswRunCommandOperator(task_id="task", output=output, **given), run_id=bucket.bucket_name).run()
