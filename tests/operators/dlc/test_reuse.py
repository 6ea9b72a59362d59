from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.artifact import DatasetChange, DatasetRef, ModelArtifact
from airflow_provider_pai.exceptions import PaiArtifactError, PaiConfigError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.ledger import Event, Ledger
from airflow_provider_pai.manifests import read_artifact, write_artifact
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.dlc.reuse import newest_model, part_hashes, too_old, unlike, unpinned
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator
from airflow_provider_pai.operators.model import ModelGateOperator
from airflow_provider_pai.operators.workload.code import Source
from airflow_provider_pai.uri import OssUri
from tests.task import Task

# --- what a training is known by

TEXTS = st.text(max_size=5)
PARTS = st.dictionaries(
    TEXTS.filter(bool),
    st.one_of(TEXTS, st.none(), st.integers(), st.dictionaries(TEXTS, st.integers() | TEXTS, max_size=3)),
    min_size=1,
    max_size=5,
)
INPUTS = st.dictionaries(st.from_regex("[A-Za-z][A-Za-z0-9_]{0,3}", fullmatch=True), TEXTS, max_size=4)


def refs(digests, folder="a"):
    return [
        DatasetRef(name=name, uri=f"oss://{folder}/{name}/", digest=digest, size=len(folder), files=1)
        for name, digest in digests.items()
    ]


def shuffled(value, data):
    """Return JSON with the names of each object in another order."""
    if not isinstance(value, dict):
        return value
    return {name: shuffled(value[name], data) for name in data.draw(st.permutations(list(value)))}


@given(parts=PARTS, inputs=INPUTS, data=st.data())
def test_a_fingerprint_changes_with_any_single_part_and_with_no_order_and_no_place(parts, inputs, data):
    known = part_hashes(parts, refs(inputs))
    again = data.draw(st.permutations(refs(inputs, "elsewhere")))
    assert part_hashes(shuffled(parts, data), again) == known
    changed, digests = dict(parts), dict(inputs)
    name = data.draw(st.sampled_from([*parts, *(f"inputs[{name!r}]" for name in inputs)]))
    target, key = (changed, name) if name in parts else (digests, name[8:-2])
    target[key] = data.draw(st.one_of(TEXTS, st.integers(), st.none()).filter(lambda value: value != target[key]))
    other = part_hashes(changed, refs(digests))
    model = ModelArtifact(name="m", version="v", uri="oss://b/v/", fingerprint=known)
    assert unlike(model, known) == ""
    assert unlike(model, other) == f"{name} is not the same"
    gone = {part: value for part, value in known.items() if part != name}
    assert unlike(model, gone) == f"{name} is not the same"


def test_what_no_training_would_repeat_is_told():
    model = ModelArtifact(name="m", version="v", uri="oss://b/v/", created_at="2026-11-21T18:00:00Z")
    assert "no fingerprint" in unlike(model, {"image": "1"})
    ref = replace(refs({"data": "1"})[0], change=DatasetChange(replaced=("a.csv",)))
    changed = replace(model, fingerprint={"image": "1"}, inputs=(ref,))
    assert unlike(changed, {"image": "1"}) == "inputs were changed while it was trained: data"
    at = datetime(2026, 11, 22, 18, tzinfo=UTC)
    assert too_old(model, 86_399.0, at) == "it is 1 day old, reuse_for is 23 hours 59 minutes 59 seconds"
    assert [too_old(model, limit, at) for limit in (86_400.0, None)] == ["", ""]


@pytest.mark.parametrize(
    ("commit", "mount", "told"),
    [
        ("a" * 40, None, ""),
        ("b" * 64, None, ""),
        (f"sha256:{'c' * 64}", OssUri("b", "code/"), ""),
        ("main", None, "code['commit'] main"),
        ("abcdef1", None, "code['commit'] abcdef1"),
        ("crc64:123", OssUri("b", "code/"), "code['uri']"),
    ],
)
def test_code_that_may_have_changed_is_named(commit, mount, told):
    found = unpinned(Source(repo="r", commit=commit, mount=mount))
    assert (told in found, bool(found)) == (True, bool(told))
    assert unpinned(None) == ""


# --- tasks

SAVE = "echo m > $PAI_OUTPUT_DIR/model; echo '{\"accuracy\": 0.9}' > $PAI_OUTPUT_DIR/metrics.json"


@pytest.fixture
def place(bucket, connection):
    """A bucket with an input, and the operator that trains on it."""
    place = f"oss://{bucket.bucket_name}"
    OssHook().put(f"{place}/in/a.csv", "1,2")
    return place


