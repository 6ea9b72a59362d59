"""One connection to a database: its statements, its lock, and errors that are ours."""

import sqlite3

import pytest

from airflow_provider_pai.ledger.databases import sqlite_file
from airflow_provider_pai.ledger.events import LedgerError
from airflow_provider_pai.ledger.sessions import DIALECTS, DatabaseSession, session


@pytest.fixture
def hook(tmp_path):
    return sqlite_file(tmp_path / "ledger.sqlite")


def test_what_is_not_committed_is_undone(hook):
    with session(hook) as opened:
        opened.run("CREATE TABLE t (a)")
        opened.commit()
        opened.lock()
        opened.run("INSERT INTO t VALUES (?)", 1)
    with session(hook) as opened:
        assert opened.run("SELECT * FROM t") == []


def test_a_writer_waits_for_the_one_before(hook):
    with session(hook) as opened:
        opened.run("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="database is locked"):
            lock_at_once(hook)


def test_a_session_may_lock_again(hook):
    with session(hook) as opened:
        opened.lock()
        opened.lock()


def lock_at_once(hook):
    with session(hook) as opened:
        opened.run("PRAGMA busy_timeout = 1")
        opened.lock()


class Busy:
    """A MySQL connection whose lock was waited for in vain."""

    description = True

    def __init__(self):
        self.asked = []

    def cursor(self):
        return self

    def execute(self, sql, values):
        self.asked.append(sql)

    def fetchall(self):
        return [(0,)]

    def commit(self):
        self.asked.append("commit")


def test_a_lock_that_was_waited_for_in_vain_is_told():
    opened = DatabaseSession(busy := Busy(), "%s", DIALECTS["mysql"])
    with pytest.raises(LedgerError, match="another writer has held it for a minute"):
        opened.lock()
    assert busy.asked == ["commit", *DIALECTS["mysql"].lock]
    opened.run("SELECT ?, ?", 1, 2)
    assert busy.asked[-1] == "SELECT %s, %s"


class Failing:
    """A hook of a database that can't be reached."""

    conn_type = "postgres"

    def get_conn(self):
        raise ConnectionError("refused")


def test_every_error_of_a_driver_is_ours(hook):
    with pytest.raises(LedgerError, match="ConnectionError: refused"), session(Failing()):
        pass
    with pytest.raises(LedgerError, match="no such table") as raised, session(hook) as opened:
        opened.run("SELECT * FROM missing")
    assert isinstance(raised.value.__cause__, sqlite3.OperationalError)


def test_a_database_of_another_type_keeps_no_ledger(monkeypatch):
    monkeypatch.setattr(Failing, "conn_type", "redshift")
    with pytest.raises(LedgerError, match="type redshift; name one of sqlite, postgres, mysql"), session(Failing()):
        pass
