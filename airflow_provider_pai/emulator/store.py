"""Document store on disk, from which a restarted emulator knows its jobs, instances and services."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Document = dict[str, Any]


class Store:
    """JSON documents by (kind, id) in one SQLite file; every write is durable when the call returns."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        # SQLite gives the files beside it the same mode. They hold the account's key and the tokens of services.
        path.touch(mode=0o600)
        path.chmod(0o600)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS documents"
            " (kind TEXT, id TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID"
        )

    def put(self, kind: str, key: str, body: Document) -> str:
        """Insert or replace one document; returns its JSON text."""
        text = json.dumps(body)
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (kind, key, text))
        return text

    def get(self, kind: str, key: str) -> Document | None:
        """Return one document, or None."""
        with self._lock:
            row = self._db.execute("SELECT body FROM documents WHERE kind = ? AND id = ?", (kind, key)).fetchone()
        return json.loads(row[0]) if row else None

    def delete(self, kind: str, key: str) -> None:
        """Delete one document; a missing one is no error."""
        with self._lock:
            self._db.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, key))

    def all(self, kind: str) -> Iterator[Document]:
        """Yield every document of a kind in the order of their ids."""
        with self._lock:
            rows = self._db.execute("SELECT body FROM documents WHERE kind = ? ORDER BY id", (kind,)).fetchall()
        return (json.loads(body) for (body,) in rows)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
