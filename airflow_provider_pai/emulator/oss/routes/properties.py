"""Handlers for what an object has beside its bytes: tags, ACL, symbolic link, restore."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from starlette.responses import Response

from airflow_provider_pai.emulator.oss.errors import OssError, invalid_argument
from airflow_provider_pai.emulator.oss.restore import read_request, restored
from airflow_provider_pai.emulator.oss.routes.call import OssCall, empty, owner, xml
from airflow_provider_pai.emulator.oss.routes.headers import (
    as_latin1,
    checked_object_acl,
    checked_tags,
    http_date,
    quoted,
    version_header,
)
from airflow_provider_pai.emulator.oss.routes.objects import storage_class_of, upload_attributes, write_headers
from airflow_provider_pai.emulator.oss.stored import StoredObject
from airflow_provider_pai.emulator.oss.xml import Pair, child_text, parse


async def put_object_tagging(call: OssCall) -> Response:
    """PutObjectTagging."""
    root = parse(await call.document(), "Tagging")
    return await _tag(
        call, checked_tags([(child_text(each, "Key"), child_text(each, "Value")) for each in root.iter("Tag")])
    )


async def get_object_tagging(call: OssCall) -> Response:
    """GetObjectTagging."""
    stored = await _stored(call)
    tags: list[Pair] = [("Tag", [("Key", key), ("Value", value)]) for key, value in stored.attributes.tags.items()]
    response = xml("Tagging", ("TagSet", tags))
    response.headers.update(version_header(call, stored))
    return response


async def delete_object_tagging(call: OssCall) -> Response:
    """DeleteObjectTagging."""
    response = await _tag(call, {})
    response.status_code = 204
    return response


async def put_object_acl(call: OssCall) -> Response:
    """PutObjectACL."""
    stored, acl = await _stored(call), checked_object_acl(call.headers.get("x-oss-object-acl", ""))
    await asyncio.to_thread(call.oss.objects.update, call.bucket, stored, replace(stored.attributes, acl=acl))
    return empty(headers=version_header(call, stored))


async def get_object_acl(call: OssCall) -> Response:
    """GetObjectACL."""
    stored = await _stored(call)
    grants: list[Pair] = [("Grant", stored.attributes.acl)]
    response = xml("AccessControlPolicy", owner(call), ("AccessControlList", grants))
    response.headers.update(version_header(call, stored))
    return response


async def put_symlink(call: OssCall) -> Response:
    """PutSymlink: an empty object that knows its target's key; the target need not exist."""
    if not call.headers.get("x-oss-symlink-target"):
        raise invalid_argument("The x-oss-symlink-target header is missing.", "x-oss-symlink-target", "")
    objects, attributes = call.oss.objects, upload_attributes(call, "Symlink")
    with await asyncio.to_thread(call.oss.files.stage) as staged:
        stored = await asyncio.to_thread(
            objects.put, call.bucket, call.key, staged, attributes, overwrite=call.overwrite
        )
    return empty(headers=write_headers(call, stored))


async def get_symlink(call: OssCall) -> Response:
    """GetSymlink."""
    stored = await _stored(call)
    if stored.attributes.kind != "Symlink":
        raise OssError(400, "NotSymlink", "The object is not symlink.")
    headers = {
        "x-oss-symlink-target": stored.attributes.headers["x-oss-symlink-target"],
        "etag": quoted(stored.etag),
        "last-modified": http_date(stored.modified),
        **version_header(call, stored),
    }
    return empty(headers=as_latin1(headers))


async def restore_object(call: OssCall) -> Response:
    """RestoreObject: 202 when it begins, 200 when the object is restored already and is for longer."""
    stored, body = await _stored(call), await call.document()
    storage_class, thaw = storage_class_of(call, stored), call.thaw_of(stored)
    days, headers = read_request(parse(body, "RestoreRequest") if body else None, storage_class)
    attributes = restored(stored.attributes, storage_class, thaw, days, call.oss.account.now().timestamp())
    await asyncio.to_thread(call.oss.objects.update, call.bucket, stored, attributes)
    return empty(200 if thaw.until else 202, {**headers, **version_header(call, stored)})


async def _stored(call: OssCall) -> StoredObject:
    return await asyncio.to_thread(call.oss.objects.get, call.bucket, call.key, call.version)


async def _tag(call: OssCall, tags: dict[str, str]) -> Response:
    stored = await _stored(call)
    await asyncio.to_thread(call.oss.objects.update, call.bucket, stored, replace(stored.attributes, tags=tags))
    return empty(headers=version_header(call, stored))
