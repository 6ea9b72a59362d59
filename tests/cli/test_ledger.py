"""`airflow pai ledger migrate` and `verify`, as a person and a machine read them."""

import json
import sqlite3

import pytest

from airflow_provider_pai.cli.__main__ import main
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.ledger import Anchors, Event, EventKind, Ledger
from airflow_provider_pai.ledger.databases import sqlite_file
from tests.conftest import airflow_connection

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def path(tmp_path, monkeypatch, pai, bucket):
    state = f"oss://{bucket.bucket_name}/state/{tmp_path.name}"
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai, state_uri=state)))
    monkeypatch.setenv("AIRFLOW_CONN_AUDIT", f"sqlite://{tmp_path}/audit.sqlite")
    return tmp_path / "audit.sqlite"


def ask(capsys, *arguments):
    """Return how a command ended, and what it printed."""
    capsys.readouterr()  # what Airflow 2.11 has logged before
    code = 0
    try:
        main(["ledger", *arguments, "--ledger-conn-id", "audit"])
    except SystemExit as end:
        code = end.code
    return code, capsys.readouterr().out.splitlines()


def record(path, *keys):
    ledger = Ledger(sqlite_file(path), Anchors.of(OssHook(), "audit").keep)
    for key in keys:
        ledger.record(Event(key=key, kind=EventKind.PROMOTED, subject="digits"))


def test_tables_are_made_once(path, capsys):
    said = "connection audit: version 1 of the ledger's tables"
    assert ask(capsys, "migrate") == (0, [f"{said} was made"])
    assert ask(capsys, "migrate") == (0, [f"{said} is there, nothing to do"])
    assert list(Ledger.at(path).rows()) == []


def test_a_database_that_can_not_be_reached_is_told_in_a_line(path, capsys):
    path.mkdir()
    code, said = ask(capsys, "migrate")
    assert said == []
    assert code.startswith("connection audit: nothing was made: its database says OperationalError: unable to open")
    code, _ = ask(capsys, "verify")
    assert code.startswith("NOT VERIFIED: its database says OperationalError: unable to open")


def test_what_nobody_has_changed_is_told_with_what_it_was_held_against(path, capsys):
    record(path, "a", "b")
    code, (line,) = ask(capsys, "verify")
    assert code == 0
    assert line.startswith(
        "OK: 2 rows of connection audit follow each other and fit 2 anchors, the last of which is row 2, kept 20"
    )
    code, lines = ask(capsys, "verify", "--json")
    found = json.loads("\n".join(lines))
    assert (code, found.pop("ledger"), found.pop("faults")) == (0, "connection audit", [])
    assert found == {"ok": True, "rows": 2, "anchors": 2, "anchored_row": 2}


def test_without_anchors_it_says_what_would_not_show(path, capsys, monkeypatch, pai):
    assert ask(capsys, "verify") == (
        0,
        [
            "OK: 0 rows of connection audit follow each other; without anchors (none is kept yet) a missing end or a "
            "chain written anew does not show"
        ],
    )
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai)))
    assert "without anchors (no state_uri to keep any in)" in ask(capsys, "verify")[1][0]


def test_the_decision_comes_first_then_each_fault_in_a_line(path, capsys):
    record(path, *"abcd")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE pai_ledger SET version = 'v9' WHERE seq = 1")
        connection.execute("DELETE FROM pai_ledger WHERE seq = 4")
    code, (decision, *found) = ask(capsys, "verify")
    assert (code, decision) == (1, "BROKEN: 2 faults in connection audit, 3 rows")
    assert [line.split(":")[0] for line in found] == ["row 1 was changed", "row 4 is missing at the end"]
    code, lines = ask(capsys, "verify", "--json")
    assert code == 1
    assert json.loads("\n".join(lines))["ok"] is False


def test_a_connection_that_is_not_there_is_told_in_a_line(path, capsys, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_AUDIT")
    code, _ = ask(capsys, "migrate")
    assert code.startswith("connection audit: nothing was made: connection audit can't be used: The conn_id `audit`")
