"""Events as tasks and artifacts make them, and the keys that keep each to one row."""

from dataclasses import replace

from airflow_provider_pai.artifact import ModelArtifact
from airflow_provider_pai.labels import ServedModel
from airflow_provider_pai.ledger import Event, EventKind, Ledger
from tests.test_identity import ME


def test_an_event_of_a_task_tells_it_and_bears_its_cycle_in_the_key():
    model = ServedModel(version="v1", digest="sha256:1")
    event = Event.of(EventKind.PROMOTED, "digits", ME, model, {"outcome": "promoted"})
    assert event == Event(
        key=f"promoted/digits/{ME.task}/2",
        kind=EventKind.PROMOTED,
        subject="digits",
        version="v1",
        digest="sha256:1",
        payload={"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "outcome": "promoted"},
    )
    assert Event.of(EventKind.PROMOTED, "digits", ME._replace(try_number=7), model, {}).key == event.key
    assert Event.of(EventKind.PROMOTED, "digits", ME._replace(cycle=3), model, {}).key == f"promoted/digits/{ME.task}/3"
    step = Event.of(EventKind.DEPLOYMENT_STEP, "digits", ME, model, {}, number=0)
    assert step.key == f"deployment_step/digits/{ME.task}/2/0"
    assert Event.of(EventKind.GATE_FAILED, "digits", ME, model, {}, key="gate/x").key == "gate/x"


def test_an_artifact_has_one_row_whatever_the_length_of_its_address(tmp_path):
    uri = f"oss://bucket/{'deep/' * 60}20261121T1800Z-3f2a9c1b/"
    artifact = ModelArtifact(name="digits", version="20261121T1800Z-3f2a9c1b", uri=uri, digest="sha256:1")
    event = Event.produced(artifact)
    assert (len(event.key), event.key.endswith("/20261121T1800Z-3f2a9c1b/")) == (191, True)
    assert (event.subject, event.version, event.digest) == ("digits", artifact.version, "sha256:1")
    assert event.payload == artifact.to_dict()
    ledger = Ledger.at(tmp_path / "ledger.sqlite")
    assert [ledger.record(event), ledger.record(event)] == [True, False]
    assert Event.produced(replace(artifact, uri="oss://b/m/v/")).key == "artifact/oss://b/m/v/"
