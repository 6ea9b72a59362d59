"""Uploads of files: in parts, side by side, each checked by its CRC64; the object is there when all of it is.

Rules followed: MultipartUpload.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError, PaiNotFoundError, PaiTransferError
from airflow_provider_pai.hooks.oss import checkpoints
from airflow_provider_pai.hooks.oss.calls import OssCalls
from airflow_provider_pai.hooks.oss.client import BLOCK, sdk
from airflow_provider_pai.hooks.oss.crc import combined, crc_of
from airflow_provider_pai.hooks.oss.parallel import fitting, in_parallel
from airflow_provider_pai.hooks.oss.progress import TransferProgress
from airflow_provider_pai.inputs import unusable, whole_number
from airflow_provider_pai.uri import OssUri

MIB = 1 << 20
PART = 8 * MIB
"""Bytes of a part at least: what is lost with a connection is sent again. A file that is not larger goes whole."""
MAX_PARTS = 10_000
MIN_PART = 100 * 1024
"""What OSS takes as a part."""
THREADS = 8


def upload_file(
    oss: OssCalls,
    path: Path,
    to: OssUri,
    *,
    headers: Mapping[str, str],
    threads: int = THREADS,
    part_size: int | None = None,
    checkpoint: Path | None = None,
    progress: TransferProgress | None = None,
) -> str:
    """Upload a file and return the object's ETag.

    :param headers: of `write_headers`; the other options are `TransferOptions`.
    :raises PaiTransferError: the file changed meanwhile, or OSS has not got what was sent.
    """
    threads = whole_number("threads", threads, least=1)
    part_size = None if part_size is None else whole_number("part_size", part_size, least=1)
    with LocalFile.opened(path) as source:
        progress = progress or TransferProgress(oss.log, f"{path} to {to}", source.size, clock=oss.clock)
        if source.size <= (part_size or PART):
            return _put(oss, source, to, headers, progress)
        size = _checked_part(part_size, source.size) if part_size else _upload_part(source.size)
        return _Upload(oss, source, to, dict(headers), threads, size, checkpoint, progress).run()


class LocalFile:
    """A local file that is uploaded, as it was when it was opened."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self.file = file
        status = os.fstat(file)
        self.size = status.st_size
        self.mtime_ns = status.st_mtime_ns

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[LocalFile]:
        """Open a file.

        :raises PaiConfigError: it is no file, or may not be read.
        :raises PaiNotFoundError: it is not there.
        """
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise unusable("path", str(path), "a file that can be read", error) from None
        try:
            if not path.is_file():
                raise PaiConfigError("path", str(path), "a file; a folder goes by upload_folder")
            yield cls(path, file)
        finally:
            os.close(file)

    def check(self) -> None:
        """Make sure that the file is as it was.

        :raises PaiTransferError: it has grown, shrunk or been written to.
        """
        status = os.fstat(self.file)
        if (status.st_size, status.st_mtime_ns) != (self.size, self.mtime_ns):
            raise PaiTransferError(
                f"{self.path} changed while it was uploaded: it had {self.size} bytes and has {status.st_size} now"
            )


class Region:
    """Bytes of a source as a body that requests sends: hashed as they go, the last only if the file is as it was."""

    def __init__(self, source: LocalFile, start: int, size: int, progress: TransferProgress) -> None:
        self._source = source
        self._at = start
        self.left = self._size = size
        self.progress = progress
        self._buffer = memoryview(bytearray(min(BLOCK, size)))
        self._crc = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[memoryview]:
        return iter(self.read, memoryview(b""))

    def read(self, size: int = -1) -> memoryview:
        """Return the next bytes; they are overwritten by those that follow."""
        wanted = min(self.left, len(self._buffer), size if size > 0 else BLOCK)
        got = os.preadv(self._source.file, [self._buffer[:wanted]], self._at) if wanted else 0
        self._at, self.left = self._at + got, self.left - got
        if wanted and (not got or not self.left):
            self._source.check()
        if wanted and not got:
            raise PaiTransferError(f"{self._source.path} ended {self.left} bytes before its size")
        block = self._buffer[:got]
        self._crc = crc_of(block, self._crc)
        self.progress.add(got)
        return block

    @property
    def crc(self) -> int:
        """Return the CRC of all its bytes, also of those that nobody wanted any more."""
        for _ in self:
            pass
        return self._crc


def _take_back(sent: list[Region]) -> None:
    """Count out what has to be sent again."""
    for region in sent[-1:]:
        region.progress.add(region.left - len(region))


