import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from airflow_provider_pai.ledger import Event, EventKind, Ledger
from airflow_provider_pai.ledger.databases import sqlite_file


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
    payload = '{"n": 1, "row_schema_version": 1}'
    assert (row.seq, row.kind, row.subject, row.version, row.payload) == (1, "promoted", "digits", "v1", payload)


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


def test_who_reads_makes_nothing(path):
    ledger = Ledger.at(path)
    assert (list(ledger.rows()), ledger.produced("v1"), ledger.verify()) == ([], None, [])
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT * FROM sqlite_master").fetchall() == []


def test_keys_and_subjects_of_any_length_and_case_are_kept_apart(path):
    ledger = Ledger.at(path)
    keys = ["a", "A", "a ", "å", "a" * 191, "a" * 192, "b" + "a" * 191, "数字" * 300]
    assert all(ledger.record(event(key, subject=key)) for key in keys)
    assert not any(ledger.record(event(key)) for key in keys)
    for key in keys:
        assert [row.event_key for row in ledger.of_subject(key, [EventKind.PROMOTED])] == [key]


def test_what_a_group_served_is_found_latest_first_and_page_by_page(path):
    ledger = Ledger.at(path)
    for number in range(3):
        ledger.record(event(f"p{number}", version=f"v{number}"))
        ledger.record(event(f"s{number}", kind=EventKind.DEPLOYMENT_STEP))
        ledger.record(event(f"o{number}", subject="other"))
    with sqlite3.connect(path) as connection:
        columns = "event_key, kind, subject, version, digest, payload, recorded_at, subject_sha256, version_sha256"
        connection.execute(
            f"""WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 1210)
            INSERT INTO pai_ledger (seq, event_key_sha256, previous_hash, hash, {columns})
            SELECT i, i, '', '', {columns} FROM n, pai_ledger WHERE seq = 7"""
        )
    found = [row.seq for row in ledger.of_subject("digits", (EventKind.PROMOTED, EventKind.ROLLED_BACK))]
    assert found == [*range(1210, 9, -1), 7, 4, 1]
    assert [row.seq for row in ledger.rows()] == list(range(1, 1211))


def test_the_artifact_of_a_version_is_found(path):
    ledger = Ledger.at(path)
    ledger.record(event("p", version="v1"))
    ledger.record(event("a", kind=EventKind.ARTIFACT_PRODUCED, version="v1"))
    ledger.record(event("b", kind=EventKind.ARTIFACT_PRODUCED, version="v2"))
    assert ledger.produced("v1").event_key == "a"
    assert ledger.produced("v3") is None
    ledger.record(event("c", kind=EventKind.ARTIFACT_PRODUCED, version="v2", subject="another"))
    assert ledger.produced("v2") is None  # whoever names versions by hand names two models' alike


class Counted:
    """A hook of SQLite that counts connections and keeps the plans of its questions."""

    conn_type = "sqlite"
    placeholder = "?"

    def __init__(self, path):
        self.path, self.connections, self.statements = path, 0, []

    def get_conn(self):
        self.connections += 1
        connection = sqlite3.connect(self.path)
        connection.set_trace_callback(self.statements.append)
        return connection


def test_a_row_takes_one_connection_and_a_write_no_ddl(path):
    Ledger.at(path).record(event("a"))
    hook = Counted(path)
    Ledger(hook).record(event("b"))
    assert hook.connections == 1
    assert not [sql for sql in hook.statements if sql.split()[0] in ("CREATE", "ALTER", "DROP")]


def test_every_question_has_an_index(path):
    Ledger.at(path).record(event("a"))
    hook = Counted(path)
    ledger = Ledger(hook)
    ledger.record(event("b"))
    list(ledger.rows()), list(ledger.of_subject("digits", ("promoted", "rolled_back"))), ledger.produced("v")
    questions = {sql for sql in hook.statements if " FROM pai_ledger WHERE" in sql}
    assert len(questions) >= 5
    with sqlite3.connect(path) as connection:
        for sql in questions:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
            assert plan[0].startswith("SEARCH pai_ledger USING"), (sql, plan)


def test_a_promotion_and_the_first_row_of_a_day_are_anchored(path, monkeypatch):
    kept = []
    ledger = Ledger(sqlite_file(path), kept.append)

    def record(key, kind, day):
        monkeypatch.setattr("airflow_provider_pai.ledger.store.datetime", Day(day))
        ledger.record(event(key, kind=kind))

    for key, kind, day in [
        ("a", EventKind.SKIPPED, 1),
        ("b", EventKind.SKIPPED, 1),
        ("c", EventKind.PROMOTED, 1),
        ("c", EventKind.PROMOTED, 1),
        ("d", EventKind.SKIPPED, 2),
        ("e", EventKind.SKIPPED, 2),
    ]:
        record(key, kind, day)
    assert [row.event_key for row in kept] == ["a", "c", "d"]
    assert all(row == found for row, found in zip(kept, (row for row in ledger.rows() if row in kept), strict=True))


class Day:
    """A clock that stands on a day."""

    def __init__(self, day):
        self.day = day

    def now(self, zone):
        return datetime(2026, 11, self.day, tzinfo=zone)
