"""Streams of unknown length: written in parts as bytes come, read block by block across lost connections."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any

from airflow_provider_pai.exceptions import PaiTransferError, PaiTransientError
from airflow_provider_pai.hooks.answers import present
from airflow_provider_pai.hooks.oss.calls import OssCalls
from airflow_provider_pai.hooks.oss.client import blocks, sdk, whole_size
from airflow_provider_pai.hooks.oss.crc import combined, crc_of
from airflow_provider_pai.hooks.oss.upload import PART
from airflow_provider_pai.uri import OssUri

# Parts grow with their number, so that 10,000 of them hold what an object may hold.
_GROWS_EVERY = 1000


class ObjectWriter:
    """Writes an object whose length is not known; it is there when `close` returns, or not at all.

    A context manager: an error inside leaves no object and no parts.
    """

    def __init__(self, oss: OssCalls, to: OssUri, headers: Mapping[str, str]) -> None:
        self._oss = oss
        self._to = to
        self._headers = dict(headers)
        self._buffer = bytearray()
        self._upload: str | None = None
        self._parts: list[Any] = []
        self._crcs: list[tuple[int, int]] = []
        self.closed = False

    def write(self, data: bytes | memoryview) -> int:
        """Take bytes; sent in parts as they fill."""
        self._buffer += data
        while len(self._buffer) >= self._part_size:
            self._send(self._part_size)
        return len(data)

    def close(self) -> None:
        """Send what is left and put the object in place.

        :raises PaiTransferError: OSS has not what was written.
        """
        if self.closed:
            return
        if self._upload is None:
            self._oss.put_bytes(self._to, bytes(self._buffer), self._headers)
        else:
            self._complete(self._upload)
        self.closed = True

    def abort(self) -> None:
        """Leave nothing behind."""
        self.closed = True
        self._buffer.clear()
        if self._upload is not None:
            self._oss.abort(self._to, self._upload)

    def __enter__(self) -> ObjectWriter:
        """Return this."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, or after an error abort."""
        if error is not None:
            self.abort()
            return
        try:
            self.close()
        except BaseException:
            self.abort()
            raise

    @property
    def _part_size(self) -> int:
        return PART * (1 + len(self._parts) // _GROWS_EVERY)

    def _send(self, size: int) -> None:
        if self._upload is None:
            self._upload = self._oss.begin(self._to, self._headers)
        number, part = len(self._parts) + 1, bytes(self._buffer[:size])
        crc = crc_of(part)
        send = partial(self._oss.bucket(self._to.bucket).upload_part, self._to.key, self._upload, number, part)
        etag = self._oss.verified(f"UploadPart {number}", self._to, send, lambda: crc)
        self._parts.append(sdk().models.PartInfo(number, etag))
        self._crcs.append((crc, size))
        del self._buffer[:size]

    def _complete(self, upload: str) -> None:
        if self._buffer:
            self._send(len(self._buffer))
        self._oss.complete(self._to, upload, self._parts, self._headers, combined(self._crcs))


def read_blocks(oss: OssCalls, source: OssUri) -> Iterator[bytes]:
    """Yield an object's bytes; where a connection is lost, or an answer cut, it goes on with the same object.

    :raises PaiTransferError: the object was replaced meanwhile, or what came is not what OSS has.
    """
    etag, done, crc, expected, size = "", 0, 0, None, -1
    give_up = oss.clock.monotonic() + oss.retry_seconds
    while True:
        answer, whole = oss.call_for("GetObject", source, partial(_open, oss, source, etag, done))
        if not etag:
            etag, expected, size = answer.etag, answer.server_crc, whole
        try:
            for block in blocks(answer, f"GetObject {source}"):
                crc, done = crc_of(block, crc), done + len(block)
                yield block
                give_up = oss.clock.monotonic() + oss.retry_seconds
        except PaiTransientError as error:
            if oss.clock.monotonic() > give_up:
                raise
            oss.log.info("%s; going on behind %d bytes", error, done)
        if done == size:
            if crc == expected:
                return
            # What cuts an answer on the way may tell the length of what it has left.
            size = _size(oss, source)
        if done >= size or oss.clock.monotonic() > give_up:
            break
        oss.clock.sleep(random.uniform(0.05, 0.5))  # noqa: S311 - jitter
    if expected is not None or done < size:
        raise PaiTransferError(f"{source}: what came has CRC64 {crc} ({done} bytes), OSS says {expected} ({size})")


def _size(oss: OssCalls, source: OssUri) -> int:
    head = oss.head(source)
    return head.size if head else 0


def _open(oss: OssCalls, source: OssUri, etag: str, start: int) -> tuple[Any, int]:
    """Ask for an object from a byte on; return the answer and the size of the whole."""
    bucket, span = oss.bucket(source.bucket), (start, None) if start else None
    try:
        answer = bucket.get_object(source.key, byte_range=span, headers={"If-Match": f'"{etag}"'} if etag else {})
        present(answer.etag, "ETag")
        return answer, whole_size(answer, start)
    except sdk().exceptions.PreconditionFailed:
        raise PaiTransferError(f"{source} was replaced while it was read, it had ETag {etag}") from None