def _put(oss: OssCalls, source: LocalFile, to: OssUri, headers: Mapping[str, str], progress: TransferProgress) -> str:
    """Upload a file in one request."""
    regions: list[Region] = []

    def send() -> Any:
        _take_back(regions)
        regions.append(Region(source, 0, source.size, progress))
        return oss.bucket(to.bucket).put_object(to.key, regions[-1] if source.size else b"", headers=dict(headers))

    return oss.verified("PutObject", to, send, lambda: regions[-1].crc)


@dataclass
class _Upload:
    """A multipart upload."""

    oss: OssCalls
    source: LocalFile
    to: OssUri
    headers: dict[str, str]
    threads: int
    part_size: int
    checkpoint: Path | None
    progress: TransferProgress
    upload_id: str = ""
    parts: dict[int, tuple[str, int]] = field(default_factory=dict)
    """ETag and CRC of what is there, by number."""
    resumed: bool = False
    """Another process has begun it."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> str:
        try:
            return self._run()
        except PaiApiError as error:
            is_gone = isinstance(error, PaiNotFoundError) and (self.parts or self.resumed)
            if not is_gone and not _is_not_what_was_said(error):
                raise
            self.oss.log.info("%s is begun anew; its parts are gone, or not what is known of them: %s", self.to, error)
            self.parts, self.resumed = {}, False
            checkpoints.forget(self.checkpoint)
            return self._run()

    def _run(self) -> str:
        self._begin()
        try:
            missing = [number for number in self._numbers() if number not in self.parts]
            begun = self.oss.clock.monotonic()
            for number in missing[:1]:
                self._send(number)
            threads = fitting(self.threads, self.part_size, self.oss.clock.monotonic() - begun, few=4)
            for _ in in_parallel(self._send, missing[1:], threads):
                pass
            self.source.check()
            etag = self._complete()
        except BaseException as error:
            if self.checkpoint is None or isinstance(error, PaiTransferError) or _is_not_what_was_said(error):
                self._abort()
            raise
        checkpoints.forget(self.checkpoint)
        return etag

    def _numbers(self) -> range:
        return range(1, -(-self.source.size // self.part_size) + 1)

    def _begin(self) -> None:
        saved = checkpoints.load(self.checkpoint, self._identity())
        if saved:
            self.upload_id = saved["upload_id"]
            self.parts = {int(number): (etag, crc) for number, (etag, crc) in saved["parts"].items()}
            self.resumed = True
            self.oss.log.info("%s: going on behind %d parts that are there", self.to, len(self.parts))
            return
        self.upload_id = self.oss.begin(self.to, self.headers)
        self._save()  # a part whose answer is lost may be there, and cost: whoever goes on must find this upload

    def _send(self, number: int) -> None:
        start = (number - 1) * self.part_size
        size = min(self.part_size, self.source.size - start)
        regions: list[Region] = []

        def send() -> Any:
            _take_back(regions)
            regions.append(Region(self.source, start, size, self.progress))
            return self.oss.bucket(self.to.bucket).upload_part(self.to.key, self.upload_id, number, regions[-1])

        etag = self.oss.verified(f"UploadPart {number}", self.to, send, lambda: regions[-1].crc)
        with self._lock:
            self.parts[number] = (etag, regions[-1].crc)
            self._save()

    def _save(self) -> None:
        checkpoints.save(self.checkpoint, {**self._identity(), "upload_id": self.upload_id, "parts": self.parts})

    def _complete(self) -> str:
        """Put the parts together."""
        infos = [sdk().models.PartInfo(number, self.parts[number][0]) for number in self._numbers()]
        crc = combined(
            (self.parts[number][1], min(self.part_size, self.source.size - (number - 1) * self.part_size))
            for number in self._numbers()
        )
        return self.oss.complete(self.to, self.upload_id, infos, self.headers, crc)

    def _abort(self) -> None:
        self.oss.abort(self.to, self.upload_id)
        checkpoints.forget(self.checkpoint)

    def _identity(self) -> dict[str, Any]:
        source = self.source
        file = {"path": str(source.path), "size": source.size, "mtime_ns": source.mtime_ns}
        return {"upload": str(self.to), **file, "part_size": self.part_size}


def _is_not_what_was_said(error: BaseException) -> bool:
    """Tell whether OSS has other parts than the checkpoint or an answer named (page CompleteMultipartUpload)."""
    return isinstance(error, PaiApiError) and error.code == "InvalidPart"


def _upload_part(size: int) -> int:
    """Return the size of the parts of an upload: what is lost with a connection is sent again."""
    fit = -(-size // MAX_PARTS)
    return max(PART, -(-fit // MIB) * MIB)


def _checked_part(part_size: int, size: int) -> int:
    least = max(MIN_PART, -(-size // MAX_PARTS))
    if part_size < least:
        raise PaiConfigError("part_size", part_size, f"at least {least} bytes for a file of {size}")
    return part_size
