"""The ledger on real servers: first uses at once, writers at once, a user who may only read and append, long texts."""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_pai.ledger import Event, EventKind, Ledger, LedgerError
from airflow_provider_pai.ledger.schema import migrate
from airflow_provider_pai.ledger.sessions import session
from airflow_provider_pai.testing.processes import Component, stop_all
from tests import servers

# MySQL takes a guest that it finds by name and host before the one without a name that some installations have.
USER = {"postgres": "guest{}", "mysql": "guest{}@localhost"}


class Server:
    """A server of the tests' own.

    :param kind: type of its connections.
    """

    def __init__(self, kind, port):
        self.kind = kind
        self.port = port
        self.count = 0

    def fresh(self, monkeypatch):
        """Make a database and its connections: `owner` and, who may do nothing yet, `guest`."""
        self.count += 1
        name = f"ledger{self.count}"
        self.connection(monkeypatch, "owner", "root", "postgres" if self.kind == "postgres" else "")
        self.run(f"CREATE DATABASE {name}")
        self.connection(monkeypatch, "owner", "root", name)
        self.user = USER[self.kind].format(self.count)
        self.run(f"CREATE USER {self.user}")
        self.connection(monkeypatch, "guest", f"guest{self.count}", name)
        return self

    def connection(self, monkeypatch, conn_id, user, database):
        uri = f"{self.kind}://{user}@127.0.0.1:{self.port}/{database}"
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", uri)

    def run(self, *statements):
        hook = BaseHook.get_hook("owner")
        hook.run(list(statements), autocommit=True)

    def grant(self, rights, table):
        self.run(f"GRANT {rights} ON {table} TO {self.user}")


@pytest.fixture(scope="module", params=["postgres", "mysql"])
def server(request):
    pytest.importorskip(f"airflow.providers.{request.param}.hooks.{request.param}")
    components = []

    def run(name, command):
        components.append(Component(name, command, environment=os.environ, logs=Path(folder) / "logs"))
        return components[-1]

    # A socket's path is short.
    with tempfile.TemporaryDirectory(prefix="pai") as folder:
        try:
            yield Server(request.param, servers.start(getattr(servers, request.param), Path(folder), run))
        except servers.MissingError as error:
            pytest.skip(str(error))
        finally:
            stop_all(components)


@pytest.fixture
def database(server, monkeypatch):
    return server.fresh(monkeypatch)


def event(key, **changes):
    return Event(**{"key": key, "kind": EventKind.PROMOTED, "subject": "digits", "payload": {"n": 1}, **changes})


@pytest.mark.usefixtures("database")
def test_first_uses_and_writers_at_once_lose_nothing():
    with ThreadPoolExecutor(16) as pool:
        written = list(pool.map(lambda number: Ledger.open("owner").record(event(f"e{number % 32}")), range(64)))
    ledger = Ledger.open("owner")
    assert sum(written) == 32
    assert sorted(row.event_key for row in ledger.rows()) == sorted(f"e{number}" for number in range(32))
    assert ledger.verify() == []


def test_who_may_make_no_tables_is_told_who_has_to_and_then_reads_and_appends(database):
    if database.kind == "mysql":
        database.grant("SELECT", f"ledger{database.count}.*")
    else:
        database.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    guest = Ledger.open("guest")
    with pytest.raises(LedgerError, match=r"not there, .* denied .* run `airflow pai ledger migrate` once, as a user"):
        guest.record(event("a"))
    with session(BaseHook.get_hook("owner")) as opened:
        assert migrate(opened) == [1]
        assert migrate(opened) == []
    database.grant("SELECT, INSERT", "pai_ledger")
    database.grant("SELECT", "pai_ledger_schema")
    assert [guest.record(event("a")), guest.record(event("a")), guest.record(event("b"))] == [True, False, True]
    assert [row.event_key for row in guest.of_subject("digits", [EventKind.PROMOTED])] == ["b", "a"]
    assert guest.verify() == []


@pytest.mark.usefixtures("database")
def test_texts_of_any_length_case_and_script_are_kept_apart():
    ledger = Ledger.open("owner")
    keys = ["a", "A", "a ", "å", "数字", "k" * 191, "k" * 192, "é" * 3000, "\0"]
    assert all(ledger.record(event(key, subject=key, version=key)) for key in keys)
    assert not any(ledger.record(event(key)) for key in keys)
    assert ledger.verify() == []
    for key in keys[:-1]:
        assert [row.subject for row in ledger.of_subject(key, [EventKind.PROMOTED])] == [key]
    assert ledger.record(event("long", payload={"text": "字" * 100_000}))
    assert len(list(ledger.rows())[-1].payload) > 600_000


def test_a_table_that_was_dropped_is_made_again_by_who_records_next(database):
    ledger = Ledger.open("owner")
    ledger.record(event("a"))
    database.run("DROP TABLE pai_ledger")
    assert list(ledger.rows()) == []
    assert ledger.record(event("b"))
    assert [row.seq for row in ledger.rows()] == [1]


def test_every_question_has_an_index(database):
    Ledger.open("owner").record(event("a"))
    with session(BaseHook.get_hook("owner")) as opened:
        if database.kind == "postgres":
            opened.run("SET enable_seqscan = off")  # a small table is read whole
        for where in (
            "event_key_sha256 = 'x'",
            "subject_sha256 = 'x' AND kind IN ('a', 'b') AND seq < 9",
            "version_sha256 = 'x' AND kind = 'a' AND seq > 0",
        ):
            plan = str(opened.run(f"EXPLAIN SELECT * FROM pai_ledger WHERE {where}"))
            # MySQL has looked into a unique index before it plans.
            assert any(sign in plan for sign in ("Index", "sha256", "const tables")), plan
            assert "Seq Scan" not in plan, plan
