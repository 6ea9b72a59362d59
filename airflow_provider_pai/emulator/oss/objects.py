"""Objects as files: `<bucket>/<key>` where the key can be a path, a private file where it can't.

A key can't be a path where another key is in its way ("a" beside "a/b"), where a component is empty, "." or "..", or
too long for a file name. Such objects are kept below `.pai-emulator/aside`, are listed and served as all others, and
only mounts don't show them.
"""

from __future__ import annotations

import heapq
import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import BinaryIO

from airflow_provider_pai.emulator.oss.errors import (
    file_already_exists,
    no_such_bucket,
    no_such_key,
    position_not_equal_to_length,
)
from airflow_provider_pai.emulator.oss.index import Attributes, Index, Record
from airflow_provider_pai.emulator.oss.listing import Cursor, Page, page, walk
from airflow_provider_pai.emulator.oss.names import path_of
from airflow_provider_pai.emulator.oss.staging import Staged, hash_file
from airflow_provider_pai.emulator.oss.stored import StoredObject
from airflow_provider_pai.emulator.oss.versions import Versions

# The kernel dates writes by a clock that stands still for some milliseconds: a file younger than this may be
# written once more without showing it.
_SETTLED_NS = 50_000_000

# How often a file that changes while it is read is looked at again.
_PATIENCE = 1


