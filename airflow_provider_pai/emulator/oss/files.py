"""Files of objects: `<bucket>/<key>` where the key can be a path, a private file where it can't.

A key can't be a path where another key is in its way ("a" beside "a/b"), where a component is empty, "." or "..", or
too long for a file name. Such objects are kept below `.pai-emulator/aside`, are listed and served as all others, and
only mounts don't show them.

A file below a mount that does not append is an object once no process has it open for writing.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from airflow_provider_pai.emulator.oss.index import Attributes, Index, Record
from airflow_provider_pai.emulator.oss.listing import Cursor, walk
from airflow_provider_pai.emulator.oss.names import path_of
from airflow_provider_pai.emulator.oss.staging import Staged, hash_file
from airflow_provider_pai.emulator.oss.stored import StoredObject
from airflow_provider_pai.emulator.runtime.open_files import being_written

# The kernel dates writes by a clock that stands still for some milliseconds: a file younger than this may be
# written once more without showing it.
_SETTLED_NS = 50_000_000


class Files:
    """The newest state of every bucket's objects. Methods block on the disk; call them from threads."""

    def __init__(self, root: Path, index: Index) -> None:
        self.root = root
        self.aside = root / ".pai-emulator" / "aside"
        """Folder of keys that can't be a path, and of earlier versions."""
        self.lock = threading.RLock()
        """Held while an object comes or goes."""
        self._staging = root / ".pai-emulator" / "staging"
        self._index = index
        self._pinned: set[Path] = set()
        self._closing: frozenset[str] = frozenset()
        for folder in (self._staging, self.aside):
            folder.mkdir(parents=True, exist_ok=True)
        self._device = root.stat().st_dev
        self._sweep()

    def _sweep(self) -> None:
        """Delete what a killed emulator left half done."""
        known = self._index.aside_files()
        unknown = [file for file in self.aside.iterdir() if file.name not in known]
        for file in (*self._staging.iterdir(), *unknown):
            file.unlink()

    def stage(self) -> Staged:
        """Return a new file to write an object's bytes to."""
        return Staged(self._staging)

    def adopt(self, file: Path) -> Staged:
        """Return a file that is there as a new object's."""
        return Staged.adopt(self._staging, file)

    def pin(self, folder: Path, *, appends: bool) -> Path:
        """Keep a folder that is mounted even when its last object is deleted.

        :param appends: False: its files are objects only when they are closed.
        """
        self._pinned.add(folder)
        if not appends:
            self._closing |= {str(folder)}  # another set: threads may be reading this one
        return folder

    def _written(self, bucket: Path) -> frozenset[int]:
        """Return the inodes that are being written, if a bucket has a mount whose files are objects when closed."""
        if not any(mount.startswith(str(bucket)) for mount in self._closing):
            return frozenset()
        return being_written(self._device)

    def _closes(self, path: Path) -> bool:
        """Tell whether a file lies below a mount that does not append."""
        return bool(self._closing) and not self._closing.isdisjoint(map(str, path.parents))

    def is_taken(self, bucket: str, key: str) -> bool:
        """Tell whether there is an object; what its file holds is not looked at."""
        return self._file(bucket, key) is not None or self.find(bucket, key) is not None

    def find(self, bucket: str, key: str) -> StoredObject | None:
        """Return an object, None if there is none."""
        path = self._file(bucket, key)
        records = self._index.records(bucket, [key]).get(key, [])
        return self._describe(bucket, key, path, records) if path else self._set_aside(key, records)

    def describe_all(self, bucket: str, keys: list[str]) -> Iterator[StoredObject]:
        """Yield the objects with these keys."""
        folder, records = self.root / bucket, self._index.records(bucket, keys)
        for key in keys:
            relative = path_of(key)
            stored = self._describe(bucket, key, folder / relative, records.get(key, [])) if relative else None
            stored = stored or self._set_aside(key, records.get(key, []))
            if stored:
                yield stored

    def sources(self, bucket: str, cursor: Cursor) -> list[Iterator[bytes]]:
        """Return the sorted keys of a bucket, of those that are paths and of those that are not."""
        folder = os.fsencode(self.root / bucket)
        written = self._written(self.root / bucket)

        def is_shown(entry: os.DirEntry[bytes]) -> bool:
            is_unclosed = entry.inode() in written and self._closes(Path(os.fsdecode(entry.path)))
            return not is_unclosed and _is_object(entry, folder)

        files = walk(folder, cursor, is_shown)
        after, prefix = cursor.after.decode(errors="ignore"), cursor.prefix.decode(errors="ignore")
        return [files, (key.encode() for key in self._index.aside_keys(bucket, after, prefix))]

    def place(self, bucket: str, key: str, file: Path, record: Record) -> StoredObject:
        """Move a file to where its object belongs; the caller holds the lock."""
        target = self._target(bucket, key)
        if target is None:
            record = replace(record, aside=file.name)
            target = self.aside / file.name
        self._index.add(bucket, key, record)
        file.replace(target)
        self._forget(bucket, key, record.inode)
        return StoredObject(key, target, record)

    def remove(self, bucket: str, key: str) -> None:
        """Delete an object's file, and folders that it leaves empty; the caller holds the lock."""
        if path := self._file(bucket, key):
            path.unlink(missing_ok=True)
            self._prune(self.root / bucket, path.parent)
        self._forget(bucket, key, None)

    def _file(self, bucket: str, key: str) -> Path | None:
        """Return the path of a key's file, None if there is none (or something else, or a way out of the bucket)."""
        relative = path_of(key)
        if relative is None:
            return None
        folder = self.root / bucket
        path = folder / relative
        if os.path.realpath(path.parent) != str(path.parent):
            return None
        if not _is_file_in(str(path), str(folder)):
            return None
        if self._closes(path) and _inode(path) in {None, *being_written(self._device)}:
            return None
        return path

    def _target(self, bucket: str, key: str) -> Path | None:
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

    def _set_aside(self, key: str, records: Iterable[Record]) -> StoredObject | None:
        newest = max((each for each in records if each.aside), key=lambda each: each.mtime_ns, default=None)
        return StoredObject(key, self.aside / newest.aside, newest) if newest else None

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
            (self.aside / name).unlink(missing_ok=True)

    def _prune(self, bucket: Path, folder: Path) -> None:
        while folder != bucket and folder not in self._pinned:
            try:
                folder.rmdir()
            except OSError:
                return  # not empty
            folder = folder.parent


def _is_object(entry: os.DirEntry[bytes], bucket: bytes) -> bool:
    if entry.is_symlink():
        return _is_file_in(os.fsdecode(entry.path), os.fsdecode(bucket))
    return entry.is_file(follow_symlinks=False)


def _inode(path: Path) -> int | None:
    """Return a file's inode, None if it is gone."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _is_file_in(path: str, bucket: str) -> bool:
    """Tell whether a path is a file, or a link to a file, of this bucket."""
    real = os.path.realpath(path)
    return real.startswith(bucket + "/") and os.path.isfile(real)  # noqa: PTH113 - text
