"""Schema of the audit ledger: its tables, made step by step, each step once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_pai.ledger.events import LedgerError
from airflow_provider_pai.versions import utc_text

if TYPE_CHECKING:
    from airflow_provider_pai.ledger.sessions import DatabaseSession

TABLE = "pai_ledger"
VERSIONS = f"{TABLE}_schema"

# Texts of any length are found and kept apart by their hashes: what an index takes is short, and MySQL's thinks that
# `A` and `a` are the same. A UNIQUE that holds `seq` forbids nothing: it is how all three databases make an index
# within the table's one statement, which is there as a whole or not at all.
STEPS: tuple[tuple[str, ...], ...] = (
    (
        f"""CREATE TABLE IF NOT EXISTS {TABLE} (
  seq BIGINT NOT NULL PRIMARY KEY,
  event_key {{text}} NOT NULL,
  kind VARCHAR(32) NOT NULL,
  subject {{text}} NOT NULL,
  version {{text}} NOT NULL,
  digest {{text}} NOT NULL,
  payload {{text}} NOT NULL,
  recorded_at VARCHAR(32) NOT NULL,
  previous_hash VARCHAR(64) NOT NULL,
  hash VARCHAR(64) NOT NULL,
  event_key_sha256 VARCHAR(64) NOT NULL UNIQUE,
  subject_sha256 VARCHAR(64) NOT NULL,
  version_sha256 VARCHAR(64) NOT NULL,
  UNIQUE (subject_sha256, kind, seq),
  UNIQUE (version_sha256, kind, seq)
) {{options}}""",
        f"""CREATE TABLE IF NOT EXISTS {VERSIONS} (
  version INTEGER NOT NULL PRIMARY KEY,
  made_at VARCHAR(32) NOT NULL
) {{options}}""",
        # Those of a ledger that somebody has dropped.
        f"DELETE FROM {VERSIONS}",  # noqa: S608 - no input is in it
    ),
)
"""Statements of each version of the schema, the first is 1; a later one only adds."""

LATEST = len(STEPS)


def schema_version(session: DatabaseSession) -> int:
    """Return the version of the tables that are there; 0: none are."""
    if session.run(session.dialect.find, TABLE, VERSIONS)[0][0] < 2:
        return 0
    return int(session.run(f"SELECT MAX(version) FROM {VERSIONS}")[0][0] or 0)  # noqa: S608 - no input is in it


def migrate(session: DatabaseSession) -> list[int]:
    """Make what is missing of the tables, and return the versions that were made; two at once make them once."""
    session.lock()
    missing = range(schema_version(session) + 1, LATEST + 1)
    for version in missing:
        for statement in STEPS[version - 1]:
            session.run(statement.format(text=session.dialect.text, options=session.dialect.options))
        insert = f"INSERT INTO {VERSIONS} (version, made_at) VALUES (?, ?)"  # noqa: S608
        session.run(insert, version, utc_text(datetime.now(UTC)))
    session.commit()
    return list(missing)


def ensure_tables(session: DatabaseSession) -> None:
    """Make the tables of a database's first use, for a session that has the lock and keeps it.

    :raises LedgerError: its user may not, and who has to.
    """
    if (found := schema_version(session)) >= LATEST:
        return
    try:
        migrate(session)
        session.lock()
    except Exception as error:
        lacks = f"its tables are of version {found}, not {LATEST}" if found else "its tables are not there"
        todo = "run `airflow pai ledger migrate` once, as a user of the database who may make tables"
        raise LedgerError(f"{lacks}, and could not be made ({' '.join(str(error).split())}): {todo}") from error