class Objects:
    """The objects of every bucket below one folder. Methods block on the disk; call them from threads."""

    def __init__(self, root: Path, index: Index) -> None:
        self.root = root
        self._index = index
        self._staging = root / ".pai-emulator" / "staging"
        self._aside = root / ".pai-emulator" / "aside"
        self.lock = threading.RLock()
        """Held while an object comes or goes."""
        self._pinned: set[Path] = set()
        for folder in (self._staging, self._aside):
            folder.mkdir(parents=True, exist_ok=True)
        self.versions = Versions(self, index, self._aside)
        self._sweep()

    def _sweep(self) -> None:
        """Delete what a killed emulator left half done."""
        self.versions.sweep()
        for file in self._staging.iterdir():
            file.unlink()
        known = self._index.aside_files()
        for file in self._aside.iterdir():
            if file.name not in known:
                file.unlink()

    def stage(self) -> Staged:
        """Return a new file to write an object's bytes to."""
        return Staged(self._staging)

    def adopt(self, file: Path) -> Staged:
        """Return a file that is there as a new object's."""
        return Staged.adopt(self._staging, file)

    def pin(self, folder: Path) -> Path:
        """Keep a folder that is mounted even when its last object is deleted."""
        self._pinned.add(folder)
        return folder

    def find(self, bucket: str, key: str) -> StoredObject | None:
        """Return an object, None if there is none."""
        path = self._file(bucket, key)
        records = self._index.records(bucket, [key]).get(key, [])
        return self._describe(bucket, key, path, records) if path else self._set_aside(key, records)

    def get(self, bucket: str, key: str, version: str | None = None) -> StoredObject:
        """Return an object.

        :param version: an id, `null`, or None for the newest.
        :raises OssError: NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker), InvalidArgument.
        """
        if version is not None:
            return self.versions.get(bucket, key, version)
        found = self.find(bucket, key)
        if found is None:
            raise no_such_key(self.versions.marker_headers(bucket, key))
        return found

    def open(self, bucket: str, key: str, version: str | None = None) -> tuple[StoredObject, BinaryIO]:
        """Return an object and its bytes, of one and the same state.

        :raises OssError: as `get`.
        """
        for attempt in count():
            found = self.get(bucket, key, version)
            try:
                file = found.path.open("rb", buffering=0)
            except FileNotFoundError:
                continue  # replaced or deleted just now: look again
            status = os.fstat(file.fileno())
            # A job may write to the file without a pause: then what it had when we looked must do.
            grown = attempt >= _PATIENCE and status.st_size >= found.size
            if found.record.describes(status) or grown:
                break
            file.close()
        return found, file

    def page(self, bucket: str, cursor: Cursor, delimiter: str, limit: int) -> tuple[Page, list[StoredObject]]:
        """Return one page of a bucket's keys and the objects on it."""
        found = page(self.sources(bucket, cursor), cursor, delimiter, limit)
        return found, list(self.describe_all(bucket, found.keys))

    def all(self, bucket: str) -> Iterator[StoredObject]:
        """Yield every object of a bucket."""
        for key in heapq.merge(*self.sources(bucket, Cursor())):
            yield from self.describe_all(bucket, [key.decode()])

    def is_empty(self, bucket: str) -> bool:
        """Tell whether a bucket has no object, earlier version or delete marker."""
        return not len(page([*self.sources(bucket, Cursor()), self.versions.keys(bucket, Cursor())], Cursor(), "", 1))

    def put(
        self,
        bucket: str,
        key: str,
        staged: Staged,
        attributes: Attributes,
        *,
        overwrite: bool = True,
        base: StoredObject | None = None,
        etag: str | None = None,
    ) -> StoredObject:
        """Make a staged file the object, all at once.

        :param base: the state that must still be there.
        :param etag: in place of the MD5.
        :raises OssError: NoSuchBucket, FileAlreadyExists, PositionNotEqualToLength.
        """
        status = staged.seal()
        record = Record(
            inode=status.st_ino,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            etag=etag or staged.hash.etag,
            crc64=staged.hash.crc64,
            attributes=attributes,
        )
        with self.lock:
            if self._index.bucket(bucket) is None:
                raise no_such_bucket()
            self._check(bucket, key, overwrite=overwrite, base=base)
            # An append goes on with the version that is there.
            version = base.record.version if base else self.versions.make_room(bucket, key)
            return self.place(bucket, key, staged.path, replace(record, version=version))

    def place(self, bucket: str, key: str, file: Path, record: Record) -> StoredObject:
        """Move a file to where its object belongs; the caller holds the lock."""
        target = self._place(bucket, key)
        if target is None:
            record = replace(record, aside=file.name)
            target = self._aside / file.name
        self._index.add(bucket, key, record)
        file.replace(target)
        self._forget(bucket, key, record.inode)
        return StoredObject(key, target, record)

    def update(self, bucket: str, stored: StoredObject, attributes: Attributes) -> None:
        """Replace the attributes of an object, or of one of its versions; its bytes stay.

        :raises OssError: NoSuchKey.
        """
        with self.lock:
            current = self.find(bucket, stored.key)
            record = replace(stored.record, attributes=attributes)
            if current is not None and current.record == stored.record:
                self._index.add(bucket, stored.key, record)
            else:
                self.versions.update(bucket, stored, record)

    def remove(self, bucket: str, key: str) -> None:
        """Delete an object's file, and folders that it leaves empty; the caller holds the lock."""
        if path := self._file(bucket, key):
            path.unlink(missing_ok=True)
            self._prune(self.root / bucket, path.parent)
        self._forget(bucket, key, None)

    def _check(self, bucket: str, key: str, *, overwrite: bool, base: StoredObject | None) -> None:
        if not overwrite and (self._file(bucket, key) or self.find(bucket, key)):
            raise file_already_exists()
        if base is not None:
            current = self.find(bucket, key)
            if current is None or current.record != base.record:
                raise position_not_equal_to_length(current.size if current else 0)

    def _file(self, bucket: str, key: str) -> Path | None:
        """Return the path of a key's file, None if there is none (or something else, or a way out of the bucket)."""
        relative = path_of(key)
        if relative is None:
            return None
        folder = self.root / bucket
        path = folder / relative
        if os.path.realpath(path.parent) != str(path.parent):
            return None
        return path if _is_file_in(str(path), str(folder)) else None

    def _place(self, bucket: str, key: str) -> Path | None:
        """Make room for a key's file and return its path, None if it can't have one."""
        relative = path_of(key)
        if relative is None:
            return None
        path = self.root.joinpath(bucket, relative)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            return None  # an object is in the way, or the path is too long
        if os.path.realpath(path.parent) != str(path.parent) or (path.is_dir() and not path.is_symlink()):
            return None
        return path

    def _describe(self, bucket: str, key: str, path: Path, records: Iterable[Record]) -> StoredObject | None:
        try:
            status = path.stat()
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        for record in records:
            if not record.aside and record.describes(status):
                return StoredObject(key, path, record)
        try:
            return StoredObject(key, path, self._measure(bucket, key, path))
        except FileNotFoundError:
            return None

    def describe_all(self, bucket: str, keys: list[str]) -> Iterator[StoredObject]:
        """Yield the objects with these keys."""
        folder, records = self.root / bucket, self._index.records(bucket, keys)
        for key in keys:
            relative = path_of(key)
            found = self._describe(bucket, key, folder / relative, records.get(key, [])) if relative else None
            found = found or self._set_aside(key, records.get(key, []))
            if found:
                yield found

    def _set_aside(self, key: str, records: Iterable[Record]) -> StoredObject | None:
        newest = max((each for each in records if each.aside), key=lambda each: each.mtime_ns, default=None)
        return StoredObject(key, self._aside / newest.aside, newest) if newest else None

    def _measure(self, bucket: str, key: str, path: Path) -> Record:
        """Hash a file that was written through a mount, and remember the result."""
        status, digest = hash_file(path)
        record = Record(
            inode=status.st_ino,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            etag=digest.etag,
            crc64=digest.crc64,
            attributes=Attributes(),
        )
        if time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
            with self.lock:
                if record.describes(path.stat()):
                    self._index.add(bucket, key, record)
                    self._forget(bucket, key, record.inode)
        return record

    def _forget(self, bucket: str, key: str, but: int | None) -> None:
        for name in self._index.keep_only(bucket, key, but):
            (self._aside / name).unlink(missing_ok=True)

    def _prune(self, bucket: Path, folder: Path) -> None:
        while folder != bucket and folder not in self._pinned:
            try:
                folder.rmdir()
            except OSError:
                return  # not empty
            folder = folder.parent

    def sources(self, bucket: str, cursor: Cursor) -> list[Iterator[bytes]]:
        folder = os.fsencode(self.root / bucket)
        files = walk(folder, cursor, lambda entry: _is_object(entry, folder))
        after, prefix = cursor.after.decode(errors="ignore"), cursor.prefix.decode(errors="ignore")
        return [files, (key.encode() for key in self._index.aside_keys(bucket, after, prefix))]


def _is_object(entry: os.DirEntry[bytes], bucket: bytes) -> bool:
    if entry.is_symlink():
        return _is_file_in(os.fsdecode(entry.path), os.fsdecode(bucket))
    return entry.is_file(follow_symlinks=False)


def _is_file_in(path: str, bucket: str) -> bool:
    """Tell whether a path is a file, or a link to a file, of this bucket."""
    real = os.path.realpath(path)
    return real.startswith(bucket + "/") and os.path.isfile(real)  # noqa: PTH113 - text
