"""Heads of the chain on OSS: kept by whoever records, and proof against whoever changes the database."""

import json
import logging
import sqlite3

import pytest

from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.ledger import Anchors, Event, EventKind, Ledger
from airflow_provider_pai.ledger.databases import sqlite_file
from airflow_provider_pai.uri import OssUri
from tests.conftest import airflow_connection

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def anchors(pai, bucket, tmp_path, monkeypatch):
    state = f"oss://{bucket.bucket_name}/state/{tmp_path.name}"
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai, state_uri=state)))
    return Anchors.of(OssHook(), None)


@pytest.fixture
def ledger(path, anchors):
    ledger = Ledger(sqlite_file(path), anchors.keep)
    for key in "abc":
        ledger.record(Event(key=key, kind=EventKind.PROMOTED, subject="digits"))
    return ledger


def test_what_is_kept_is_what_stands(ledger, anchors):
    assert [(anchor.seq, anchor.hash) for anchor in anchors.kept()] == [(row.seq, row.hash) for row in ledger.rows()]
    assert ledger.verify(anchors.kept()) == []
    anchors.keep(next(ledger.rows()))
    assert len(list(anchors.kept())) == 3


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ("UPDATE pai_ledger SET payload = '[]' WHERE seq = 2", "row 2 was changed"),
        ("DELETE FROM pai_ledger WHERE seq = 2", "row 2 is missing: row 3 is the next"),
        ("DELETE FROM pai_ledger WHERE seq = 3", "row 3 is missing at the end: row 3 was there on 20"),
        ("DELETE FROM pai_ledger", "rows 1 to 3 are missing at the end: row 3 was there on 20"),
        ("DROP TABLE pai_ledger", "rows 1 to 3 are missing at the end: row 3 was there on 20"),
    ],
)
def test_what_was_done_to_the_table_shows(path, ledger, anchors, damage, fault):
    with sqlite3.connect(path) as connection:
        connection.execute(damage)
    found = ledger.verify(anchors.kept())
    assert [each for each in found if each.startswith(fault)], found


def test_a_chain_that_was_written_anew_shows(path, ledger, anchors):
    path.unlink()
    anew = Ledger.at(path)
    for key in "cba":
        anew.record(Event(key=key, kind=EventKind.PROMOTED, subject="digits"))
    assert anew.verify() == []
    (found,) = anew.verify(anchors.kept())
    assert found.startswith("row 1 is not the one that was there on 20")


def test_two_ledgers_below_one_home_have_anchors_of_their_own(ledger, anchors):
    assert list(anchors.kept())
    assert list(Anchors.of(OssHook(), "audit").kept()) == []


def test_without_a_home_there_are_none(monkeypatch, pai):
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai)))
    assert Anchors.of(OssHook(), None) is None


def test_an_anchor_that_fails_fails_nothing(path, caplog, monkeypatch):
    oss = OssHook()
    monkeypatch.setattr(oss, "_log", logging.getLogger("here"))  # Airflow's own goes past pytest
    nowhere = Anchors(oss, OssUri.parse("oss://no-such-bucket/anchors"))
    assert Ledger(sqlite_file(path), nowhere.keep).record(Event(key="a", kind=EventKind.PROMOTED, subject="digits"))
    assert "Row 1 of the ledger has no anchor in oss://no-such-bucket/anchors/: " in caplog.text
