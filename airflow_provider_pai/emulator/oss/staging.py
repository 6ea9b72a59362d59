"""Staged files: hashed as they grow, invisible until they are put in place."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from fastcrc import crc64

from airflow_provider_pai.emulator.oss.crc import combine

CHUNK = 1 << 20
"""Bytes that are read, hashed and written at a time."""


class Hash:
    """MD5 and CRC-64/XZ of what passes by."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.crc64 = 0

    def update(self, data: bytes | bytearray) -> None:
        """Take in more bytes."""
        self._md5.update(data)
        self.crc64 = crc64.xz(data, self.crc64)

    @property
    def md5(self) -> bytes:
        """Return the MD5 of all bytes so far."""
        return self._md5.digest()

    @property
    def etag(self) -> str:
        """Return the MD5 as OSS writes it."""
        return self._md5.hexdigest().upper()


class Staged:
    """A file in the staging folder.

    A context manager: what has not been moved away at the end is deleted. Not synced to the disk: a killed
    emulator loses nothing, only a machine that loses its power may.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / secrets.token_hex(16)
        self.hash = Hash()
        self.size = 0
        self._file: BinaryIO = self.path.open("xb", buffering=0)

    def write(self, data: bytes | bytearray) -> None:
        """Append bytes."""
        self.hash.update(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self.size += len(data)

    def copy(self, source: Path, start: int = 0, length: int | None = None) -> None:
        """Append bytes of another file."""
        with source.open("rb", buffering=0) as file:
            self.copy_file(file, start, length)

    def copy_file(self, file: BinaryIO, start: int = 0, length: int | None = None) -> None:
        """Append bytes of an open file."""
        for chunk in chunks(file, start, length):
            self.write(chunk)

    @classmethod
    def adopt(cls, folder: Path, source: Path) -> Staged:
        """Move a file into the staging folder; `note` says what is known of its bytes."""
        staged = cls(folder)
        source.replace(staged.path)
        return staged

    def splice(self, source: Path, start: int, size: int, crc: int) -> None:
        """Append bytes of a file whose CRC is known: the kernel copies, nothing is hashed; no MD5 after that."""
        with source.open("rb", buffering=0) as file:
            file.seek(start)
            left = size
            while left and (copied := os.copy_file_range(file.fileno(), self._file.fileno(), left)):
                left -= copied
        self.note(size, crc)

    def note(self, size: int, crc: int) -> None:
        """Count bytes that are there, by their CRC."""
        self.hash.crc64 = combine(self.hash.crc64, crc, size)
        self.size += size

    def seal(self) -> os.stat_result:
        """Close the file, date it and return its final status.

        The time has more digits than the kernel gives to a file it dates itself: a later write shows.
        """
        self._file.close()
        moment = time.time_ns()
        os.utime(self.path, ns=(moment, moment))
        return self.path.stat()

    def discard(self) -> None:
        """Delete the file if it is still here."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Staged:
        """Do nothing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete what has not been moved away."""
        self.discard()


def chunks(file: BinaryIO, start: int = 0, length: int | None = None) -> Iterator[bytes]:
    """Yield the bytes of a file, at most `length` from `start`."""
    file.seek(start)
    left = length
    while left is None or left > 0:
        chunk = file.read(CHUNK if left is None else min(CHUNK, left))
        if not chunk:
            return
        if left is not None:
            left -= len(chunk)
        yield chunk


def hash_file(path: Path) -> tuple[os.stat_result, Hash]:
    """Hash a file and return the status it had before: of one that grows meanwhile, the bytes it had then."""
    with path.open("rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        digest = Hash()
        for chunk in chunks(file, 0, status.st_size):
            digest.update(chunk)
    return status, digest
