"""Events as tasks and artifacts make them, and the keys that keep each to one row."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.artifact import ModelArtifact
from airflow_provider_pai.labels import ServedModel
from airflow_provider_pai.ledger import Event, EventKind, Ledger
from airflow_provider_pai.ledger.events import GENESIS, Row, lookup
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
    assert event.key == f"artifact/{uri}"
    assert (event.subject, event.version, event.digest) == ("digits", artifact.version, "sha256:1")
    assert event.payload == artifact.to_dict()
    ledger = Ledger.at(tmp_path / "ledger.sqlite")
    assert [ledger.record(event), ledger.record(event)] == [True, False]
    other = Event.produced(replace(artifact, uri=uri.replace("bucket", "other")))
    assert ledger.record(other), "only the beginning of its address is another"


def row_of(**changes):
    given = {"key": "k", "kind": EventKind.PROMOTED, "subject": "digits", **changes}
    return Row.of(Event(**given), None, datetime(2026, 11, 28, 23, 30, tzinfo=timezone(timedelta(hours=8))))


def test_a_row_follows_another_and_tells_its_day_in_utc():
    first = row_of(version="v1")
    assert (first.seq, first.previous_hash, first.day, first.hash) == (1, GENESIS, "2026-11-28", first.content_hash)
    second = Row.of(Event(key="l", kind=EventKind.STOPPED, subject="digits"), first, datetime.now(UTC))
    assert (second.seq, second.previous_hash) == (2, first.hash)
    assert second.subject_sha256 == first.subject_sha256 == lookup("digits")
    assert (first.version_sha256, second.version_sha256) == (lookup("v1"), lookup(""))


@pytest.mark.parametrize("field", [name for name in Row._fields if name != "hash"])
def test_each_field_of_a_row_stands_in_its_hash(field):
    row = row_of()
    assert row._replace(**{field: 7 if field == "seq" else "x"}).content_hash != row.hash


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values), st.text())
def test_whatever_a_payload_and_a_subject_are_the_row_can_be_stored(payload, subject):
    row = row_of(payload=payload, subject=subject)
    assert json.dumps(json.loads(row.payload), sort_keys=True, allow_nan=False) == row.payload
    assert row.payload.isascii()
    assert "\0" not in row.subject
    assert row.subject.encode().decode() == row.subject


def test_numbers_that_json_has_not_are_kept_as_texts():
    row = row_of(payload={"loss": float("nan"), "best": [float("-inf"), 0.5], "at": datetime(2026, 1, 1)})
    payload = json.loads(row.payload)
    assert payload.pop("row_schema_version") == 1
    assert payload == {"loss": "nan", "best": ["-inf", 0.5], "at": "2026-01-01 00:00:00"}