def train(place, run_id, *, run_type="scheduled", **changes):
    given = {
        "task_id": "task",
        "framework": "xgboost",
        "ecs_spec": "ecs.g6.large",
        "image": "train:1",
        "command": SAVE,
        "inputs": {"data": f"{place}/in/"},
        "output": f"{place}/models/digits",
        "reuse": "latest",
        "poll_interval": 0.02,
        "retries": 1,
    }
    make = lambda: DlcSubmitJobOperator(**{**given, **changes})  # noqa: E731
    return Task(make, run_id=f"{place}-{run_id}", run_type=run_type)


def jobs_of(task):
    return DlcHook().find(TaskIdentity.from_context(task.context(), "https://airflow.test"))


def rows(kind):
    return [row for row in Ledger.open().rows() if row.kind == kind]


@pytest.mark.parametrize("deferrable", [True, False])
def test_where_nothing_has_changed_no_job_is_made(place, deferrable):
    first = train(place, "one", deferrable=deferrable).run()
    second = train(place, "two", deferrable=deferrable)
    assert second.run() == {**first, "reused_from": first["version"]}
    assert second.run() == {**first, "reused_from": first["version"]}  # a retry: no second row
    assert jobs_of(second) == []
    assert second.lines[-1][1].startswith(f"Nothing has changed since {first['created_at']}, no job was made")
    assert second.xcoms["pai_dlc_job_url"] == first["job"]["url"]
    (row,) = rows("reused")
    assert (row.subject, row.version, row.digest) == ("digits", first["version"], first["digest"])
    told = json.loads(row.payload)
    assert (told["run_id"], told["reuse"], told["uri"]) == (second.run_id, "latest", first["uri"])
    assert read_artifact(OssHook(), first["uri"]).reused_from is None


def refuse(first, kind, **payload):
    model = ModelArtifact.from_dict(first)
    about = replace(model, version="other", digest="sha256:other") if kind == "restored" else model
    Ledger.open().record(
        Event(key=kind, kind=kind, subject="digits", version=about.version, digest=about.digest, payload=payload)
    )


WHY = {
    "clear": "since the task was cleared",
    "backfill": "as in every backfill run",
    "input": "inputs['data'] is not the same",
    "more": "command, parameters are not the same",
    "old": "reuse_for is 0.1 seconds",
    "gate_failed": "gate_failed on",
    "rolled_back": "rolled_back on",
    "restored": "restored on",
    "torn": "no complete model lies below",
    "doubt": "nobody knows whether it was refused",
}


@pytest.mark.parametrize("case", WHY)
def test_whatever_has_changed_or_was_refused_is_trained_again_and_the_log_says_why(place, case, monkeypatch):
    first = train(place, "one").run()
    second = train(place, "two")
    if case == "clear":
        second.max_tries = 2
    elif case == "backfill":
        second.run_type = "backfill"
    elif case == "input":
        OssHook().put(f"{place}/in/a.csv", "1,3")
    elif case == "more":
        second = train(place, "two", command=f"{SAVE} ", parameters={"depth": 3})
    elif case == "old":
        second = train(place, "two", reuse_for=0.1)
    elif case in ("gate_failed", "rolled_back"):
        refuse(first, case)
    elif case == "restored":
        refuse(first, case, previous_digest=first["digest"])
    elif case == "torn":
        OssHook().put(f"{first['uri']}model", "another")
    else:
        monkeypatch.setattr(Ledger, "refusals", None)
    result = second.run()
    assert (result["version"] != first["version"], result["reused_from"]) == (True, None)
    assert [job.status for job in jobs_of(second)] == ["Succeeded"]
    (line,) = [words for _, words in second.lines if words.startswith("A job trains, ")]
    assert WHY[case] in line
    assert rows("reused") == []


