"""Operations on the service and on buckets: thin handlers over the backend."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from itertools import islice

from starlette.responses import Response

from airflow_provider_pai.emulator.auth import raw
from airflow_provider_pai.emulator.oss.backend import Bucket
from airflow_provider_pai.emulator.oss.errors import invalid_argument
from airflow_provider_pai.emulator.oss.headers import iso_date, quoted
from airflow_provider_pai.emulator.oss.listing import Cursor, Page
from airflow_provider_pai.emulator.oss.names import check_key
from airflow_provider_pai.emulator.oss.objects import StoredObject
from airflow_provider_pai.emulator.oss.wire import Call, empty, text_xml, xml
from airflow_provider_pai.emulator.oss.xml import Encoder, Pair, child_text, malformed, parse

_MAX_DELETED = 1000


async def list_buckets(call: Call) -> Response:
    """GetService."""
    prefix, marker = call.query.get("prefix", ""), call.query.get("marker", "")
    limit = call.integer("max-keys", 100, 1, 1000)
    wanted = (each for each in call.oss.buckets() if each.name > marker and each.name.startswith(prefix))
    found = list(islice(wanted, limit + 1))
    shown = found[:limit]
    pages: list[Pair] = [("Prefix", prefix), ("Marker", marker), ("MaxKeys", limit)]
    if len(found) > limit:
        pages += [("NextMarker", shown[-1].name)]
    return xml(
        "ListAllMyBucketsResult",
        _owner(call),
        *pages,
        ("IsTruncated", len(found) > limit),
        ("Buckets", [("Bucket", _bucket(call, each)) for each in shown]),
    )


async def put_bucket(call: Call) -> Response:
    """PutBucket."""
    body = await call.document()
    root = parse(body, "CreateBucketConfiguration") if body else None
    storage_class = (root.findtext("StorageClass") if root is not None else None) or "Standard"
    redundancy = (root.findtext("DataRedundancyType") if root is not None else None) or "LRS"
    await asyncio.to_thread(call.oss.create_bucket, call.bucket, storage_class, redundancy)
    return empty(headers={"location": f"/{call.bucket}"})


async def head_bucket(call: Call) -> Response:
    """HeadBucket."""
    call.oss.bucket(call.bucket)
    return empty(headers={"x-oss-bucket-region": call.oss.cloud.settings.region})


async def delete_bucket(call: Call) -> Response:
    """DeleteBucket."""
    await asyncio.to_thread(call.oss.delete_bucket, call.bucket)
    return empty(204)


async def get_bucket_info(call: Call) -> Response:
    """GetBucketInfo."""
    bucket = call.oss.bucket(call.bucket)
    details: list[Pair] = [
        *_bucket(call, bucket),
        ("DataRedundancyType", bucket.redundancy),
        ("AccessMonitor", "Disabled"),
        ("CrossRegionReplication", "Disabled"),
        ("TransferAcceleration", "Disabled"),
        _owner(call),
        ("AccessControlList", [("Grant", "private")]),
    ]
    return xml("BucketInfo", ("Bucket", details))


async def get_bucket_location(call: Call) -> Response:
    """GetBucketLocation."""
    call.oss.bucket(call.bucket)
    return text_xml("LocationConstraint", f"oss-{call.oss.cloud.settings.region}")


async def list_live_channels(call: Call) -> Response:
    """ListLiveChannel: clients that empty a bucket ask for them, and nothing here can make one."""
    call.oss.bucket(call.bucket)
    limit = call.integer("max-keys", 100, 1, 1000)
    return xml(
        "ListLiveChannelResult",
        ("Prefix", call.query.get("prefix", "")),
        ("Marker", call.query.get("marker", "")),
        ("MaxKeys", limit),
        ("IsTruncated", False),
        ("NextMarker", ""),
    )


async def list_objects(call: Call) -> Response:
    """GetBucket (ListObjects)."""
    if call.query.get("list-type") == "2":
        return await list_objects_v2(call)
    marker = call.query.get("marker", "")
    page, objects, limit = await _page(call, marker)
    encode = Encoder(call.query.get("encoding-type"))
    paging: list[Pair] = [("Marker", encode(marker)), ("MaxKeys", limit), ("IsTruncated", page.truncated)]
    if page.truncated:
        paging.append(("NextMarker", encode(page.last)))
    return _listing(call, encode, paging, _contents(call, objects, encode, [_owner(call)]), page)


async def list_objects_v2(call: Call) -> Response:
    """ListObjectsV2."""
    token, start = call.query.get("continuation-token", ""), call.query.get("start-after", "")
    page, objects, limit = await _page(call, _untoken(token) if token else start)
    encode = Encoder(call.query.get("encoding-type"))
    paging: list[Pair] = [
        ("StartAfter", encode(start)),
        ("ContinuationToken", token),
        ("MaxKeys", limit),
        ("IsTruncated", page.truncated),
        ("KeyCount", len(page)),
    ]
    if page.truncated:
        paging.append(("NextContinuationToken", _token(page.last)))
    owner = [_owner(call)] if call.query.get("fetch-owner") == "true" else []
    return _listing(call, encode, paging, _contents(call, objects, encode, owner), page)


async def delete_objects(call: Call) -> Response:
    """DeleteMultipleObjects."""
    call.oss.bucket(call.bucket)
    root = parse(await call.document(), "Delete")
    keys = [check_key(child_text(each, "Key")) for each in root.findall("Object")]
    if not 1 <= len(keys) <= _MAX_DELETED:
        raise malformed()
    for key in keys:
        await asyncio.to_thread(call.oss.objects.delete, call.bucket, key)
    if root.findtext("Quiet") == "true":
        return empty()
    encode = Encoder(call.query.get("encoding-type"))
    deleted: list[Pair] = [("Deleted", [("Key", encode(key))]) for key in keys]
    return xml("DeleteResult", *encode.pairs, *deleted)


async def _page(call: Call, after: str) -> tuple[Page, list[StoredObject], int]:
    call.oss.bucket(call.bucket)
    limit = call.integer("max-keys", 100, 1, 1000)
    cursor = Cursor(raw(call.query.get("prefix", "")), raw(after))
    page, objects = await asyncio.to_thread(
        call.oss.objects.page, call.bucket, cursor, call.query.get("delimiter", ""), limit
    )
    return page, objects, limit


def _listing(call: Call, encode: Encoder, paging: list[Pair], contents: list[Pair], page: Page) -> Response:
    prefixes: list[Pair] = [("CommonPrefixes", [("Prefix", encode(prefix))]) for prefix in page.prefixes]
    return xml(
        "ListBucketResult",
        ("Name", call.bucket),
        ("Prefix", encode(call.query.get("prefix", ""))),
        ("Delimiter", encode(call.query.get("delimiter", ""))),
        *encode.pairs,
        *paging,
        *contents,
        *prefixes,
    )


def _contents(call: Call, objects: Sequence[StoredObject], encode: Encoder, owner: list[Pair]) -> list[Pair]:
    bucket = call.oss.bucket(call.bucket)
    return [
        (
            "Contents",
            [
                ("Key", encode(each.key)),
                ("LastModified", iso_date(each.modified)),
                ("ETag", quoted(each.etag)),
                ("Type", each.attributes.kind),
                ("Size", each.size),
                ("StorageClass", each.storage_class(bucket.storage_class)),
                *owner,
            ],
        )
        for each in objects
    ]


def _bucket(call: Call, bucket: Bucket) -> list[Pair]:
    region, endpoint = call.oss.cloud.settings.region, call.oss.cloud.endpoints["oss"]
    return [
        ("Name", bucket.name),
        ("CreationDate", bucket.created),
        ("Location", f"oss-{region}"),
        ("Region", region),
        ("ExtranetEndpoint", endpoint),
        ("IntranetEndpoint", endpoint),
        ("StorageClass", bucket.storage_class),
    ]


def _owner(call: Call) -> Pair:
    account = call.oss.cloud.settings.account_id
    return "Owner", [("ID", account), ("DisplayName", account)]


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _untoken(token: str) -> str:
    try:
        return base64.b64decode(raw(token), altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise invalid_argument("The specified continuation-token is not valid.") from error
