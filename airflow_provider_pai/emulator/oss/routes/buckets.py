"""Handlers for the service and for buckets, thin over the backend."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice

from starlette.responses import Response

from airflow_provider_pai.emulator.auth import raw
from airflow_provider_pai.emulator.oss.backend import STORAGE_CLASSES, Bucket
from airflow_provider_pai.emulator.oss.configs import encryption_of, encryption_rule, tags_of
from airflow_provider_pai.emulator.oss.errors import invalid_argument
from airflow_provider_pai.emulator.oss.listing import Cursor, Page
from airflow_provider_pai.emulator.oss.names import check_key
from airflow_provider_pai.emulator.oss.routes.access import check_action
from airflow_provider_pai.emulator.oss.routes.call import OssCall, empty, owner, text_xml, xml
from airflow_provider_pai.emulator.oss.routes.configs import checked_acl
from airflow_provider_pai.emulator.oss.routes.headers import iso_date, quoted
from airflow_provider_pai.emulator.oss.stored import StoredObject
from airflow_provider_pai.emulator.oss.versions import Deleted, Listed
from airflow_provider_pai.emulator.oss.xml import Encoder, Pair, child_text, document, malformed, parse

_MAX_DELETED = 1000


async def list_buckets(call: OssCall) -> Response:
    """GetService."""
    prefix, marker = call.query.get("prefix", ""), call.query.get("marker", "")
    limit = call.integer("max-keys", 100, 1, 1000)
    matching = (
        each
        for each in call.oss.buckets()
        if each.name > marker and each.name.startswith(prefix) and _has_tag(call, each)
    )
    first = list(islice(matching, limit + 1))
    shown = first[:limit]
    pages: list[Pair] = [("Prefix", prefix), ("Marker", marker), ("MaxKeys", limit)]
    if len(first) > limit:
        pages += [("NextMarker", shown[-1].name)]
    return xml(
        "ListAllMyBucketsResult",
        owner(call),
        *pages,
        ("IsTruncated", len(first) > limit),
        ("Buckets", [("Bucket", _bucket(call, each)) for each in shown]),
    )


async def put_bucket(call: OssCall) -> Response:
    """PutBucket."""
    body = await call.document()
    root = parse(body, "CreateBucketConfiguration") if body else None
    storage_class = (root.findtext("StorageClass") if root is not None else None) or "Standard"
    redundancy = (root.findtext("DataRedundancyType") if root is not None else None) or "LRS"
    acl = checked_acl(call.headers.get("x-oss-acl", "private"))
    encryption = _encryption_asked(call)
    await asyncio.to_thread(call.oss.create_bucket, call.bucket, storage_class, redundancy, acl)
    if encryption:
        await asyncio.to_thread(call.oss.put_config, call.bucket, "encryption", encryption)
    return empty(headers={"location": f"/{call.bucket}"})


async def head_bucket(call: OssCall) -> Response:
    """HeadBucket."""
    call.oss.bucket(call.bucket)
    return empty(headers={"x-oss-bucket-region": call.oss.account.settings.region})


async def delete_bucket(call: OssCall) -> Response:
    """DeleteBucket."""
    await asyncio.to_thread(call.oss.delete_bucket, call.bucket)
    return empty(204)


async def get_bucket_info(call: OssCall) -> Response:
    """GetBucketInfo."""
    bucket = call.oss.bucket(call.bucket)
    rule = encryption_of(call.oss.config(call.bucket, "encryption")) or {"SSEAlgorithm": "None"}
    status = call.oss.versions.status(call.bucket)
    details: list[Pair] = [
        *_bucket(call, bucket),
        ("DataRedundancyType", bucket.redundancy),
        ("Comment", ""),
        ("ServerSideEncryptionRule", list(rule.items())),
        *([("Versioning", status)] if status else []),
        ("AccessMonitor", "Disabled"),
        ("CrossRegionReplication", "Disabled"),
        ("TransferAcceleration", "Disabled"),
        owner(call),
        ("AccessControlList", [("Grant", bucket.acl)]),
    ]
    return xml("BucketInfo", ("Bucket", details))


async def get_bucket_location(call: OssCall) -> Response:
    """GetBucketLocation."""
    call.oss.bucket(call.bucket)
    return text_xml("LocationConstraint", f"oss-{call.oss.account.settings.region}")


async def get_bucket_stat(call: OssCall) -> Response:
    """GetBucketStat: exact, where OSS's own figures are an hour old."""
    bucket = call.oss.bucket(call.bucket)
    objects = await asyncio.to_thread(lambda: list(call.oss.objects.all(call.bucket)))
    uploads = call.oss.uploads.all(call.bucket)
    parts = sum(len(call.oss.uploads.parts(each)) for each in uploads)
    children: list[Pair] = [
        ("Storage", sum(each.size for each in objects)),
        ("ObjectCount", len(objects)),
        ("MultipartUploadCount", len(uploads)),
        ("MultipartPartCount", parts),
        ("LiveChannelCount", 0),
        ("LastModifiedTime", int(call.oss.account.now().timestamp())),
    ]
    for storage_class in STORAGE_CLASSES:
        sizes = [each.size for each in objects if each.storage_class(bucket.storage_class) == storage_class]
        name = "InfrequentAccess" if storage_class == "IA" else storage_class
        children += [(f"{name}Storage", sum(sizes)), (f"{name}ObjectCount", len(sizes))]
        if storage_class != "Standard":
            children.append((f"{name}RealStorage", sum(sizes)))
    return xml("BucketStat", *children)


