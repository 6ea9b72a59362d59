"""Handlers for multipart uploads, thin over the backend."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import islice

from starlette.responses import Response

from airflow_provider_pai.emulator.oss.errors import OssError, invalid_argument
from airflow_provider_pai.emulator.oss.routes.call import OssCall, empty, xml
from airflow_provider_pai.emulator.oss.routes.callback import read_callback
from airflow_provider_pai.emulator.oss.routes.headers import (
    checked_object_acl,
    content_md5,
    encryption_headers,
    iso_date,
    quoted,
    requested_range,
)
from airflow_provider_pai.emulator.oss.routes.objects import (
    open_source,
    upload_answer,
    upload_attributes,
    write_headers,
)
from airflow_provider_pai.emulator.oss.uploads import MAX_PARTS, Part, Upload, check_part_number
from airflow_provider_pai.emulator.oss.xml import Encoder, Pair, child_text, malformed, parse
from airflow_provider_pai.emulator.queries import whole_number


async def initiate_upload(call: OssCall) -> Response:
    """InitiateMultipartUpload."""
    attributes = upload_attributes(call, "Multipart")
    sequential = "sequential" in call.query
    upload = await asyncio.to_thread(call.oss.uploads.begin, call.bucket, call.key, attributes, sequential=sequential)
    encode = Encoder(call.query.get("encoding-type"))
    response = xml(
        "InitiateMultipartUploadResult",
        *encode.pairs,
        ("Bucket", call.bucket),
        ("Key", encode(call.key)),
        ("UploadId", upload.id),
    )
    response.headers.update(encryption_headers(attributes))
    return response


async def upload_part(call: OssCall) -> Response:
    """UploadPart, or UploadPartCopy if there is a source."""
    upload = _upload(call)
    number = check_part_number(call.integer("partNumber", 0, 0, 1 << 31))
    if "x-oss-copy-source" in call.headers:
        return await _upload_part_copy(call, upload, number)
    length = int(call.headers["content-length"]) if "content-length" in call.headers else None
    with call.oss.uploads.stage(upload, number, length) as staged:

        def put() -> Part:
            call.check_digest(staged.hash.md5)
            return call.oss.uploads.put_part(upload, number, staged)

        part = await call.receive(staged, put)
    return empty(headers={**_part_headers(upload, part), "content-md5": content_md5(part.etag)})


async def _upload_part_copy(call: OssCall, upload: Upload, number: int) -> Response:
    source, file = await open_source(call)
    wanted = requested_range(call.headers.get("x-oss-copy-source-range"), source.size, standard=True)
    start, length = wanted or (0, source.size)
    with file, call.oss.files.stage() as staged:
        await asyncio.to_thread(staged.copy_file, file, start, length)
        part = await asyncio.to_thread(call.oss.uploads.put_part, upload, number, staged)
    response = xml("CopyPartResult", ("LastModified", iso_date(part.modified)), ("ETag", quoted(part.etag)))
    response.headers.update(_part_headers(upload, part))
    return response


async def complete_upload(call: OssCall) -> Response:
    """CompleteMultipartUpload."""
    upload = _upload(call)
    callback = read_callback(call.headers, call.query)
    body = await call.document()
    wanted = _wanted_parts(body, complete_all=call.headers.get("x-oss-complete-all", "").lower() == "yes")
    if acl := call.headers.get("x-oss-object-acl"):
        upload = replace(upload, attributes=replace(upload.attributes, acl=checked_object_acl(acl)))
    stored = await asyncio.to_thread(call.oss.uploads.complete, upload, wanted, overwrite=call.overwrite)
    encode = Encoder(call.query.get("encoding-type"))
    response = xml(
        "CompleteMultipartUploadResult",
        *encode.pairs,
        ("Location", f"http://{call.headers.get('host', '')}/{call.bucket}/{encode(call.key)}"),
        ("Bucket", call.bucket),
        ("Key", encode(call.key)),
        ("ETag", quoted(stored.etag)),
    )
    response.headers.update(write_headers(call, stored))
    return await upload_answer(call, stored, response, callback)


async def abort_upload(call: OssCall) -> Response:
    """AbortMultipartUpload."""
    await asyncio.to_thread(call.oss.uploads.abort, _upload(call))
    return empty(204)


async def list_parts(call: OssCall) -> Response:
    """ListParts."""
    upload = _upload(call)
    marker = call.integer("part-number-marker", 0, 0, MAX_PARTS)
    limit = call.integer("max-parts", 1000, 1, 1000)
    parts = list(islice((part for part in call.oss.uploads.parts(upload) if part.number > marker), limit + 1))
    shown = parts[:limit]
    encode = Encoder(call.query.get("encoding-type"))
    return xml(
        "ListPartsResult",
        *encode.pairs,
        ("Bucket", call.bucket),
        ("Key", encode(call.key)),
        ("UploadId", upload.id),
        ("PartNumberMarker", marker),
        ("NextPartNumberMarker", shown[-1].number if shown else marker),
        ("MaxParts", limit),
        ("IsTruncated", len(parts) > limit),
        *[_part(part) for part in shown],
    )


async def list_uploads(call: OssCall) -> Response:
    """ListMultipartUploads."""
    call.oss.bucket(call.bucket)
    limit = call.integer("max-uploads", 1000, 1, 1000)
    uploads, prefixes, truncated = _page_of_uploads(call, limit)
    encode = Encoder(call.query.get("encoding-type"))
    last = uploads[-1] if uploads and truncated else None
    next_key = max([last.key if last else "", *(prefixes if truncated else [])])
    return xml(
        "ListMultipartUploadsResult",
        *encode.pairs,
        ("Bucket", call.bucket),
        ("KeyMarker", encode(call.query.get("key-marker", ""))),
        ("UploadIdMarker", call.query.get("upload-id-marker", "")),
        ("NextKeyMarker", encode(next_key)),
        ("NextUploadIdMarker", last.id if last and last.key == next_key else ""),
        ("Delimiter", encode(call.query.get("delimiter", ""))),
        ("Prefix", encode(call.query.get("prefix", ""))),
        ("MaxUploads", limit),
        ("IsTruncated", truncated),
        *[_shown_upload(upload, encode) for upload in uploads],
        *[_shown_prefix(prefix, encode) for prefix in prefixes],
    )


def _page_of_uploads(call: OssCall, limit: int) -> tuple[list[Upload], list[str], bool]:
    prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
    key_marker, id_marker = call.query.get("key-marker", ""), call.query.get("upload-id-marker", "")
    uploads: list[Upload] = []
    prefixes: list[str] = []
    for each in call.oss.uploads.all(call.bucket):
        after = (each.key, each.id) > (key_marker, id_marker) if id_marker else each.key > key_marker
        if not after or not each.key.startswith(prefix):
            continue
        rest, folded, _ = each.key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        common = prefix + rest + folded if folded else ""
        if common and (common in prefixes or common <= key_marker):
            continue
        if len(uploads) + len(prefixes) == limit:
            return uploads, prefixes, True
        if common:
            prefixes.append(common)
        else:
            uploads.append(each)
    return uploads, prefixes, False


def _upload(call: OssCall) -> Upload:
    return call.oss.uploads.get(call.bucket, call.key, call.query["uploadId"])


def _wanted_parts(body: bytes, *, complete_all: bool) -> list[tuple[int, str]] | None:
    if complete_all:
        if body:
            raise invalid_argument("The body must be empty when x-oss-complete-all is yes.")
        return None
    parts = []
    for each in parse(body, "CompleteMultipartUpload").findall("Part"):
        number = whole_number(child_text(each, "PartNumber"))
        if number is None:
            raise malformed()
        parts.append((check_part_number(number), child_text(each, "ETag")))
    if len(parts) > MAX_PARTS:
        raise OssError(400, "TooManyParts", f"An upload has at most {MAX_PARTS} parts.")
    return parts


def _part_headers(upload: Upload, part: Part) -> dict[str, str]:
    crc = {"x-oss-hash-crc64ecma": str(part.crc64)}
    return {"etag": quoted(part.etag), **crc, **encryption_headers(upload.attributes)}


def _part(part: Part) -> Pair:
    return "Part", [
        ("PartNumber", part.number),
        ("LastModified", iso_date(part.modified)),
        ("ETag", quoted(part.etag)),
        ("HashCrc64ecma", str(part.crc64)),
        ("Size", part.size),
    ]


def _shown_upload(upload: Upload, encode: Encoder) -> Pair:
    return "Upload", [
        ("Key", encode(upload.key)),
        ("UploadId", upload.id),
        ("StorageClass", upload.attributes.headers.get("x-oss-storage-class", "Standard")),
        ("Initiated", iso_date(upload.initiated)),
    ]


def _shown_prefix(prefix: str, encode: Encoder) -> Pair:
    return "CommonPrefixes", [("Prefix", encode(prefix))]
