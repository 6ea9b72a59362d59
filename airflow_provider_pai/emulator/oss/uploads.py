"""Multipart uploads: parts below `.pai-emulator/parts`, until they are put together."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from airflow_provider_pai.emulator.oss.errors import OssError, invalid_argument
from airflow_provider_pai.emulator.oss.files import Files
from airflow_provider_pai.emulator.oss.index import Attributes, Index
from airflow_provider_pai.emulator.oss.objects import Objects
from airflow_provider_pai.emulator.oss.slots import Slot, Slots
from airflow_provider_pai.emulator.oss.staging import Staged, hash_file
from airflow_provider_pai.emulator.oss.stored import StoredObject

MAX_PARTS = 10_000
MIN_PART_BYTES = 100 * 1024
"""Of every part but the last."""

# The file that parts are written to where they will be in the object.
_BODY = "body"

_SELECT_UPLOAD = "SELECT * FROM uploads WHERE id = ? AND bucket = ? AND key = ?"
_SELECT_UPLOADS = "SELECT * FROM uploads WHERE bucket = ? ORDER BY key, id"


@dataclass(frozen=True)
class Upload:
    """An upload that was begun."""

    id: str
    bucket: str
    key: str
    initiated_ns: int
    attributes: Attributes
    sequential: bool = False
    """Parts come in order, and the object gets a Content-MD5."""

    @property
    def initiated(self) -> datetime:
        """Return the time at which it was begun."""
        return _time(self.initiated_ns)


@dataclass(frozen=True)
class Part:
    """A part that was uploaded."""

    number: int
    file: str
    """Its own, or with `@` and the first byte its place in the object that is to be."""
    size: int
    etag: str
    crc64: int
    mtime_ns: int

    @property
    def place(self) -> tuple[str, int]:
        """Return file and first byte."""
        return (_BODY, int(self.file[1:])) if self.file.startswith("@") else (self.file, 0)

    @property
    def modified(self) -> datetime:
        """Return the time of the upload."""
        return _time(self.mtime_ns)


class Uploads:
    """The uploads of every bucket. Methods block on the disk; call them from threads."""

    def __init__(self, folder: Path, index: Index, files: Files, objects: Objects) -> None:
        self._folder = folder
        self._index = index
        self._files = files
        self._objects = objects
        self._slots: dict[str, Slots] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for left in {path.name for path in folder.iterdir()} - self._ids():
            shutil.rmtree(folder / left, ignore_errors=True)

    def _ids(self) -> set[str]:
        return {upload for (upload,) in self._index.execute("SELECT id FROM uploads")}

    def begin(self, bucket: str, key: str, attributes: Attributes, *, sequential: bool = False) -> Upload:
        """Begin an upload."""
        upload = Upload(secrets.token_hex(16).upper(), bucket, key, time.time_ns(), attributes, sequential)
        (self._folder / upload.id).mkdir()
        self._slots[upload.id] = Slots(self._folder / upload.id / _BODY)
        body = json.dumps([attributes.headers, attributes.tags, attributes.acl, sequential])
        self._index.execute(
            "INSERT INTO uploads VALUES (?, ?, ?, ?, ?)", upload.id, bucket, key, upload.initiated_ns, body
        )
        return upload

    def get(self, bucket: str, key: str, upload_id: str) -> Upload:
        """Return an upload.

        :raises OssError: NoSuchUpload.
        """
        rows = self._index.execute(_SELECT_UPLOAD, upload_id, bucket, key)
        if not rows:
            raise OssError(
                404,
                "NoSuchUpload",
                "The specified upload does not exist. "
                "The upload ID may be invalid, or the upload may have been aborted or completed.",
            )
        return _upload(*rows[0])

    def all(self, bucket: str) -> list[Upload]:
        """Return the uploads of a bucket in the order of their keys."""
        return [_upload(*row) for row in self._index.execute(_SELECT_UPLOADS, bucket)]

    def stage(self, upload: Upload, number: int, length: int | None) -> Staged:
        """Return where a part of a length goes; an upload that was begun before a restart has files alone."""
        slots = self._slots.get(upload.id)
        slot = slots.take(number, length) if slots and (self._folder / upload.id).exists() else None
        return slot or self._files.stage()

    def put_part(self, upload: Upload, number: int, staged: Staged) -> Part:
        """Take in a part; one with the same number is replaced.

        :raises OssError: NoSuchUpload if the upload ended meanwhile.
        """
        slotted = isinstance(staged, Slot)
        file = f"@{staged.offset}" if isinstance(staged, Slot) else staged.path.name
        moment = time.time_ns() if slotted else staged.seal().st_mtime_ns
        part = Part(number, file, staged.size, staged.hash.etag, staged.hash.crc64, moment)
        there = self.parts(upload)
        before = [each for each in there if each.number == number]
        if upload.sequential and number != len(there) + 1 and not (before and number == len(there)):
            raise OssError(400, "PartNotSequential", "Part is not sequential.")
        self.get(upload.bucket, upload.key, upload.id)
        if isinstance(staged, Slot):
            staged.kept = True
        else:
            try:
                staged.path.rename(self._folder / upload.id / part.file)
            except FileNotFoundError:
                self.get(upload.bucket, upload.key, upload.id)
                raise
        self._index.execute(
            "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?)",
            upload.id,
            number,
            part.file,
            part.size,
            part.etag,
            str(part.crc64),
            part.mtime_ns,
        )
        for each in before:
            if each.place[0] != _BODY:
                (self._folder / upload.id / each.file).unlink(missing_ok=True)
        return part

    def parts(self, upload: Upload) -> list[Part]:
        """Return the parts in the order of their numbers."""
        rows = self._index.execute(
            "SELECT number, file, size, etag, crc64, mtime_ns FROM parts WHERE upload = ? ORDER BY number", upload.id
        )
        return [Part(number, file, size, etag, int(crc), mtime) for number, file, size, etag, crc, mtime in rows]

    def complete(
        self, upload: Upload, wanted: Sequence[tuple[int, str]] | None, *, overwrite: bool = True
    ) -> StoredObject:
        """Put parts together to the object.

        :param wanted: numbers and ETags in the order of the object; None: all parts.
        :raises OssError: InvalidPart, InvalidPartOrder, EntityTooSmall, FileAlreadyExists.
        """
        parts = self._chosen(upload, wanted)
        digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts), usedforsecurity=False)
        with self._put_together(upload, parts) as staged:
            attributes = upload.attributes
            if upload.sequential:
                content_md5 = base64.b64encode(hash_file(staged.path)[1].md5).decode()
                attributes = replace(attributes, headers={**attributes.headers, "content-md5": content_md5})
            stored = self._objects.put(
                upload.bucket,
                upload.key,
                staged,
                attributes,
                overwrite=overwrite,
                etag=f"{digest.hexdigest().upper()}-{len(parts)}",
            )
        self.abort(upload)
        return stored

    @contextmanager
    def _put_together(self, upload: Upload, parts: Sequence[Part]) -> Iterator[Staged]:
        """Yield the object's file: that which the parts were written to, or one that they are copied to."""
        folder, slots = self._folder / upload.id, self._slots.get(upload.id)
        lie_there = all(part.place[0] == _BODY for part in parts)
        if not (slots and lie_there and slots.close([(part.number, part.size) for part in parts])):
            with self._files.stage() as staged:
                for part in parts:
                    file, start = part.place
                    staged.splice(folder / file, start, part.size, part.crc64)
                yield staged
            return
        with self._files.adopt(folder / _BODY) as staged:
            for part in parts:
                staged.note(part.size, part.crc64)
            os.truncate(staged.path, staged.size)
            try:
                yield staged
            except BaseException:
                staged.path.replace(folder / _BODY)
                raise

    def abort(self, upload: Upload) -> None:
        """End an upload and delete its parts."""
        self._slots.pop(upload.id, None)
        self._index.execute("DELETE FROM uploads WHERE id = ?", upload.id)
        self._index.execute("DELETE FROM parts WHERE upload = ?", upload.id)
        shutil.rmtree(self._folder / upload.id, ignore_errors=True)

    def _chosen(self, upload: Upload, wanted: Sequence[tuple[int, str]] | None) -> list[Part]:
        there = {part.number: part for part in self.parts(upload)}
        if wanted is None:
            chosen = list(there.values())
        elif any(left >= right for (left, _), (right, _) in pairwise(wanted)):
            raise OssError(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        else:
            chosen = list(_matching(there, wanted))
        if not chosen:
            raise OssError(400, "MalformedXML", "The XML you provided was not well-formed: it names no part.")
        if any(part.size < MIN_PART_BYTES for part in chosen[:-1]):
            raise OssError(400, "EntityTooSmall", "Your proposed upload smaller than the minimum allowed object size.")
        return chosen


def check_part_number(number: int) -> int:
    """Return the number of a part.

    :raises OssError: InvalidArgument.
    """
    if not 1 <= number <= MAX_PARTS:
        raise invalid_argument(f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive.")
    return number


def _matching(there: dict[int, Part], wanted: Iterable[tuple[int, str]]) -> Iterable[Part]:
    for number, etag in wanted:
        part = there.get(number)
        if part is None or part.etag != etag.strip('"').upper():
            raise OssError(
                400,
                "InvalidPart",
                "One or more of the specified parts could not be found or the specified entity tag might not "
                f"have matched the part's entity tag: part {number}.",
            )
        yield part


def _upload(upload_id: str, bucket: str, key: str, initiated_ns: int, body: str) -> Upload:
    headers, tags, acl, sequential = json.loads(body)
    attributes = Attributes(headers=headers, tags=tags, acl=acl, kind="Multipart")
    return Upload(upload_id, bucket, key, initiated_ns, attributes, sequential)


def _time(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC)