async def list_object_versions(call: OssCall) -> Response:
    """ListObjectVersions."""
    bucket = call.oss.bucket(call.bucket)
    prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
    after = (call.query.get("key-marker", ""), call.query.get("version-id-marker", ""))
    limit = call.integer("max-keys", 100, 1, 1000)
    page = await asyncio.to_thread(call.oss.versions.page, call.bucket, prefix, delimiter, limit, after)
    encode = Encoder(call.query.get("encoding-type"))
    following: list[Pair] = [("NextKeyMarker", encode(page.next_key)), ("NextVersionIdMarker", page.next_version)]
    return xml(
        "ListVersionsResult",
        ("Name", call.bucket),
        ("Prefix", encode(prefix)),
        ("KeyMarker", encode(after[0])),
        ("VersionIdMarker", after[1]),
        ("MaxKeys", limit),
        ("Delimiter", encode(delimiter)),
        *encode.pairs,
        ("IsTruncated", page.truncated),
        *(following if page.truncated else []),
        *[_version(call, each, encode, bucket) for each in page.entries],
        *[("CommonPrefixes", [("Prefix", encode(each))]) for each in page.prefixes],
    )


async def list_live_channels(call: OssCall) -> Response:
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


async def list_objects(call: OssCall) -> Response:
    """GetBucket (ListObjects)."""
    if call.query.get("list-type") == "2":
        return await list_objects_v2(call)
    marker = call.query.get("marker", "")
    page, objects, limit = await _page(call, marker)
    encode = Encoder(call.query.get("encoding-type"))
    paging: list[Pair] = [("Marker", encode(marker)), ("MaxKeys", limit), ("IsTruncated", page.truncated)]
    if page.truncated:
        paging.append(("NextMarker", encode(page.last)))
    return _listing(call, encode, paging, _contents(call, objects, encode, [owner(call)]), page)


async def list_objects_v2(call: OssCall) -> Response:
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
    owners = [owner(call)] if call.query.get("fetch-owner") == "true" else []
    return _listing(call, encode, paging, _contents(call, objects, encode, owners), page)


async def delete_objects(call: OssCall) -> Response:
    """DeleteMultipleObjects."""
    call.oss.bucket(call.bucket)
    root = parse(await call.document(), "Delete")
    wanted = [(check_key(child_text(each, "Key")), each.findtext("VersionId")) for each in root.findall("Object")]
    if not 1 <= len(wanted) <= _MAX_DELETED:
        raise malformed()
    for key, version in wanted:
        check_action(call, "oss:DeleteObjectVersion" if version else "oss:DeleteObject", call.bucket, key)
    delete = call.oss.versions.delete
    results = [await asyncio.to_thread(delete, call.bucket, key, version) for key, version in wanted]
    if root.findtext("Quiet") == "true":
        return empty()
    encode = Encoder(call.query.get("encoding-type"))
    deleted = [_deleted(encode(key), version, done) for (key, version), done in zip(wanted, results, strict=True)]
    return xml("DeleteResult", *encode.pairs, *deleted)


