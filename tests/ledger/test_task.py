"""Ledger as a task uses it: it raises for nothing, asks a dead database once, and loses no row."""

from __future__ import annotations

import json
import logging

import pytest

from airflow_provider_pai.cli.__main__ import main
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.ledger import Event, EventKind, Ledger
from airflow_provider_pai.ledger.task import TaskLedger
from airflow_provider_pai.uri import OssUri
from tests.conftest import airflow_connection
from tests.dead import WAYS, dead

pytestmark = pytest.mark.usefixtures("connection")

log = logging.getLogger("task")


def event(key, **changes):
    return Event(**{"key": key, "kind": EventKind.PROMOTED, "subject": "digits", "payload": {"n": 1}, **changes})


def ledger():
    return TaskLedger(OssHook(), None, log)


def rows():
    return [row.event_key for row in Ledger.open().rows()]


def below(uri):
    return [str(info.uri) for info in OssHook().list_objects(uri)]


@pytest.fixture
def beside(bucket):
    """Where an artifact lies."""
    return f"oss://{bucket.bucket_name}/models/v1/"


@pytest.fixture
def state(bucket, pai, monkeypatch):
    """A connection that names a home."""
    uri = f"oss://{bucket.bucket_name}/state/"
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai, state_uri=uri)))
    return uri


@pytest.mark.parametrize("way", WAYS)
def test_what_can_t_be_written_waits_and_the_next_task_writes_it_in_its_turn(way, beside, bucket, caplog):
    with dead(way):
        one = ledger()
        for key in ("z", "b", "a"):
            one.record(event(key), beside)
    assert rows() == []
    waiting = below(OssUri(bucket.bucket_name, ".pai/ledger/"))
    assert len(waiting) == 3
    lines = [record.getMessage() for record in caplog.records if record.name == "task"]
    assert len(lines) == 3
    assert lines[0].startswith("Ledger row z waits in oss://")
    assert lines[0].endswith("; the next task that records writes it, or `airflow pai ledger flush`")
    ledger().record(event("c"), beside)
    assert rows() == ["z", "b", "a", "c"]
    assert below(OssUri(bucket.bucket_name, ".pai/ledger/")) == []
    assert Ledger.open().verify() == []


def test_a_dead_database_is_waited_for_once_a_task(beside):
    with dead("refused") as database:
        one = ledger()
        for key in "abcd":
            one.record(event(key), beside)
        assert one.served("digits", beside).doubt.startswith("the ledger can't be read (")
        assert database.asked == 1


def test_a_home_that_is_configured_is_the_place_to_wait(state):
    with dead("refused"):
        ledger().record(event("a"))
    (uri,) = below(state)
    assert uri.startswith(f"{state}ledger/")


def test_two_ledgers_below_one_home_have_an_outbox_each(state):
    with dead("refused"):
        ledger().record(event("a"))
        TaskLedger(OssHook(), "another", log).record(event("b"))
    ledger().record(event("c"))
    assert rows() == ["a", "c"]


def test_without_a_place_the_log_has_the_row_whole_and_the_command_writes_it(caplog, tmp_path, capsys):
    with dead("refused"):
        ledger().record(event("a", payload={"loss": 'a "text" with {braces}'}))
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert line.startswith(
        "LEDGER ROW IN NO DATABASE AND NO OUTBOX, keep this line for `airflow pai ledger flush --file`"
    )
    assert "the connection names no state_uri" in line
    file = tmp_path / "task.log"
    others = "[2026-11-28] INFO - 另一行\n".encode("gbk")
    file.write_bytes(others + line.replace("braces", "br\xe4ces").encode("latin-1"))
    with pytest.raises(SystemExit, match="--file: 'line 2' is not allowed; rows as they were logged"):
        main(["ledger", "flush", "--file", str(file)])
    file.write_bytes(others + f"[2026-11-28] ERROR - {line}\n".encode())
    main(["ledger", "flush", "--file", str(file)])
    assert capsys.readouterr().out.endswith(f"1 rows of {file} are written\n")
    (row,) = Ledger.open().rows()
    assert (row.event_key, json.loads(row.payload)["loss"]) == ("a", 'a "text" with {braces}')


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 403, "code": "AccessDenied"}, {"drop": "request"}])
def test_oss_that_is_down_together_with_the_database_raises_nothing(beside, pai, caplog, fault, monkeypatch):
    monkeypatch.setattr("airflow_provider_pai.ledger.task.OUTBOX_SECONDS", 1.0)
    pai.account.faults.add(match="^oss (POST|PUT|GET)", **fault)
    with dead("refused"):
        ledger().record(event("a"), beside)
        assert ledger().served("digits", beside).rows == ()
    assert "LEDGER ROW IN NO DATABASE AND NO OUTBOX" in caplog.text


