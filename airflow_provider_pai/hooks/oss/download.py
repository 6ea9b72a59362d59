"""Downloads of objects: in parts, side by side, pinned by the ETag; the file bears its name when its CRC64 is right.

Rules followed: GetObject with `Range` and `If-Match`.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from airflow_provider_pai.exceptions import PaiNotFoundError, PaiTransferError, PaiTransientError
from airflow_provider_pai.hooks.answers import present
from airflow_provider_pai.hooks.oss import checkpoints
from airflow_provider_pai.hooks.oss.calls import OssCalls
from airflow_provider_pai.hooks.oss.client import blocks, sdk, whole_size
from airflow_provider_pai.hooks.oss.crc import combined, crc_of
from airflow_provider_pai.hooks.oss.headers import version_parameters
from airflow_provider_pai.hooks.oss.parallel import fitting, in_parallel
from airflow_provider_pai.hooks.oss.progress import TransferProgress
from airflow_provider_pai.inputs import unusable, whole_number
from airflow_provider_pai.uri import OssUri

MIB = 1 << 20
PART = 8 * MIB
"""Bytes of the first request, and of each further part at least; a part goes on where its connection broke."""
MAX_PART = 64 * MIB
THREADS = 8


def download_file(
    oss: OssCalls,
    source: OssUri,
    path: Path,
    *,
    version: str | None = None,
    threads: int = THREADS,
    part_size: int | None = None,
    checkpoint: Path | None = None,
    progress: TransferProgress | None = None,
) -> int:
    """Download an object to a file that bears its name only when it is complete; return its size.

    :param checkpoint: as in `TransferOptions`, with the others; the parts are kept in `<path>.part`.
    :raises PaiTransferError: the object was replaced twice meanwhile, or what came is twice not what OSS has.
    :raises PaiNotFoundError: there is no such object.
    """
    threads = whole_number("threads", threads, least=1)
    part_size = None if part_size is None else whole_number("part_size", part_size, least=1)
    for last in (False, True):
        progress = progress or TransferProgress(oss.log, f"{source} to {path}", 0, clock=oss.clock)
        try:
            return _Download(oss, source, path, version, threads, part_size, checkpoint, progress).run()
        except PaiTransferError as error:
            if last:
                raise
            oss.log.warning("%s; once more from the beginning", error)
    raise AssertionError("the second time returns or raises")


@dataclass
class _Download:
    """A download in parts; the object's ETag is that of the first."""

    oss: OssCalls
    source: OssUri
    path: Path
    version: str | None
    threads: int
    part_size: int | None
    checkpoint: Path | None
    progress: TransferProgress
    etag: str = ""
    size: int = 0
    crc: int | None = None
    """What OSS says of the whole object."""
    parts: dict[int, tuple[int, int]] = field(default_factory=dict)
    """CRC and size of what is there, by first byte."""
    _file: int = -1
    _flowed: float = 0.0
    """Seconds in which the first part's bytes came, without the wait for them."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> int:
        part = self._part_file()
        self._open(part)
        try:
            self._fetch_all()
            self._check()
            part.replace(self.path)
        except BaseException as error:
            if self.checkpoint is None or isinstance(error, PaiTransferError | PaiNotFoundError):
                part.unlink(missing_ok=True)
                checkpoints.forget(self.checkpoint)
            raise
        finally:
            os.close(self._file)
        checkpoints.forget(self.checkpoint)
        return self.size

    def _open(self, part: Path) -> None:
        """Open the file of the parts, where the object's own could be put in its place.

        :raises PaiError: it can't: a name that is too long, a folder, one that may not be written to.
        """
        try:
            if self.path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            part.parent.mkdir(parents=True, exist_ok=True)
            saved = checkpoints.load(self.checkpoint, self._identity()) if part.exists() else None
            if saved:
                self._resume(saved)
            self._file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (0 if saved else os.O_TRUNC), 0o666)
        except OSError as error:
            raise unusable("path", str(self.path), "a file that can be written", error) from None

    def _part_file(self) -> Path:
        name = f"{self.path.name}.part" if self.checkpoint else f".{secrets.token_hex(8)}.part"
        return self.path.with_name(name)

    def _resume(self, saved: Mapping[str, Any]) -> None:
        self.etag, self.size, self.crc = saved["etag"], saved["size"], saved["crc"]
        self.parts = {int(start): (crc, size) for start, (crc, size) in saved["parts"].items()}
        self.oss.log.info("%s: going on behind %d parts that are there", self.source, len(self.parts))

    def _fetch_all(self) -> None:
        """The first part tells what there is; the others go side by side."""
        first, threads = self.part_size or PART, self.threads
        if 0 not in self.parts:
            self._fetch((0, first))
            self._make_room()
            threads = fitting(threads, min(first, self.size), self._flowed, few=1)
        step = self.part_size or min(MAX_PART, max(PART, self.size // (4 * self.threads)))
        ranges = [(start, min(step, self.size - start)) for start in range(first, self.size, step)]
        missing = [each for each in ranges if each[0] not in self.parts]
        for _ in in_parallel(self._fetch, missing, threads):
            pass

    def _fetch(self, wanted: tuple[int, int]) -> None:
        """Fetch one part; a connection that is lost goes on where it broke."""
        start, size = wanted
        state = _Part(start, size)
        while not state.ended:
            before = state.done
            try:
                self.oss.call_for("GetObject", self.source, partial(self._read, state))
            except PaiTransientError:
                if state.done == before:
                    raise
        with self._lock:
            self.parts[start] = (state.crc, state.done)
            facts = {"etag": self.etag, "size": self.size, "crc": self.crc, "parts": self.parts}
            checkpoints.save(self.checkpoint, {**self._identity(), **facts})

    def _read(self, state: _Part) -> None:
        answer = self._get(state)
        begun = self.oss.clock.monotonic()
        if not self.etag:
            self._learn(answer)
        state.size = min(state.size, self.size - state.start)
        for block in blocks(answer, f"GetObject {self.source}"):
            os.pwrite(self._file, block, state.start + state.done)
            state.crc = crc_of(block, state.crc)
            state.done += len(block)
            self.progress.add(len(block))
        if state.start == 0:
            self._flowed += self.oss.clock.monotonic() - begun
        state.ended = state.done == state.size
        if not state.ended:
            raise PaiTransientError("oss", f"GetObject {self.source}", f"{state.done} of {state.size} bytes came")

    def _get(self, state: _Part) -> Any:
        headers = {"If-Match": f'"{self.etag}"'} if self.etag else {}
        wanted = (state.start + state.done, state.start + state.size - 1)
        bucket = self.oss.bucket(self.source.bucket)
        try:
            answer = bucket.get_object(
                self.source.key, byte_range=wanted, headers=headers, params=version_parameters(self.version)
            )
        except sdk().exceptions.PreconditionFailed as error:
            raise PaiTransferError(
                f"{self.source} was replaced while it came, it had ETag {self.etag} (request id {error.request_id})"
            ) from None
        whole_size(answer, wanted[0])
        return answer

    def _learn(self, answer: Any) -> None:
        """Read what the first answer tells of the whole object; objects older than OSS's CRC64 have none."""
        self.etag, self.crc, self.size = present(answer.etag, "ETag"), answer.server_crc, whole_size(answer, 0)
        self.progress.expect(self.size)

    def _make_room(self) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if self.size - os.fstat(self._file).st_size > free:
            message = f"{os.strerror(errno.ENOSPC)}: {self.source} has {self.size} bytes, {free} are free"
            raise OSError(errno.ENOSPC, message, str(self.path))

    def _check(self) -> None:
        crc = combined(self.parts[start] for start in sorted(self.parts))
        if self.crc is not None and crc != self.crc:
            raise PaiTransferError(f"{self.source}: what came has CRC64 {crc}, OSS says {self.crc}")

    def _identity(self) -> dict[str, Any]:
        return {"download": str(self.source), "version": self.version, "path": str(self.path), "first": self.part_size}


@dataclass
class _Part:
    """How far one part is."""

    start: int
    size: int
    done: int = 0
    crc: int = 0
    ended: bool = False
