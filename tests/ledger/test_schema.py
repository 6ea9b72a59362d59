"""Tables of the ledger: made once, by whoever may, and by nobody who only reads."""

import pytest

from airflow_provider_pai.ledger import schema
from airflow_provider_pai.ledger.databases import sqlite_file
from airflow_provider_pai.ledger.events import LedgerError
from airflow_provider_pai.ledger.schema import LATEST, ensure_tables, migrate, schema_version
from airflow_provider_pai.ledger.sessions import session


@pytest.fixture
def opened(tmp_path):
    with session(sqlite_file(tmp_path / "ledger.sqlite")) as one:
        yield one


def test_tables_are_made_once(opened):
    assert schema_version(opened) == 0
    assert migrate(opened) == list(range(1, LATEST + 1))
    assert migrate(opened) == []
    assert schema_version(opened) == LATEST


def test_a_table_that_was_dropped_is_made_again(opened):
    migrate(opened)
    opened.run("DROP TABLE pai_ledger")
    assert schema_version(opened) == 0
    assert migrate(opened) == list(range(1, LATEST + 1))


def test_a_later_version_adds_to_what_is_there(opened, monkeypatch):
    migrate(opened)
    opened.run("INSERT INTO pai_ledger_schema VALUES (?, 'x')", LATEST + 1)
    ensure_tables(opened)
    assert migrate(opened) == [], "a ledger that a newer release has made is left as it is"
    opened.run("DELETE FROM pai_ledger_schema WHERE version > ?", LATEST)
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, ("ALTER TABLE pai_ledger ADD COLUMN more {text}",)))
    monkeypatch.setattr(schema, "LATEST", LATEST + 1)
    ensure_tables(opened)
    assert opened.run("SELECT more FROM pai_ledger") == []
    assert schema_version(opened) == LATEST + 1


def test_who_may_not_make_tables_is_told_who_has_to(opened):
    opened.run("PRAGMA query_only = 1")
    with pytest.raises(LedgerError) as raised:
        ensure_tables(opened)
    assert str(raised.value) == (
        "its tables are not there, and could not be made (attempt to write a readonly database): "
        "run `airflow pai ledger migrate` once, as a user of the database who may make tables"
    )
