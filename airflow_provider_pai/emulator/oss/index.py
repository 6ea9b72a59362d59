"""What the file system can't say about objects and buckets: one SQLite file.

A record describes one state of one file (inode, size, time of modification); only the record that matches the file
counts. So a record can be written before its file is put in place, and whatever moment a crash chooses, the
object that is there has its own record or, as a file written through a mount has, none.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT, key TEXT, inode INTEGER, size INTEGER, mtime_ns INTEGER, aside TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (bucket, key, inode)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS aside_objects ON objects (bucket, key) WHERE aside <> '';
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, bucket TEXT, key TEXT, initiated INTEGER, headers TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uploads_of_bucket ON uploads (bucket, key, id);
CREATE TABLE IF NOT EXISTS parts (
    upload TEXT, number INTEGER, file TEXT NOT NULL, size INTEGER, etag TEXT, crc64 TEXT, mtime_ns INTEGER,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """What a client says about an object, and what kind it is."""

    headers: dict[str, str] = field(default_factory=dict)
    """Standard and `x-oss-*` headers, lower case, as they go out again."""
    tags: dict[str, str] = field(default_factory=dict)
    kind: str = "Normal"
    """Normal, Multipart or Appendable."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One state of one file and what is known about it."""

    inode: int
    size: int
    mtime_ns: int
    etag: str
    crc64: int
    attributes: Attributes
    aside: str = ""
    """Name of the file below the private folder, for keys that can't be a path."""

    def describes(self, status: os.stat_result) -> bool:
        """Tell whether the file is still as it was when this was written."""
        return (self.inode, self.size, self.mtime_ns) == (status.st_ino, status.st_size, status.st_mtime_ns)


class Index:
    """Buckets, records, uploads and parts; calls come from many threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def put_bucket(self, name: str, body: dict[str, str]) -> None:
        """Insert or replace a bucket."""
        self.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?)", name, json.dumps(body))

    def bucket(self, name: str) -> dict[str, str] | None:
        """Return what is known about a bucket, None if there is none."""
        rows = self.execute("SELECT body FROM buckets WHERE name = ?", name)
        return json.loads(rows[0][0]) if rows else None

    def buckets(self) -> list[tuple[str, dict[str, str]]]:
        """Return every bucket in the order of their names."""
        rows = self.execute("SELECT name, body FROM buckets ORDER BY name")
        return [(name, json.loads(body)) for name, body in rows]

    def drop_bucket(self, name: str) -> None:
        """Forget a bucket and all records below it."""
        self.execute("DELETE FROM buckets WHERE name = ?", name)
        self.execute("DELETE FROM objects WHERE bucket = ?", name)

    def add(self, bucket: str, key: str, record: Record) -> None:
        """Insert a record beside those of other states of this object."""
        attributes = record.attributes
        body = [record.etag, str(record.crc64), attributes.kind, attributes.headers, attributes.tags]
        self.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)",
            bucket, key, record.inode, record.size, record.mtime_ns, record.aside, json.dumps(body),
        )  # fmt: skip

    def records(self, bucket: str, keys: Iterable[str]) -> dict[str, list[Record]]:
        """Return the records of each of these keys that has any."""
        found: dict[str, list[Record]] = {}
        for key, *columns in self.execute(
            "SELECT key, inode, size, mtime_ns, aside, body FROM objects"
            " WHERE bucket = ? AND key IN (SELECT value FROM json_each(?))",
            bucket, json.dumps(list(keys)),
        ):  # fmt: skip
            found.setdefault(key, []).append(_record(*columns))
        return found

    def keep_only(self, bucket: str, key: str, inode: int | None) -> list[str]:
        """Forget every other state of an object (None: all) and return the private files they had."""
        with self._lock:
            gone = self.execute(
                "SELECT aside FROM objects WHERE bucket = ? AND key = ? AND inode IS NOT ? AND aside <> ''",
                bucket, key, inode,
            )  # fmt: skip
            self.execute("DELETE FROM objects WHERE bucket = ? AND key = ? AND inode IS NOT ?", bucket, key, inode)
        return [aside for (aside,) in gone]

    def aside_keys(self, bucket: str, after: str, prefix: str) -> Iterator[str]:
        """Yield the keys that are no paths, in byte order, beginning after `after`."""
        while True:
            rows = self.execute(
                "SELECT DISTINCT key FROM objects WHERE bucket = ? AND aside <> '' AND key > ? AND key >= ?"
                " ORDER BY key LIMIT 1000",
                bucket, after, prefix,
            )  # fmt: skip
            for (key,) in rows:
                if not key.startswith(prefix):
                    return
                yield key
            if len(rows) < 1000:
                return
            after = rows[-1][0]

    def aside_files(self) -> set[str]:
        """Return every private file that a record names."""
        return {aside for (aside,) in self.execute("SELECT aside FROM objects WHERE aside <> ''")}


def _record(inode: int, size: int, mtime_ns: int, aside: str, body: str) -> Record:
    etag, crc64, kind, headers, tags = json.loads(body)
    attributes = Attributes(headers=headers, tags=tags, kind=kind)
    return Record(
        inode=inode, size=size, mtime_ns=mtime_ns, etag=etag, crc64=int(crc64), attributes=attributes, aside=aside
    )
