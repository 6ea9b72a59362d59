"""Handlers for objects, thin over the backend."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import unquote

from starlette.responses import Response, StreamingResponse

from airflow_provider_pai.emulator.oss.configs import encryption_of
from airflow_provider_pai.emulator.oss.errors import OssError
from airflow_provider_pai.emulator.oss.index import Attributes
from airflow_provider_pai.emulator.oss.restore import check_readable
from airflow_provider_pai.emulator.oss.routes.access import source_of
from airflow_provider_pai.emulator.oss.routes.call import OssCall, empty, xml
from airflow_provider_pai.emulator.oss.routes.callback import call_back, read_callback
from airflow_provider_pai.emulator.oss.routes.headers import (
    as_latin1,
    attributes_of,
    brief_headers,
    check_conditions,
    content_md5,
    default_encryption,
    encryption_headers,
    is_compressed,
    iso_date,
    kept_encryption,
    object_headers,
    override_headers,
    quoted,
    requested_range,
    tags_of_header,
    version_header,
)
from airflow_provider_pai.emulator.oss.staging import CHUNK
from airflow_provider_pai.emulator.oss.stored import StoredObject
from airflow_provider_pai.emulator.oss.versions import Deleted


async def put_object(call: OssCall) -> Response:
    """PutObject, or CopyObject if there is a source."""
    if "x-oss-copy-source" in call.headers:
        return await copy_object(call)
    objects = call.oss.objects
    attributes = upload_attributes(call)
    callback = read_callback(call.headers, call.query)
    with call.oss.files.stage() as staged:

        def put() -> StoredObject:
            call.check_digest(staged.hash.md5)
            return objects.put(call.bucket, call.key, staged, attributes, overwrite=call.overwrite)

        stored = await call.receive(staged, put)
    headers = {**write_headers(call, stored), "content-md5": content_md5(stored.etag)}
    return await upload_answer(call, stored, empty(headers=headers), callback)


async def append_object(call: OssCall) -> Response:
    """AppendObject."""
    objects = call.oss.objects
    call.oss.check_append(call.bucket)
    position = call.integer("position", 0, 0, 5 << 30)
    base = await asyncio.to_thread(call.oss.append_base, call.bucket, call.key, position)
    attributes = base.attributes if base else upload_attributes(call, "Appendable")
    with call.oss.files.stage() as staged:
        if base is not None:
            await asyncio.to_thread(staged.copy, base.path)
        put = partial(objects.put, call.bucket, call.key, staged, attributes, overwrite=base is not None, base=base)
        stored = await call.receive(staged, put)
    return empty(headers={**write_headers(call, stored), "x-oss-next-append-position": str(stored.size)})


async def copy_object(call: OssCall) -> Response:
    """CopyObject."""
    objects = call.oss.objects
    source, file = await open_source(call)
    with file, call.oss.files.stage() as staged:
        await asyncio.to_thread(staged.copy_file, file)
        put = partial(objects.put, overwrite=call.overwrite, etag=call.oss.copy_etag(staged))
        stored = await asyncio.to_thread(put, call.bucket, call.key, staged, _copied_attributes(call, source))
    response = xml("CopyObjectResult", ("ETag", quoted(stored.etag)), ("LastModified", iso_date(stored.modified)))
    response.headers.update(write_headers(call, stored))
    if version := version_header(replace(call, bucket=source_of(call)[0]), source):
        response.headers["x-oss-copy-source-version-id"] = version["x-oss-version-id"]
    return response


async def get_object(call: OssCall) -> Response:
    """GetObject."""
    stored, file = await asyncio.to_thread(_open, call)
    try:
        return await _download(call, stored, file)
    except BaseException:
        file.close()
        raise


async def head_object(call: OssCall) -> Response:
    """HeadObject."""
    stored, file = await asyncio.to_thread(_open, call)
    file.close()
    check_conditions(stored, call.headers)
    return empty(headers={**as_latin1(_described(call, stored)), "content-length": str(stored.size)})


async def get_object_meta(call: OssCall) -> Response:
    """GetObjectMeta."""
    stored = await asyncio.to_thread(call.oss.objects.get, call.bucket, call.key, call.version)
    length = {"content-length": str(stored.size)} if call.request.method == "HEAD" else {}
    return empty(headers={**brief_headers(stored), **version_header(call, stored), **length})


async def delete_object(call: OssCall) -> Response:
    """DeleteObject."""
    deleted = await asyncio.to_thread(call.oss.versions.delete, call.bucket, call.key, call.version)
    return empty(204, _deleted_headers(deleted))


async def open_source(call: OssCall) -> tuple[StoredObject, BinaryIO]:
    """Open the object that a copy reads.

    :raises OssError: InvalidArgument, NoSuchBucket, NoSuchKey, NoSuchVersion, PreconditionFailed, InvalidObjectState.
    """
    bucket, key, version = source_of(call)
    call.oss.check_names(bucket, key)
    stored, file = await asyncio.to_thread(call.oss.objects.open, bucket, key, version)
    at_source = replace(call, bucket=bucket, key=key)
    try:
        check_conditions(stored, call.headers, "x-oss-copy-source-")
        check_readable(storage_class_of(at_source, stored), call.thaw_of(stored))
    except OssError:
        file.close()
        raise
    return stored, file


def upload_attributes(call: OssCall, kind: str = "Normal") -> Attributes:
    """Return what is kept of an upload's headers, with its bucket's encryption.

    :raises OssError: as `attributes_of`.
    """
    rule = encryption_of(call.oss.config(call.bucket, "encryption"))
    return attributes_of({**default_encryption(rule), **call.headers}, kind)


def write_headers(call: OssCall, stored: StoredObject) -> dict[str, str]:
    """Return the headers of every answer to a write."""
    crc = {"x-oss-hash-crc64ecma": str(stored.record.crc64)}
    return {"etag": quoted(stored.etag), **crc, **encryption_headers(stored.attributes), **version_header(call, stored)}


async def upload_answer(
    call: OssCall, stored: StoredObject, response: Response, callback: tuple[dict[str, Any], dict[str, Any]] | None
) -> Response:
    """Return an upload's answer: OSS's own, or that of the server which is called back.

    :raises OssError: CallbackFailed.
    """
    if callback is None:
        return response
    body = await asyncio.to_thread(call_back, *callback, call.bucket, stored)
    headers = {
        name: value for name, value in response.headers.items() if name not in ("content-length", "content-type")
    }
    return Response(body, 200, headers, media_type="application/json")


def storage_class_of(call: OssCall, stored: StoredObject) -> str:
    """Return an object's storage class: its own, else its bucket's."""
    return stored.storage_class(call.oss.bucket(call.bucket).storage_class)


def _open(call: OssCall) -> tuple[StoredObject, BinaryIO]:
    """Open an object; a symbolic link's bytes are its target's, what it says of itself goes before.

    :raises OssError: as `Objects.get`; SymlinkTargetNotExist, InvalidTargetType.
    """
    stored, file = call.oss.objects.open(call.bucket, call.key, call.version)
    if stored.attributes.kind != "Symlink":
        return stored, file
    file.close()
    link = stored.attributes
    if call.oss.files.find(call.bucket, unquote(link.headers["x-oss-symlink-target"])) is None:
        raise OssError(404, "SymlinkTargetNotExist", "The symlink target object does not exist.")
    target, file = call.oss.objects.open(call.bucket, unquote(link.headers["x-oss-symlink-target"]))
    if target.attributes.kind == "Symlink":
        file.close()
        raise OssError(400, "InvalidTargetType", "The symbolic's target object type is invalid.")
    attributes = replace(link, headers={**target.attributes.headers, **link.headers})
    return replace(target, key=stored.key, record=replace(target.record, attributes=attributes)), file


def _described(call: OssCall, stored: StoredObject) -> dict[str, str]:
    thaw = str(call.thaw_of(stored))
    restore = {"x-oss-restore": thaw} if thaw else {}
    return {**object_headers(stored, storage_class_of(call, stored)), **version_header(call, stored), **restore}


def _deleted_headers(deleted: Deleted) -> dict[str, str]:
    version = {"x-oss-version-id": deleted.version} if deleted.version else {}
    return {**version, **({"x-oss-delete-marker": "true"} if deleted.marker else {})}


async def _download(call: OssCall, stored: StoredObject, file: BinaryIO) -> Response:
    check_conditions(stored, call.headers)
    check_readable(storage_class_of(call, stored), call.thaw_of(stored))
    headers = override_headers(_described(call, stored), call.query)
    standard = call.headers.get("x-oss-range-behavior") == "standard"
    wanted = requested_range(call.headers.get("range"), stored.size, standard=standard)
    start, length = wanted or (0, stored.size)
    if wanted is None and is_compressed(call.headers, headers, length):
        del headers["etag"]
        headers["content-encoding"] = "gzip"
        return StreamingResponse(_compressed(file), 200, as_latin1(headers))
    headers["content-length"] = str(length)
    if wanted:
        headers["content-range"] = f"bytes {start}-{start + length - 1}/{stored.size}"
    return await _answer(206 if wanted else 200, as_latin1(headers), file, start, length)


async def _answer(status: int, headers: Mapping[str, str], file: BinaryIO, start: int, length: int) -> Response:
    file.seek(start)
    if length > CHUNK:
        return StreamingResponse(_stream(file, length), status, headers)
    with file:
        return Response(await asyncio.to_thread(file.read, length), status, headers)


async def _stream(file: BinaryIO, length: int) -> AsyncIterator[bytes]:
    with file:
        while length > 0 and (chunk := await asyncio.to_thread(file.read, min(CHUNK, length))):
            length -= len(chunk)
            yield chunk


async def _compressed(file: BinaryIO) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            if packed := await asyncio.to_thread(packer.compress, chunk):
                yield packed
    yield packer.flush()


def _copied_attributes(call: OssCall, source: StoredObject) -> Attributes:
    """Return the attributes of a copy: the source's, unless the request replaces them."""
    requested = upload_attributes(call)
    headers, tags = source.attributes.headers, source.attributes.tags
    if call.headers.get("x-oss-metadata-directive", "COPY").upper() == "REPLACE":
        headers = requested.headers
    elif storage_class := requested.headers.get("x-oss-storage-class"):
        headers = {**headers, "x-oss-storage-class": storage_class}
    headers = {**headers, **kept_encryption(requested)}
    if call.headers.get("x-oss-tagging-directive", "COPY").upper() == "REPLACE":
        tags = tags_of_header(call.headers.get("x-oss-tagging", ""))
    return Attributes(headers=headers, tags=tags, acl=requested.acl)