def _deleted(key: str, version: str | None, done: Deleted) -> Pair:
    wanted: list[Pair] = [("VersionId", version)] if version else []
    marker: list[Pair] = [("DeleteMarker", True), ("DeleteMarkerVersionId", done.version)] if done.marker else []
    return "Deleted", [("Key", key), *wanted, *marker]


def _version(call: OssCall, listed: Listed, encode: Encoder, bucket: Bucket) -> Pair:
    common: list[Pair] = [
        ("Key", encode(listed.key)),
        ("VersionId", listed.version),
        ("IsLatest", listed.latest),
        ("LastModified", iso_date(datetime.fromtimestamp(listed.mtime_ns // 1_000_000_000, UTC))),
        owner(call),
    ]
    if listed.stored is None:
        return "DeleteMarker", common
    return "Version", [*common, *_facts(call, listed.stored, bucket)]


async def _page(call: OssCall, after: str) -> tuple[Page, list[StoredObject], int]:
    call.oss.bucket(call.bucket)
    limit = call.integer("max-keys", 100, 1, 1000)
    cursor = Cursor(raw(call.query.get("prefix", "")), raw(after))
    page, objects = await asyncio.to_thread(
        call.oss.objects.page, call.bucket, cursor, call.query.get("delimiter", ""), limit
    )
    return page, objects, limit


def _listing(call: OssCall, encode: Encoder, paging: list[Pair], contents: list[Pair], page: Page) -> Response:
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


def _contents(call: OssCall, objects: Sequence[StoredObject], encode: Encoder, owners: list[Pair]) -> list[Pair]:
    bucket = call.oss.bucket(call.bucket)
    return [
        (
            "Contents",
            [
                ("Key", encode(each.key)),
                ("LastModified", iso_date(each.modified)),
                *_facts(call, each, bucket),
                *owners,
            ],
        )
        for each in objects
    ]


def _facts(call: OssCall, stored: StoredObject, bucket: Bucket) -> list[Pair]:
    thaw = str(call.thaw_of(stored))
    return [
        ("ETag", quoted(stored.etag)),
        ("Type", stored.attributes.kind),
        ("Size", stored.size),
        ("StorageClass", stored.storage_class(bucket.storage_class)),
        *([("RestoreInfo", thaw)] if thaw else []),
    ]


def _bucket(call: OssCall, bucket: Bucket) -> list[Pair]:
    region, endpoint = call.oss.account.settings.region, call.oss.account.endpoints["oss"]
    return [
        ("Name", bucket.name),
        ("CreationDate", bucket.created),
        ("Location", f"oss-{region}"),
        ("Region", region),
        ("ExtranetEndpoint", endpoint),
        ("IntranetEndpoint", endpoint),
        ("StorageClass", bucket.storage_class),
        ("ResourceGroupId", bucket.group),
    ]


def _has_tag(call: OssCall, bucket: Bucket) -> bool:
    key, value = call.query.get("tag-key"), call.query.get("tag-value")
    if not key:
        return True
    tags = tags_of(call.oss.config(bucket.name, "tagging"))
    return key in tags and value in (None, "", tags[key])


def _encryption_asked(call: OssCall) -> bytes | None:
    """Return the encryption that the headers of PutBucket ask for."""
    name = "x-oss-server-side-encryption"
    if name not in call.headers:
        return None
    texts = (call.headers.get(each, "") for each in (name, f"{name}-key-id", "x-oss-server-side-data-encryption"))
    return document("ServerSideEncryptionRule", ("ApplyServerSideEncryptionByDefault", encryption_rule(*texts)))


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _untoken(token: str) -> str:
    try:
        return base64.b64decode(raw(token), altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise invalid_argument("The specified continuation-token is not valid.") from error
