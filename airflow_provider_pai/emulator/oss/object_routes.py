"""Operations on objects: thin handlers over the backend."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import BinaryIO
from urllib.parse import unquote

from starlette.responses import Response, StreamingResponse

from airflow_provider_pai.emulator.oss.errors import OssError, invalid_argument
from airflow_provider_pai.emulator.oss.files import CHUNK
from airflow_provider_pai.emulator.oss.headers import (
    attributes_of,
    brief,
    check_conditions,
    checked_tags,
    described,
    iso_date,
    outgoing,
    overridden,
    quoted,
    requested_range,
    tags_of_header,
)
from airflow_provider_pai.emulator.oss.index import Attributes
from airflow_provider_pai.emulator.oss.objects import StoredObject
from airflow_provider_pai.emulator.oss.wire import Call, empty, xml
from airflow_provider_pai.emulator.oss.xml import Pair, child_text, parse


async def put_object(call: Call) -> Response:
    """PutObject, or CopyObject if there is a source."""
    if "x-oss-copy-source" in call.headers:
        return await copy_object(call)
    objects = call.oss.objects
    attributes = attributes_of(call.headers)
    with await asyncio.to_thread(objects.stage) as staged:
        await call.receive(staged)
        call.check_digest(staged.hash.md5)
        stored = await asyncio.to_thread(
            objects.put, call.bucket, call.key, staged, attributes, overwrite=call.overwrite
        )
    return empty(headers={**written(stored), "content-md5": base64.b64encode(bytes.fromhex(stored.etag)).decode()})


async def append_object(call: Call) -> Response:
    """AppendObject."""
    objects = call.oss.objects
    position = call.integer("position", 0, 0, 5 << 30)
    base = await asyncio.to_thread(call.oss.append_base, call.bucket, call.key, position)
    attributes = base.attributes if base else attributes_of(call.headers, "Appendable")
    with await asyncio.to_thread(objects.stage) as staged:
        if base is not None:
            await asyncio.to_thread(staged.copy, base.path)
        await call.receive(staged)
        stored = await asyncio.to_thread(
            objects.put, call.bucket, call.key, staged, attributes, overwrite=base is not None, base=base
        )
    return empty(headers={**written(stored), "x-oss-next-append-position": str(stored.size)})


async def copy_object(call: Call) -> Response:
    """CopyObject."""
    objects = call.oss.objects
    source, file = await open_source(call)
    with file, await asyncio.to_thread(objects.stage) as staged:
        await asyncio.to_thread(staged.copy_file, file)
        stored = await asyncio.to_thread(
            objects.put, call.bucket, call.key, staged, _copied_attributes(call, source), overwrite=call.overwrite
        )
    response = xml("CopyObjectResult", ("ETag", quoted(stored.etag)), ("LastModified", iso_date(stored.modified)))
    response.headers.update(written(stored))
    return response


async def get_object(call: Call) -> Response:
    """GetObject."""
    stored, file = await asyncio.to_thread(call.oss.objects.open, call.bucket, call.key)
    try:
        return await _download(call, stored, file)
    except BaseException:
        file.close()
        raise


async def head_object(call: Call) -> Response:
    """HeadObject."""
    stored = await asyncio.to_thread(call.oss.objects.get, call.bucket, call.key)
    check_conditions(stored, call.headers)
    return empty(headers={**outgoing(_described(call, stored)), "content-length": str(stored.size)})


async def get_object_meta(call: Call) -> Response:
    """GetObjectMeta."""
    stored = await asyncio.to_thread(call.oss.objects.get, call.bucket, call.key)
    return empty(headers={**brief(stored), "content-length": str(stored.size)})


async def delete_object(call: Call) -> Response:
    """DeleteObject."""
    await asyncio.to_thread(call.oss.objects.delete, call.bucket, call.key)
    return empty(204)


async def put_object_tagging(call: Call) -> Response:
    """PutObjectTagging."""
    root = parse(await call.document(), "Tagging")
    tags = checked_tags([(child_text(each, "Key"), child_text(each, "Value")) for each in root.iter("Tag")])
    return await _tag(call, tags)


async def get_object_tagging(call: Call) -> Response:
    """GetObjectTagging."""
    stored = await asyncio.to_thread(call.oss.objects.get, call.bucket, call.key)
    tags: list[Pair] = [("Tag", [("Key", key), ("Value", value)]) for key, value in stored.attributes.tags.items()]
    return xml("Tagging", ("TagSet", tags))


async def delete_object_tagging(call: Call) -> Response:
    """DeleteObjectTagging."""
    await _tag(call, {})
    return empty(204)


async def open_source(call: Call) -> tuple[StoredObject, BinaryIO]:
    """Open the object that a copy reads.

    :raises OssError: InvalidArgument, NoSuchBucket, NoSuchKey, PreconditionFailed.
    """
    bucket, _, key = unquote(call.headers["x-oss-copy-source"]).removeprefix("/").partition("/")
    if not bucket or not key:
        raise invalid_argument("Copy Source must mention the source bucket and key: /sourcebucket/sourcekey.")
    call.oss.check_names(bucket, key)
    stored, file = await asyncio.to_thread(call.oss.objects.open, bucket, key)
    try:
        check_conditions(stored, call.headers, "x-oss-copy-source-")
    except OssError:
        file.close()
        raise
    return stored, file


def written(stored: StoredObject) -> dict[str, str]:
    """Return the headers of every answer to a write."""
    return {"etag": quoted(stored.etag), "x-oss-hash-crc64ecma": str(stored.record.crc64)}


def _described(call: Call, stored: StoredObject) -> dict[str, str]:
    return described(stored, stored.storage_class(call.oss.bucket(call.bucket).storage_class))


async def _download(call: Call, stored: StoredObject, file: BinaryIO) -> Response:
    check_conditions(stored, call.headers)
    headers = overridden(_described(call, stored), call.query)
    standard = call.headers.get("x-oss-range-behavior") == "standard"
    wanted = requested_range(call.headers.get("range"), stored.size, standard=standard)
    start, length = wanted or (0, stored.size)
    headers["content-length"] = str(length)
    if wanted:
        headers["content-range"] = f"bytes {start}-{start + length - 1}/{stored.size}"
    return await _answer(206 if wanted else 200, outgoing(headers), file, start, length)


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


def _copied_attributes(call: Call, source: StoredObject) -> Attributes:
    """Return the attributes of a copy: the source's, unless the request replaces them."""
    given = attributes_of(call.headers)
    headers, tags = source.attributes.headers, source.attributes.tags
    if call.headers.get("x-oss-metadata-directive", "COPY").upper() == "REPLACE":
        headers = given.headers
    elif storage_class := given.headers.get("x-oss-storage-class"):
        headers = {**headers, "x-oss-storage-class": storage_class}
    if call.headers.get("x-oss-tagging-directive", "COPY").upper() == "REPLACE":
        tags = tags_of_header(call.headers.get("x-oss-tagging", ""))
    return Attributes(headers=headers, tags=tags)


async def _tag(call: Call, tags: dict[str, str]) -> Response:
    objects = call.oss.objects
    stored = await asyncio.to_thread(objects.get, call.bucket, call.key)
    await asyncio.to_thread(objects.update, call.bucket, call.key, replace(stored.attributes, tags=tags))
    return empty()