def test_a_job_that_runs_already_is_gone_on_with(place):
    """A model that is good enough has come meanwhile: the job would run on unseen."""
    second = train(place, "two", command=f"sleep 0.5; {SAVE}")
    job_id = DlcHook().submit(second.make().build(second.context(), second.make().identity(second.context()), 1))
    train(place, "one", command=f"sleep 0.5; {SAVE}").run()
    second.try_number, second.store = 1, {"pai_job": {"job_id": job_id}}
    result = second.run()
    assert (result["job"]["id"], result["reused_from"]) == (job_id, None)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"output": None}, "reuse"),
        ({"reuse": "last"}, "reuse"),
        ({"reuse": "serving"}, "group"),
        ({"warm_start": "serving"}, "group"),
        ({"image": "registry.example.com:5000/train"}, "image"),
        ({"image": "train:latest"}, "image"),
        ({"reuse": False, "reuse_for": "7d"}, "reuse_for"),
        ({"reuse_for": "soon"}, "reuse_for"),
        ({"warm_start": "oss://one/m/", "inputs": {"previous": "oss://one/x/"}}, "inputs"),
    ],
)
def test_bad_input_names_the_field(place, changes, field):
    task = train(place, "bad", **changes)
    with pytest.raises(PaiConfigError) as caught:
        task.run()
    assert caught.value.field == field
    assert jobs_of(task) == []


def test_the_newest_model_is_of_the_latest_data_then_the_last_trained(bucket, connection):
    parent = OssUri.parse(f"oss://{bucket.bucket_name}/models")
    assert newest_model(OssHook(), parent) is None
    for version, created_at in (
        ("20261120T1800Z-eeeeeeee", "2026-11-25T00:00:00Z"),
        ("20261121T1800Z-aaaaaaaa", "2026-11-23T00:00:00Z"),
        ("20261121T1800Z-bbbbbbbb", "2026-11-22T00:00:00Z"),
    ):
        uri = f"{parent}/{version}/"
        OssHook().put(f"{uri}model", "m")
        write_artifact(OssHook(), ModelArtifact(name="m", version=version, uri=uri, created_at=created_at))
    OssHook().put(f"{parent}/20991231T0000Z-00000000/model", "no manifest")
    OssHook().put(f"{parent}/_runs/_manifest.json", "no version")
    assert newest_model(OssHook(), parent).version == "20261121T1800Z-aaaaaaaa"


# --- models that serve

GO_ON = f"cat $PAI_INPUT_PREVIOUS_DIR/model >> $PAI_OUTPUT_DIR/model; {SAVE.replace(' > ', ' >> ')}"


def test_a_training_goes_on_from_another_model_which_is_one_of_its_inputs(place):
    first = train(place, "one").run()
    other = {"command": GO_ON, "output": f"{place}/models/warm"}
    warm = train(place, "warm", warm_start=first, **other).run()
    (ref,) = [ref for ref in warm["inputs"] if ref["name"] == "previous"]
    assert (ref["uri"], ref["digest"][:7]) == (first["uri"], "sha256:")
    assert OssHook().get(f"{warm['uri']}model") == b"m\nm\n"
    again = train(place, "again", warm_start=first["uri"], **other).run()
    assert again["reused_from"] == warm["version"]
    with pytest.raises(PaiArtifactError, match="it was changed"):
        train(place, "torn", warm_start={**first, "digest": "sha256:0"}).run()


def test_what_a_group_serves_is_taken_trained_on_from_and_not_rolled_out_again(place, group):
    def tonight(run_id):
        return train(place, run_id, reuse="serving", warm_start="serving", group=group.name, command=command)

    def deploy(model, run_id):
        return Task(lambda: EasCanaryDeployOperator(**group.arguments(model)), run_id=run_id)

    command = f'echo \'{{"version": "one"}}\' > $PAI_OUTPUT_DIR/model.json; {SAVE}'
    first = tonight("one").run()
    assert [ref["name"] for ref in first["inputs"]] == ["data"]
    deployed = deploy(first, "one").run()
    second = tonight("two")
    assert second.run()["reused_from"] == first["version"]
    gate = Task(lambda: ModelGateOperator(task_id="task", artifact=second.xcoms["return_value"], group=group.name))
    assert gate.run()["passed"] is True
    again = deploy(second.xcoms["return_value"], "two")
    ended = again.run()
    assert ended["service"] == ended["reason"].partition(" ")[0] == deployed["service"]
    assert (ended["outcome"], ended["steps"], ended["previous"]) == ("unchanged", [], None)
    assert again.xcoms["summary"].startswith(f"{first['version']} serves already, nothing was rolled out")
    kinds = ["usage", "artifact_produced", "deployed", "reused", "gate_passed"]  # what a job has used: of one alone
    assert [row.kind for row in Ledger.open().rows()] == kinds
    OssHook().put(f"{place}/in/b.csv", "4")
    third = tonight("three").run()
    assert third["reused_from"] is None
    assert {ref["name"]: ref["uri"] for ref in third["inputs"]}["previous"] == first["uri"]
