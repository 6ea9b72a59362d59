"""Objects with all that OSS has of them: conditions of a write, versions, pages of a bucket."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from itertools import count
from typing import BinaryIO

from airflow_provider_pai.emulator.oss.errors import (
    file_already_exists,
    no_such_bucket,
    no_such_key,
    position_not_equal_to_length,
)
from airflow_provider_pai.emulator.oss.files import Files
from airflow_provider_pai.emulator.oss.index import Attributes, Index, Record
from airflow_provider_pai.emulator.oss.listing import Cursor, Page, take_page
from airflow_provider_pai.emulator.oss.staging import CHUNK, Staged
from airflow_provider_pai.emulator.oss.stored import StoredObject
from airflow_provider_pai.emulator.oss.versions import Versions

# How often a file that changes while it is read is looked at again.
_PATIENCE = 1


class Objects:
    """The objects of every bucket. Methods block on the disk; call them from threads."""

    def __init__(self, files: Files, versions: Versions, index: Index) -> None:
        self._files = files
        self._versions = versions
        self._index = index

    def get(self, bucket: str, key: str, version: str | None = None) -> StoredObject:
        """Return an object.

        :param version: an id, `null`, or None for the newest.
        :raises OssError: NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker), InvalidArgument.
        """
        if version is not None:
            return self._versions.get(bucket, key, version)
        stored = self._files.find(bucket, key)
        if stored is None:
            raise no_such_key(self._versions.marker_headers(bucket, key))
        return stored

    def open(self, bucket: str, key: str, version: str | None = None) -> tuple[StoredObject, BinaryIO]:
        """Return an object and its bytes, of one and the same state.

        Those of a small one are read here: a process that writes its file anew would cut short what others still read.

        :raises OssError: as `get`.
        """
        for attempt in count():
            stored = self.get(bucket, key, version)
            try:
                file = stored.path.open("rb", buffering=0)
            except FileNotFoundError:
                continue  # replaced or deleted just now: look again
            content = file if stored.size > CHUNK else BytesIO(file.read(stored.size))
            status = os.fstat(file.fileno())
            # A job may write to the file without a pause: then what it had when we looked must do.
            grown = attempt >= _PATIENCE and status.st_size >= stored.size
            is_same = stored.record.describes(status) or grown
            if content is not file or not is_same:
                file.close()
            if is_same:
                break
        return stored, content

    def page(self, bucket: str, cursor: Cursor, delimiter: str, limit: int) -> tuple[Page, list[StoredObject]]:
        """Return one page of a bucket's keys and the objects on it."""
        page = take_page(self._files.sources(bucket, cursor), cursor, delimiter, limit)
        return page, list(self._files.describe_all(bucket, page.keys))

    def all(self, bucket: str) -> Iterator[StoredObject]:
        """Yield every object of a bucket."""
        for key in heapq.merge(*self._files.sources(bucket, Cursor())):
            yield from self._files.describe_all(bucket, [key.decode()])

    def is_empty(self, bucket: str) -> bool:
        """Tell whether a bucket has no object, earlier version or delete marker."""
        sources = [*self._files.sources(bucket, Cursor()), self._versions.keys(bucket, Cursor())]
        return not len(take_page(sources, Cursor(), "", 1))

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
        with self._files.lock:
            if self._index.bucket(bucket) is None:
                raise no_such_bucket()
            self._check(bucket, key, overwrite=overwrite, base=base)
            # An append goes on with the version that is there.
            version = base.record.version if base else self._versions.make_room(bucket, key)
            return self._files.place(bucket, key, staged.path, replace(record, version=version))

    def update(self, bucket: str, stored: StoredObject, attributes: Attributes) -> None:
        """Replace the attributes of an object, or of one of its versions; its bytes stay.

        :raises OssError: NoSuchKey.
        """
        with self._files.lock:
            current = self._files.find(bucket, stored.key)
            record = replace(stored.record, attributes=attributes)
            if current is not None and current.record == stored.record:
                self._index.add(bucket, stored.key, record)
            else:
                self._versions.update(bucket, stored, record)

    def _check(self, bucket: str, key: str, *, overwrite: bool, base: StoredObject | None) -> None:
        if not overwrite and self._files.is_taken(bucket, key):
            raise file_already_exists()
        if base is not None:
            current = self._files.find(bucket, key)
            if current is None or current.record != base.record:
                raise position_not_equal_to_length(current.size if current else 0)
