"""Sessions with the ledger's database: SQL that SQLite, PostgreSQL and MySQL all take, and one lock for its writers."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.ledger.events import LedgerError

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What a kind of database has of its own.

    :param text: type of a text of any length.
    :param options: of a table.
    :param find: counts which of two tables are there; needs no right to read them.
    :param begin: begins each session.
    :param file: tells the database's file, beside which writers queue.
    :param lock: begins a transaction that no other writer's overlaps; answers 0 where it was waited for in vain.
    """

    text: str = "TEXT"
    options: str = ""
    find: str
    begin: tuple[str, ...] = ()
    file: str = ""
    lock: tuple[str, ...]


# Writers wait for each other as long as this; a lock ends with its transaction, on MySQL with its session. None asks
# for a right: https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS and MySQL's "Locking
# Functions", whose names are the server's, not the database's. A transaction that sees the rows of its beginning
# would not see those that were written while it waited, so PostgreSQL's sees what is committed.
DIALECTS = {
    "sqlite": Dialect(
        find="SELECT COUNT(*) FROM sqlite_master WHERE name IN (?, ?)",
        begin=("PRAGMA busy_timeout = 60000",),
        file="PRAGMA database_list",
        lock=("BEGIN IMMEDIATE",),
    ),
    "postgres": Dialect(
        find="SELECT COUNT(to_regclass(name)) FROM (VALUES (?), (?)) AS tables (name)",
        lock=(
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "SET LOCAL lock_timeout = '60s'",
            "SELECT pg_advisory_xact_lock(7021097315601)",
        ),
    ),
    "mysql": Dialect(
        text="LONGTEXT",
        options="ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4",
        find="""SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = DATABASE() AND table_name IN (?, ?)""",
        lock=("SELECT GET_LOCK(CONCAT('pai_ledger.', MD5(DATABASE())), 60)",),
    ),
}


class DatabaseSession:
    """One connection to a ledger's database.

    :param connection: a DB-API connection; whoever made it closes it.
    """

    def __init__(self, connection: Any, placeholder: str, dialect: Dialect) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._placeholder = placeholder
        self._turn = ExitStack()
        self.dialect = dialect

    def close(self) -> None:
        """Let the next in the queue write."""
        self._cursor.close()
        self._turn.close()

    def run(self, sql: str, *values: Any) -> list[Any]:
        """Run a statement, with a `?` for each value, and return the rows of its answer."""
        self._cursor.execute(sql.replace("?", self._placeholder), values)
        return list(self._cursor.fetchall()) if self._cursor.description else []

    def lock(self) -> None:
        """Begin a transaction of the only writer; it ends by `commit`.

        :raises LedgerError: another one did not end.
        """
        self.commit()
        if self.dialect.file:
            self._queue(self.run(self.dialect.file)[0][2])
        answers = [self.run(statement) for statement in self.dialect.lock]
        if answers[-1] and answers[-1][0][0] == 0:
            raise LedgerError("another writer has held it for a minute; see which session of the database hangs")

    def _queue(self, path: str) -> None:
        """Wait in a queue: SQLite's own waiting looks again from time to time, and the unlucky wait for seconds."""
        self._turn.close()
        file = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR)
        self._turn.callback(os.close, file)
        fcntl.flock(file, fcntl.LOCK_EX)

    def commit(self) -> None:
        """Keep what was written since the lock, and let others write."""
        self._connection.commit()


@contextmanager
def session(hook: DbApiHook) -> Iterator[DatabaseSession]:
    """Connect to a database; what is not committed at the end is undone.

    :raises LedgerError: whatever went wrong; drivers have errors of their own each.
    """
    dialect = DIALECTS.get(hook.conn_type)
    if dialect is None:
        kinds = ", ".join(DIALECTS)
        raise LedgerError(f"no ledger can be kept in a database of type {hook.conn_type}; name one of {kinds}")
    try:
        with (
            closing(hook.get_conn()) as connection,
            closing(DatabaseSession(connection, hook.placeholder, dialect)) as opened,
        ):
            for statement in dialect.begin:
                opened.run(statement)
            yield opened
    except PaiError:
        raise
    except Exception as error:
        # In one line: drivers put details below it.
        raise LedgerError(f"its database says {type(error).__name__}: {' '.join(str(error).split())}") from error
