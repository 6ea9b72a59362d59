import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_pai.ledger import Event, EventKind, Ledger


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def event(key, **changes):
    return Event(**{"key": key, "kind": EventKind.PROMOTED, "subject": "digits", "payload": {"n": 1}, **changes})


def test_an_event_is_written_once(path):
    ledger = Ledger.at(path)
    assert ledger.record(event("a", version="v1", digest="sha256:1"))
    assert not ledger.record(event("a"))
    (row,) = ledger.rows()
    assert (row.seq, row.kind, row.subject, row.version, row.payload) == (1, "promoted", "digits", "v1", '{"n": 1}')


def test_rows_survive_reopening_and_chain(path):
    Ledger.at(path).record(event("a"))
    ledger = Ledger.at(path)
    ledger.record(event("b"))
    first, second = ledger.rows()
    assert second.previous_hash == first.hash
    assert ledger.verify() == []


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("UPDATE pai_ledger SET payload = '{}' WHERE seq = 2", "row 2 was changed"),
        ("DELETE FROM pai_ledger WHERE seq = 2", "row 2 is missing"),
        ("UPDATE pai_ledger SET previous_hash = 'x' WHERE seq = 3", "row 3 does not follow"),
    ],
)
def test_a_changed_or_missing_row_shows(path, damage, problem):
    ledger = Ledger.at(path)
    for key in "abc":
        ledger.record(event(key))
    with sqlite3.connect(path) as connection:
        connection.execute(damage)
    assert any(problem in found for found in ledger.verify())


def test_writers_at_the_same_time_lose_nothing(path):
    Ledger.at(path)

    def write(number):
        return Ledger.at(path).record(event(f"e{number % 20}"))

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(write, range(40)))
    ledger = Ledger.at(path)
    assert sum(written) == 20
    assert sorted(row.event_key for row in ledger.rows()) == sorted(f"e{n}" for n in range(20))
    assert ledger.verify() == []


def test_any_common_sql_connection_serves(path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_AUDIT", f"sqlite://{path}")
    Ledger.open("audit").record(event("a"))
    assert [row.event_key for row in Ledger.at(path).rows()] == ["a"]
