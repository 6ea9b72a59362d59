"""The store: appends events to the ledger's table, each once, and answers what is asked of them.

Each row carries the hash of the row before it, so that a changed or missing row shows. Each event has a key that is
unique: a retried task writes no second row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.ledger.chain import Anchor, faults
from airflow_provider_pai.ledger.databases import database, sqlite_file
from airflow_provider_pai.ledger.events import Event, EventKind, Row, lookup
from airflow_provider_pai.ledger.schema import TABLE, ensure_tables, schema_version
from airflow_provider_pai.ledger.sessions import DatabaseSession, session

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

_COLUMNS = ", ".join(Row._fields)
# Above every row's number.
_ABOVE = 2**63 - 1


class Ledger:
    """Append-only events in one table of a database.

    :param hook: of SQLite, PostgreSQL or MySQL.
    :param anchor: keeps a row elsewhere, as proof against whoever changes the database; it raises nothing. It is
        called with each promotion and with the first row of a UTC day.
    """

    def __init__(self, hook: DbApiHook, anchor: Callable[[Row], None] | None = None) -> None:
        self._hook = hook
        self._anchor = anchor

    @classmethod
    def open(cls, conn_id: str | None = None, anchor: Callable[[Row], None] | None = None) -> Ledger:
        """Open the ledger of a connection; without one, the SQLite file `pai_ledger.sqlite` in AIRFLOW_HOME.

        Workers on several machines need a connection to one database.
        """
        return cls(database(conn_id), anchor)

    @classmethod
    def at(cls, path: Path) -> Ledger:
        """Open the ledger in an SQLite file."""
        return cls(sqlite_file(path))

    def record(self, event: Event) -> bool:
        """Append an event; False where its key is there already.

        :raises LedgerError: the row could not be written, and what to do.
        """
        with session(self._hook) as opened:
            opened.lock()
            ensure_tables(opened)
            if _select(opened, "event_key_sha256 = ?", [lookup(event.key)]):
                return False
            last = next(iter(_select(opened, "seq > ?", [0], "seq DESC LIMIT 1")), None)
            row = Row.of(event, last, datetime.now(UTC))
            marks = ", ".join("?" * len(row))
            opened.run(f"INSERT INTO {TABLE} ({_COLUMNS}) VALUES ({marks})", *row)  # noqa: S608 - no input is in it
            opened.commit()
        if self._anchor and (event.kind == EventKind.PROMOTED or last is None or last.day != row.day):
            self._anchor(row)
        return True

    def rows(self) -> Iterator[Row]:
        """Yield every row in the order in which they were written."""
        return self._pages("seq > ?", [], 0, "ASC")

    def of_subject(self, subject: str, kinds: Collection[str]) -> Iterator[Row]:
        """Yield the rows of a group or a model, the latest first.

        :param kinds: those that are wanted.
        """
        where = f"subject_sha256 = ? AND kind IN ({', '.join('?' * len(kinds))}) AND seq < ?"
        return self._pages(where, [lookup(subject), *map(str, kinds)], _ABOVE, "DESC")

    def produced(self, version: str) -> Row | None:
        """Return the row of the artifact that bears a version; None: none is known, or several models have one."""
        where = "version_sha256 = ? AND kind = ? AND seq > ?"
        found = list(islice(self._pages(where, [lookup(version), str(EventKind.ARTIFACT_PRODUCED)], 0, "ASC"), 2))
        return found[0] if len(found) == 1 else None

    def refusals(self, version: str, digest: str) -> Iterator[Row]:
        """Yield the rows by which a gate, a rollout or a person has refused a model, or taken it out of service."""
        rows = self._pages("version_sha256 = ? AND seq > ?", [lookup(version)], 0, "ASC")
        mine = [row for row in rows if row.digest == digest]
        yield from (row for row in mine if row.kind in (EventKind.GATE_FAILED, EventKind.ROLLED_BACK))
        # Such a row is about what serves again.
        for subject in sorted({row.subject for row in mine}):
            for row in self.of_subject(subject, (EventKind.RESTORED,)):
                if json.loads(row.payload).get("previous_digest") == digest:
                    yield row

    def verify(self, anchors: Iterable[Anchor] = ()) -> list[str]:
        """Return what is wrong with the rows, a text for each; empty when nothing is.

        :param anchors: what was kept elsewhere; without them a missing end or a chain written anew does not show.
        """
        return list(faults(self.rows(), anchors))

    def _pages(self, where: str, values: Sequence[Any], edge: int, order: str) -> Iterator[Row]:
        """Yield rows page by page.

        :param where: its last `?` is the row that the page before has ended at.
        :param edge: that of the first page.
        """
        with session(self._hook) as opened:
            if not schema_version(opened):
                return
            while page := _select(opened, where, [*values, edge], f"seq {order} LIMIT 500"):
                yield from page
                edge = page[-1].seq


def _select(opened: DatabaseSession, where: str, values: Sequence[Any], order: str = "seq") -> list[Row]:
    sql = f"SELECT {_COLUMNS} FROM {TABLE} WHERE {where} ORDER BY {order}"  # noqa: S608 - no input is in it
    return [Row(*found) for found in opened.run(sql, *values)]