def test_oss_that_is_down_alone_is_no_reason_not_to_write(beside, pai, caplog, monkeypatch):
    monkeypatch.setattr("airflow_provider_pai.ledger.task.OUTBOX_SECONDS", 1.0)
    pai.account.faults.add(match="^oss", status=503)
    ledger().record(event("a"), beside)
    assert rows() == ["a"]
    assert "can't be looked at: " in caplog.text


def test_a_broken_object_is_named_and_bars_nobody(beside, bucket, caplog):
    with dead("refused"):
        ledger().record(event("a"), beside)
    (uri,) = below(OssUri(bucket.bucket_name, ".pai/ledger/"))
    broken = OssUri.parse(uri).parent.join("broken.json")
    OssHook().put(broken, "{")
    ledger().record(event("b"), beside)
    assert rows() == ["a", "b"]
    assert f"A ledger row waits: {broken} is no event that can be read, and stays" in caplog.text
    assert ledger().served("digits", beside).doubt == ""


def test_a_ledger_that_may_be_one_of_many_is_doubted_and_told_once(monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    one = ledger()
    one.record(event("a"))
    one.record(event("b"))
    told = one.served("digits")
    assert [row.event_key for row in told.rows] == ["a", "b"]
    assert told.doubt == "under CeleryExecutor each worker machine writes an SQLite file of its own"
    assert caplog.text.count("ONE OF MANY") == 1


def test_what_waits_is_in_the_ledger_before_it_tells(beside):
    with dead("refused"):
        ledger().record(event("a"), beside)
    assert [row.event_key for row in ledger().served("digits", beside).rows] == ["a"]


def test_the_command_empties_an_outbox_and_says_what_stays(state, beside, bucket, capsys, pai, monkeypatch):
    with dead("refused"):
        for key in "ab":
            ledger().record(event(key))
    (first, _) = below(state)
    broken = OssUri.parse(first).parent.join("broken.json")
    OssHook().put(broken, "{")
    with pytest.raises(SystemExit, match=f"{broken} is no event that can be read, and stays"):
        main(["ledger", "flush"])
    assert "2 rows that waited in oss://" in capsys.readouterr().out
    assert sorted(rows()) == ["a", "b"]
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai)))
    with pytest.raises(SystemExit, match="--bucket oss://…: connection pai_default has no state_uri"):
        main(["ledger", "flush"])
    main(["ledger", "flush", "--bucket", beside])


def test_an_artifact_lies_where_its_training_has_recorded_it(beside):
    artifact = event("a", kind=EventKind.ARTIFACT_PRODUCED, version="v1", payload={"uri": "oss://b/m/"})
    with dead("refused"):
        ledger().record(artifact, beside)
        assert ledger().artifact_uri("v1", beside) is None
    assert ledger().artifact_uri("v1", beside) == "oss://b/m/"
    assert ledger().artifact_uri("v2", beside) is None


def test_a_promotion_leaves_an_anchor_whoever_writes_its_row(state):
    with dead("refused"):
        ledger().record(event("a"))
    ledger().record(event("b"))
    assert sorted(uri.rpartition("/")[2][:12] for uri in below(state) if "/anchors/" in uri) == [
        "000000000001",
        "000000000002",
    ]
