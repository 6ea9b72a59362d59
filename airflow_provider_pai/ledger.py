"""The audit ledger: what was produced, gated, deployed and rolled back, append-only, over any common-sql connection.

Each row carries the hash of the row before it, so that a changed or missing row shows. Each event has a key that is
unique: a retried task writes no second row.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.versions import utc_text

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    from airflow_provider_pai.artifact import ModelArtifact
    from airflow_provider_pai.identity import TaskIdentity
    from airflow_provider_pai.labels import ServedModel

TABLE = "pai_ledger"
_GENESIS = "0" * 64
_COLUMNS = (
    "seq",
    "event_key",
    "kind",
    "subject",
    "version",
    "digest",
    "payload",
    "recorded_at",
    "previous_hash",
    "hash",
)

# The longest key that every MySQL row format indexes.
_MAX_KEY = 191

_DDL = f"""CREATE TABLE IF NOT EXISTS {TABLE} (
  seq BIGINT NOT NULL PRIMARY KEY,
  event_key VARCHAR({_MAX_KEY}) NOT NULL UNIQUE,
  kind VARCHAR(32) NOT NULL,
  subject VARCHAR({_MAX_KEY}) NOT NULL,
  version VARCHAR(64) NOT NULL,
  digest VARCHAR(80) NOT NULL,
  payload TEXT NOT NULL,
  recorded_at VARCHAR(32) NOT NULL,
  previous_hash CHAR(64) NOT NULL,
  hash CHAR(64) NOT NULL
)"""


class EventKind(StrEnum):
    """What a row records."""

    RUN_FINISHED = "run_finished"
    ARTIFACT_PRODUCED = "artifact_produced"
    ARTIFACT_VERIFIED = "artifact_verified"
    GATE_PASSED = "gate_passed"
    GATE_FAILED = "gate_failed"
    DEPLOYMENT_STEP = "deployment_step"
    DEPLOYED = "deployed"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    SHADOWED = "shadowed"
    SKIPPED = "skipped"
    STOPPED = "stopped"


class LedgerError(PaiError):
    """A row could not be written, or the chain is broken."""


class Event(NamedTuple):
    """One thing that happened.

    :param key: makes it unique, e.g. `promoted/digits/<task>/<cycle>`.
    :param subject: the EAS group, or the model's name.
    """

    key: str
    kind: EventKind
    subject: str
    version: str = ""
    digest: str = ""
    payload: Mapping[str, Any] = MappingProxyType({})

    @classmethod
    def of(
        cls,
        kind: str,
        subject: str,
        identity: TaskIdentity,
        model: ServedModel | ModelArtifact | None,
        payload: Mapping[str, Any],
        *,
        key: str | None = None,
        number: int | None = None,
    ) -> Event:
        """Return what a task instance did; its cycle stands in the key, so that a retry adds no row, and a clear does.

        :param number: which of several of a kind.
        """
        numbered = "" if number is None else f"/{number}"
        return cls(
            key=key or f"{kind}/{subject}/{identity.owner}{numbered}",
            kind=EventKind(kind),
            subject=subject,
            version=model.version if model else "",
            digest=model.digest if model else "",
            payload={**identity.origin, **payload},
        )

    @classmethod
    def produced(cls, artifact: ModelArtifact) -> Event:
        """Return that an artifact is there; whoever finds it again adds no row."""
        return cls(
            key=f"artifact/{artifact.uri}"[-_MAX_KEY:],
            kind=EventKind.ARTIFACT_PRODUCED,
            subject=artifact.name,
            version=artifact.version,
            digest=artifact.digest,
            payload=artifact.to_dict(),
        )


class Row(NamedTuple):
    """An event as it stands in the ledger."""

    seq: int
    event_key: str
    kind: str
    subject: str
    version: str
    digest: str
    payload: str
    recorded_at: str
    previous_hash: str
    hash: str

    @property
    def content_hash(self) -> str:
        """Return the hash that this row must bear."""
        content = {name: value for name, value in self._asdict().items() if name != "hash"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


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
        return cls(_sqlite_hook(path))

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
            yield Row(**dict(zip(_COLUMNS, values, strict=True)))

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


def database(conn_id: str | None) -> DbApiHook:
    """Return the database of a ledger: that of a connection, or the file in AIRFLOW_HOME."""
    if not conn_id:
        return _sqlite_hook(default_path())
    from airflow.providers.common.compat.sdk import BaseHook

    found: DbApiHook = BaseHook.get_hook(conn_id)
    return found


def default_path() -> Path:
    """Return the ledger's file where no connection is named."""
    return Path(os.environ.get("AIRFLOW_HOME") or Path("~/airflow").expanduser()) / "pai_ledger.sqlite"


def _is_integrity_error(error: Exception) -> bool:
    """Tell by DB-API's name: each driver has a class of its own."""
    return any(kind.__name__ == "IntegrityError" for kind in type(error).__mro__)


def _sqlite_hook(path: Path) -> DbApiHook:
    import sqlite3

    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    class FileHook(SqliteHook):
        placeholder = "?"

        def get_conn(self) -> sqlite3.Connection:
            path.parent.mkdir(parents=True, exist_ok=True)
            return sqlite3.connect(path, timeout=30)

    return FileHook()  # type: ignore[no-untyped-call]
