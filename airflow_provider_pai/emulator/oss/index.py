"""Index of buckets and objects: what the file system can't keep, in one SQLite file.

A record describes one state of one file (inode, size, time of modification); only the record that matches the file
counts. So a record can be written before its file is put in place, and whatever moment a crash chooses, the
object that is there has its own record or, as a file written through a mount has, none.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
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
CREATE TABLE IF NOT EXISTS versions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT, key TEXT, version TEXT, inode INTEGER, size INTEGER,
    mtime_ns INTEGER, aside TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS versions_of_bucket ON versions (bucket, key, seq);
CREATE TABLE IF NOT EXISTS configs (
    bucket TEXT, name TEXT, body BLOB NOT NULL, PRIMARY KEY (bucket, name)
) WITHOUT ROWID;
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
    """Headers, tags and ACL that a client gave an object, and the kind of it."""

    headers: dict[str, str] = field(default_factory=dict)
    """Standard and `x-oss-*` headers, lower case, as they go out again."""
    tags: dict[str, str] = field(default_factory=dict)
    kind: str = "Normal"
    """Normal, Multipart, Appendable or Symlink."""
    acl: str = "default"
    restored: tuple[float, int] | None = None
    """Time at which a restore was asked for (seconds since 1970), and the days it is for."""


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
    """Name of the file below the private folder, for keys that can't be a path and for earlier versions."""
    version: str = ""
    """Its version; empty for what OSS calls the null version."""

    def describes(self, status: os.stat_result) -> bool:
        """Tell whether the file is still as it was when this was written."""
        return (self.inode, self.size, self.mtime_ns) == (status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Version:
    """An earlier version of an object, or a delete marker, which has no record."""

    seq: int
    key: str
    id: str
    mtime_ns: int
    record: Record | None


class Index:
    """Buckets with their configurations, records, versions, uploads and parts; calls come from many threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        # Few, and asked for several times with each request.
        self._buckets = {name: json.loads(body) for name, body in self.execute("SELECT name, body FROM buckets")}
        self._configs = {(bucket, name): body for bucket, name, body in self.execute("SELECT * FROM configs")}

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
        self._buckets[name] = body

    def bucket(self, name: str) -> Mapping[str, str] | None:
        """Return what is known about a bucket, None if there is none."""
        return self._buckets.get(name)

    def buckets(self) -> list[tuple[str, dict[str, str]]]:
        """Return every bucket in the order of their names."""
        return sorted(self._buckets.items())

    def drop_bucket(self, name: str) -> None:
        """Forget a bucket and all records below it."""
        with self._lock:
            self.execute("DELETE FROM buckets WHERE name = ?", name)
            for table in ("objects", "versions", "configs"):
                self.execute(f"DELETE FROM {table} WHERE bucket = ?", name)  # noqa: S608 - no name comes from outside
            self._buckets.pop(name, None)
            self._configs = {key: body for key, body in self._configs.items() if key[0] != name}

    def config(self, bucket: str, name: str) -> bytes | None:
        """Return a configuration of a bucket as it was put, None if there is none."""
        return self._configs.get((bucket, name))

    def put_config(self, bucket: str, name: str, body: bytes | None) -> None:
        """Insert, replace or (None) delete a configuration of a bucket."""
        with self._lock:
            if body is None:
                self.execute("DELETE FROM configs WHERE bucket = ? AND name = ?", bucket, name)
                self._configs.pop((bucket, name), None)
            else:
                self.execute("INSERT OR REPLACE INTO configs VALUES (?, ?, ?)", bucket, name, body)
                self._configs[bucket, name] = body

    def add(self, bucket: str, key: str, record: Record) -> None:
        """Insert a record beside those of other states of this object."""
        self.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)",
            bucket,
            key,
            record.inode,
            record.size,
            record.mtime_ns,
            record.aside,
            _body(record),
        )

    def records(self, bucket: str, keys: Sequence[str]) -> dict[str, list[Record]]:
        """Return the records of each of these keys that has any."""
        records: dict[str, list[Record]] = {}
        for key, *columns in self.execute(
            "SELECT key, inode, size, mtime_ns, aside, body FROM objects" + _where(keys),  # noqa: S608
            bucket,
            *keys,
        ):
            records.setdefault(key, []).append(_record(*columns))
        return records

    def keep_only(self, bucket: str, key: str, inode: int | None) -> list[str]:
        """Forget every other state of an object (None: all) and return the private files they had."""
        with self._lock:
            others = "FROM objects WHERE bucket = ? AND key = ? AND inode IS NOT ?"
            gone = self.execute(f"SELECT aside {others}", bucket, key, inode)
            if gone:
                self.execute(f"DELETE {others}", bucket, key, inode)
        return [aside for (aside,) in gone if aside]

    def add_version(self, bucket: str, key: str, version: str, mtime_ns: int, record: Record | None = None) -> None:
        """Insert an earlier version, or a delete marker, as the newest of them."""
        kept = (
            (record.inode, record.size, mtime_ns, record.aside, _body(record)) if record else (0, 0, mtime_ns, "", "")
        )
        self.execute(
            "INSERT INTO versions (bucket, key, version, inode, size, mtime_ns, aside, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            bucket,
            key,
            version,
            *kept,
        )

    def put_version(self, version: Version, record: Record) -> None:
        """Replace the record of an earlier version."""
        self.execute("UPDATE versions SET body = ? WHERE seq = ?", _body(record), version.seq)

    def versions(self, bucket: str, keys: Sequence[str]) -> dict[str, list[Version]]:
        """Return the earlier versions of each of these keys that has any, the newest first."""
        versions: dict[str, list[Version]] = {}
        for seq, key, version, *columns in self.execute(
            f"SELECT seq, key, version, inode, size, mtime_ns, aside, body FROM versions{_where(keys)}"  # noqa: S608
            " ORDER BY key, seq DESC",
            bucket,
            *keys,
        ):
            record = _record(*columns) if columns[-1] else None
            versions.setdefault(key, []).append(Version(seq, key, version, columns[2], record))
        return versions

    def drop_version(self, version: Version) -> None:
        """Forget an earlier version."""
        self.execute("DELETE FROM versions WHERE seq = ?", version.seq)

    def versioned_keys(self, bucket: str, after: str, prefix: str) -> Iterator[str]:
        """Yield the keys that have earlier versions, in byte order, beginning after `after`."""
        return self._keys("versions WHERE bucket = ?", bucket, after, prefix)

    def aside_keys(self, bucket: str, after: str, prefix: str) -> Iterator[str]:
        """Yield the keys that are no paths, in byte order, beginning after `after`."""
        return self._keys("objects WHERE bucket = ? AND aside <> ''", bucket, after, prefix)

    def _keys(self, source: str, bucket: str, after: str, prefix: str) -> Iterator[str]:
        while True:
            rows = self.execute(
                f"SELECT DISTINCT key FROM {source} AND key > ? AND key >= ? ORDER BY key LIMIT 1000",  # noqa: S608
                bucket,
                after,
                prefix,
            )
            for (key,) in rows:
                if not key.startswith(prefix):
                    return
                yield key
            if len(rows) < 1000:
                return
            after = rows[-1][0]

    def aside_files(self) -> set[str]:
        """Return every private file that a record names."""
        both = "SELECT aside FROM objects WHERE aside <> '' UNION SELECT aside FROM versions WHERE aside <> ''"
        return {aside for (aside,) in self.execute(both)}


def _body(record: Record) -> str:
    attributes = record.attributes
    more = {"version": record.version, "acl": attributes.acl, "restored": attributes.restored}
    return json.dumps([record.etag, str(record.crc64), attributes.kind, attributes.headers, attributes.tags, more])


def _where(keys: Sequence[str]) -> str:
    """Return the condition of a query for these keys of a bucket; JSON's functions cut a text at a NUL."""
    return f" WHERE bucket = ? AND key IN ({', '.join('?' * len(keys))})"


def _record(inode: int, size: int, mtime_ns: int, aside: str, body: str) -> Record:
    # An emulator without versions wrote five values.
    etag, crc64, kind, headers, tags, more = [*json.loads(body), {}][:6]
    restored = tuple(more["restored"]) if more.get("restored") else None
    attributes = Attributes(headers=headers, tags=tags, kind=kind, acl=more.get("acl", "default"), restored=restored)
    return Record(
        inode=inode,
        size=size,
        mtime_ns=mtime_ns,
        etag=etag,
        crc64=int(crc64),
        attributes=attributes,
        aside=aside,
        version=more.get("version", ""),
    )
