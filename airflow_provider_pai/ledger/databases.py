"""Databases of the audit ledger: that of a connection, or a file in AIRFLOW_HOME."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_pai.ledger.events import LedgerError

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook


def database(conn_id: str | None) -> DbApiHook:
    """Return the database of a ledger: that of a connection, or the file in AIRFLOW_HOME.

    :raises LedgerError: there is no such connection, or the provider of its type is not installed.
    """
    if not conn_id:
        return sqlite_file(default_path())
    from airflow.providers.common.compat.sdk import AirflowException, BaseHook

    try:
        found: DbApiHook = BaseHook.get_hook(conn_id)
    except (AirflowException, ImportError) as error:
        raise LedgerError(f"connection {conn_id} can't be used: {error}") from error
    return found


def place(conn_id: str | None) -> str:
    """Return in words where a ledger is kept."""
    return f"connection {conn_id}" if conn_id else str(default_path())


def default_path() -> Path:
    """Return the ledger's file where no connection is named."""
    return Path(os.environ.get("AIRFLOW_HOME") or Path("~/airflow").expanduser()) / "pai_ledger.sqlite"


def sqlite_file(path: Path) -> DbApiHook:
    import sqlite3

    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    class FileHook(SqliteHook):
        placeholder = "?"

        def get_conn(self) -> sqlite3.Connection:
            path.parent.mkdir(parents=True, exist_ok=True)
            return sqlite3.connect(path, timeout=30)

    return FileHook()  # type: ignore[no-untyped-call]
