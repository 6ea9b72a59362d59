"""Copies within OSS, whose bytes do not pass by here; the source is pinned by its ETag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlencode

from airflow_provider_pai.exceptions import PaiApiError, PaiNotFoundError, PaiTransferError
from airflow_provider_pai.hooks.oss.calls import OssCalls
from airflow_provider_pai.hooks.oss.client import sdk
from airflow_provider_pai.hooks.oss.headers import version_parameters
from airflow_provider_pai.hooks.oss.objects import ObjectInfo
from airflow_provider_pai.hooks.oss.parallel import in_parallel
from airflow_provider_pai.uri import OssUri

MAX_WHOLE = 1 << 30
"""Bytes that CopyObject takes; what is larger is copied in parts."""
PART = 128 << 20
THREADS = 8
_KEPT = ("content-type", "cache-control", "content-disposition", "content-encoding", "expires")
_IF_MATCH = "x-oss-copy-source-if-match"


def copy_object(
    oss: OssCalls,
    source: OssUri,
    to: OssUri,
    *,
    version: str | None,
    headers: Mapping[str, str],
    etag: str | None = None,
) -> str:
    """Copy an object and return the copy's ETag.

    :param etag: that the source must have.
    :raises PaiNotFoundError: there is no source.
    :raises PaiTransferError: the source was replaced meanwhile, or the copy differs.
    """
    info = oss.head(source, version=version)
    if info is None:
        raise PaiNotFoundError("oss", f"CopyObject {source}", "there is no such object", "NoSuchKey", 404)
    if etag not in (None, info.etag):
        raise PaiTransferError(f"{source} was replaced meanwhile, it had ETag {etag} and has {info.etag}")
    with pinned(info.uri, info.etag):
        return (_in_parts if info.size > MAX_WHOLE else _whole)(oss, info, to, version, headers)


def _whole(oss: OssCalls, info: ObjectInfo, to: OssUri, version: str | None, headers: Mapping[str, str]) -> str:
    send = partial(
        oss.bucket(to.bucket).copy_object,
        info.uri.bucket,
        info.uri.key,
        to.key,
        headers={**headers, _IF_MATCH: info.etag},
        params=version_parameters(version),
    )
    return oss.verified("CopyObject", to, send, lambda: _crc(info))


def _in_parts(oss: OssCalls, info: ObjectInfo, to: OssUri, version: str | None, headers: Mapping[str, str]) -> str:
    bucket = oss.bucket(to.bucket)
    upload = oss.begin(to, {**_described(oss, info, version), **headers})

    def part(number: int) -> Any:
        first = (number - 1) * PART
        send = partial(
            bucket.upload_part_copy,
            info.uri.bucket,
            info.uri.key,
            (first, min(first + PART, info.size) - 1),
            to.key,
            upload,
            number,
            headers={_IF_MATCH: info.etag},
            params=version_parameters(version),
        )
        # OSS has no CRC64 of a part of an object to compare with: that of the whole tells.
        return sdk().models.PartInfo(number, oss.verified("UploadPartCopy", to, send, lambda: None))

    try:
        numbers = range(1, -(-info.size // PART) + 1)
        parts = sorted(in_parallel(part, numbers, THREADS), key=lambda each: each.part_number)
        return oss.complete(to, upload, parts, headers, _crc(info))
    except BaseException:
        oss.abort(to, upload)
        raise


def _crc(info: ObjectInfo) -> int | None:
    return int(info.crc64) if info.crc64 else None


def _described(oss: OssCalls, info: ObjectInfo, version: str | None) -> dict[str, str]:
    """Return the headers that a copy in parts must be given: nothing but bytes goes with the parts."""
    head = partial(oss.bucket(info.uri.bucket).head_object, info.uri.key, params=version_parameters(version))
    headers = oss.call_for("HeadObject", info.uri, head).headers
    kept = {
        name: value
        for name, value in headers.items()
        if name.lower() in _KEPT or name.lower().startswith("x-oss-meta-")
    }
    tags = oss.tags(info.uri, version=version)
    return {**kept, **({"x-oss-tagging": urlencode(tags)} if tags else {})}


@contextmanager
def pinned(uri: OssUri, etag: str | None) -> Iterator[None]:
    """Turn "precondition failed" into what it means for an object whose ETag is known."""
    try:
        yield
    except PaiApiError as error:
        if error.status != 412 or etag is None:
            raise
        raise PaiTransferError(f"{uri} was replaced meanwhile, it had ETag {etag}: {error}") from None
