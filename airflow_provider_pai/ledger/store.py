"""The audit ledger: what was produced, gated, deployed and rolled back, append-only, over any common-sql connection.

Each row carries the hash of the row before it, so that a changed or missing row shows. Each event has a key that is
unique: a retried task writes no second row.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.ledger.databases import database, sqlite_file
from airflow_provider_pai.ledger.events import MAX_KEY, Event, LedgerError, Row
from airflow_provider_pai.versions import utc_text

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

TABLE = "pai_ledger"
_GENESIS = "0" * 64
_COLUMNS = Row._fields

_DDL = f"""CREATE TABLE IF NOT EXISTS {TABLE} (
  seq BIGINT NOT NULL PRIMARY KEY,
  event_key VARCHAR({MAX_KEY}) NOT NULL UNIQUE,
  kind VARCHAR(32) NOT NULL,
  subject VARCHAR({MAX_KEY}) NOT NULL,
  version VARCHAR(64) NOT NULL,
  digest VARCHAR(80) NOT NULL,
  payload TEXT NOT NULL,
  recorded_at VARCHAR(32) NOT NULL,
  previous_hash CHAR(64) NOT NULL,
  hash CHAR(64) NOT NULL
)"""


class Ledger:
    """Append-only events in one table of a database.

    :param hook: any DbApiHook (SQLite, Postgres, MySQL); the SQL is the same for all.
    """

    def __init__(self, hook: DbApiHook) -> None:
        self._hook = hook
        self._run(_DDL)

    @classmethod
    def open(cls, conn_id: str | None = None) -> Ledger:
        """Open the ledger of a connection; without one, the SQLite file `pai_ledger.sqlite` in AIRFLOW_HOME.

        Workers on several machines need a connection to one database.
        """
        return cls(database(conn_id))

    @classmethod
    def at(cls, path: Path) -> Ledger:
        """Open the ledger in an SQLite file."""
        return cls(sqlite_file(path))

    def record(self, event: Event) -> bool:
        """Append an event; False where its key is there already.

        :raises LedgerError: the row could not be written.
        """
        for _ in range(50):
            row = self._next_row(event)
            try:
                self._run(
                    f"INSERT INTO {TABLE} ({', '.join(_COLUMNS)}) VALUES ({self._marks(len(_COLUMNS))})",  # noqa: S608
                    list(row),
                )
                return True
            except Exception as error:
                if not _is_integrity_error(error):
                    raise
            if self._run(f"SELECT seq FROM {TABLE} WHERE event_key = {self._marks(1)}", [event.key]):  # noqa: S608
                return False
            time.sleep(random.uniform(0, 0.05))  # noqa: S311 - another writer took the number; take the next
        raise LedgerError(f"event {event.key}: no free row number after 50 attempts")

    def rows(self) -> Iterator[Row]:
        """Yield every row in the order in which they were written."""
        for values in self._run(f"SELECT {', '.join(_COLUMNS)} FROM {TABLE} ORDER BY seq"):  # noqa: S608
            yield Row(*values)

    def verify(self) -> list[str]:
        """Return what is wrong with the chain, one text for each row; empty when nothing is."""
        problems, previous, number = [], _GENESIS, 0
        for row in self.rows():
            number += 1
            if row.seq != number:
                problems.append(f"row {number} is missing: row {row.seq} follows row {number - 1}")
                number = row.seq
            elif row.previous_hash != previous:
                problems.append(f"row {row.seq} does not follow the row before it")
            if row.hash != row.content_hash:
                problems.append(f"row {row.seq} was changed")
            previous = row.hash
        return problems

    def _next_row(self, event: Event) -> Row:
        last = self._run(f"SELECT seq, hash FROM {TABLE} ORDER BY seq DESC LIMIT 1")  # noqa: S608
        seq, previous = last[0] if last else (0, _GENESIS)
        row = Row(
            seq=seq + 1,
            event_key=event.key,
            kind=str(event.kind),
            subject=event.subject,
            version=event.version,
            digest=event.digest,
            payload=json.dumps(event.payload, sort_keys=True, default=str),
            recorded_at=utc_text(datetime.now(UTC)),
            previous_hash=previous,
            hash="",
        )
        return row._replace(hash=row.content_hash)

    def _marks(self, count: int) -> str:
        return ", ".join([self._hook.placeholder] * count)

    def _run(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        with closing(self._hook.get_conn()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(sql, parameters)
            rows = list(cursor.fetchall()) if cursor.description else []
            connection.commit()
            return rows


def _is_integrity_error(error: Exception) -> bool:
    """Tell by DB-API's name: each driver has a class of its own."""
    return any(kind.__name__ == "IntegrityError" for kind in type(error).__mro__)
