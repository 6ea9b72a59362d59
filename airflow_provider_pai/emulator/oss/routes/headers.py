"""Headers of requests and answers: attributes of an upload, facts about a download, conditions, ranges."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import parse_qsl

from airflow_provider_pai.emulator.auth import http_time, raw
from airflow_provider_pai.emulator.oss.backend import STORAGE_CLASSES
from airflow_provider_pai.emulator.oss.configs import encryption_rule
from airflow_provider_pai.emulator.oss.errors import OssError, invalid_argument, precondition_failed
from airflow_provider_pai.emulator.oss.index import Attributes
from airflow_provider_pai.emulator.oss.routes.access import OBJECT_ACLS
from airflow_provider_pai.emulator.oss.routes.call import OssCall
from airflow_provider_pai.emulator.oss.stored import StoredObject
from airflow_provider_pai.emulator.oss.versions import version_id

_KEPT = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
        "x-oss-server-side-data-encryption",
        "x-oss-server-side-encryption",
        "x-oss-server-side-encryption-key-id",
        "x-oss-storage-class",
        "x-oss-symlink-target",
    }
)
_ENCRYPTION = (
    "x-oss-server-side-encryption",
    "x-oss-server-side-encryption-key-id",
    "x-oss-server-side-data-encryption",
)
# Of the key that OSS keeps in KMS for whoever names none.
_DEFAULT_KEY_ID = "00000000-0000-4000-8000-000000000000"
_MAX_USER_META_BYTES = 8 * 1024
_MAX_TAGS = 10
_TAG_TEXT = re.compile(r"[\w\s+\-=.:/]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})(?:,.*)?")

_COMPRESSED = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/rss+xml",
        "application/x-javascript",
        "application/xml",
        "text/cache-manifest",
        "text/css",
        "text/html",
        "text/javascript",
        "text/json",
        "text/plain",
        "text/x-component",
        "text/xml",
    }
)

# Query parameters of GET that replace a header of the answer.
_OVERRIDES = {
    f"response-{name}": name
    for name in (
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    )
}


def attributes_of(headers: Mapping[str, str], kind: str = "Normal") -> Attributes:
    """Return what is kept of an upload's headers.

    :raises OssError: InvalidArgument, InvalidStorageClass, InvalidTag.
    """
    kept = {name: value for name, value in headers.items() if name in _KEPT or name.startswith("x-oss-meta-")}
    kept.setdefault("content-type", "application/octet-stream")
    meta = sum(len(name) + len(value) for name, value in kept.items() if name.startswith("x-oss-meta-"))
    if meta > _MAX_USER_META_BYTES:
        raise invalid_argument("The total size of the user meta exceeds 8 KB.")
    if kept.get("x-oss-storage-class", "Standard") not in STORAGE_CLASSES:
        raise OssError(400, "InvalidStorageClass", "The storage class you specified is not valid.")
    acl = checked_object_acl(headers.get("x-oss-object-acl", "default"))
    if algorithm := kept.get(_ENCRYPTION[0]):
        encryption_rule(algorithm, *(kept.get(name, "") for name in _ENCRYPTION[1:]))
        if algorithm == "KMS":
            kept.setdefault(_ENCRYPTION[1], _DEFAULT_KEY_ID)
    return Attributes(headers=kept, tags=tags_of_header(headers.get("x-oss-tagging", "")), kind=kind, acl=acl)


def checked_object_acl(acl: str) -> str:
    """Return the ACL of an object.

    :raises OssError: InvalidArgument.
    """
    if acl not in OBJECT_ACLS:
        raise invalid_argument("no such object access control exists", "x-oss-object-acl", acl)
    return acl


def default_encryption(rule: Mapping[str, str]) -> dict[str, str]:
    """Return a bucket's encryption rule as the headers of an upload that says nothing of it."""
    names = dict(zip(("SSEAlgorithm", "KMSMasterKeyID", "KMSDataEncryption"), _ENCRYPTION, strict=True))
    return {names[name]: value for name, value in rule.items()}


def kept_encryption(attributes: Attributes) -> dict[str, str]:
    """Return what is kept of an object's encryption."""
    return {name: value for name, value in attributes.headers.items() if name in _ENCRYPTION}


def encryption_headers(attributes: Attributes) -> dict[str, str]:
    """Return what every answer tells of an object's encryption."""
    return as_latin1(kept_encryption(attributes))


def is_compressed(request: Mapping[str, str], answer: Mapping[str, str], size: int) -> bool:
    """Tell whether a download goes out compressed: a text of 1 KB and more, for whoever takes gzip."""
    wanted = "gzip" in request.get("accept-encoding", "")
    kind = answer["content-type"].partition(";")[0].strip().lower()
    return wanted and size >= 1024 and kind in _COMPRESSED and "content-encoding" not in answer


def version_header(call: OssCall, stored: StoredObject) -> dict[str, str]:
    """Return the version as an answer tells it: only of a bucket that has or had versioning."""
    if not call.oss.versions.status(call.bucket):
        return {}
    return {"x-oss-version-id": version_id(stored.record.version)}


def tags_of_header(tagging: str) -> dict[str, str]:
    """Read the header `x-oss-tagging`: `k1=v1&k2=v2`, encoded.

    :raises OssError: InvalidTag.
    """
    return checked_tags(parse_qsl(tagging, keep_blank_values=True))


def checked_tags(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Return tags as a mapping.

    :raises OssError: InvalidTag: more than ten, one key twice, an empty or too long key, a too long value,
        characters that tags don't have.
    """
    tags = dict(pairs)
    if len(pairs) > _MAX_TAGS:
        raise OssError(400, "BadRequest", f"Object tags cannot be greater than {_MAX_TAGS}.")
    well_formed = all(
        1 <= len(key) <= 128 and len(value) <= 256 and _TAG_TEXT.fullmatch(key + value) for key, value in tags.items()
    )
    if len(tags) < len(pairs) or not well_formed:
        raise OssError(400, "InvalidTag", "The tag you provided is not valid.")
    return tags


def object_headers(stored: StoredObject, storage_class: str) -> dict[str, str]:
    """Return the headers of GET and HEAD, without Content-Length."""
    attributes = stored.attributes
    headers = {"content-type": "application/octet-stream", **attributes.headers, **brief_headers(stored)}
    headers.pop("x-oss-symlink-target", None)
    headers["accept-ranges"] = "bytes"
    headers["x-oss-object-type"] = attributes.kind
    headers["x-oss-storage-class"] = storage_class
    headers["x-oss-hash-crc64ecma"] = str(stored.record.crc64)
    if attributes.kind == "Normal" and "-" not in stored.etag:
        headers["content-md5"] = content_md5(stored.etag)
    if attributes.kind == "Appendable":
        headers["x-oss-next-append-position"] = str(stored.size)
    if attributes.tags:
        headers["x-oss-tagging-count"] = str(len(attributes.tags))
    return headers


def brief_headers(stored: StoredObject) -> dict[str, str]:
    """Return the headers of `?objectMeta`, without Content-Length."""
    return {"etag": quoted(stored.etag), "last-modified": http_date(stored.modified)}


def override_headers(headers: Mapping[str, str], query: Mapping[str, str]) -> dict[str, str]:
    """Apply the `response-*` parameters of a download.

    :raises OssError: InvalidArgument.
    """
    overrides = {_OVERRIDES[name]: value for name, value in query.items() if name in _OVERRIDES}
    if any(_CONTROL.search(value) for value in overrides.values()):
        raise invalid_argument("A response-* parameter has a control character.")
    return {**headers, **overrides}


def as_latin1(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers so that they go out as the UTF-8 that came in; ASGI servers write Latin-1."""
    return {name: raw(value).decode("latin-1") for name, value in headers.items()}


def check_conditions(stored: StoredObject, headers: Mapping[str, str], prefix: str = "") -> None:
    """Check the `If-*` headers; `prefix` is `x-oss-copy-source-` for the source of a copy.

    :raises OssError: PreconditionFailed, NotModified (304).
    """
    match, unmodified = headers.get(f"{prefix}if-match"), headers.get(f"{prefix}if-unmodified-since")
    if match and not _is_named(stored, match):
        raise precondition_failed("If-Match")
    if _is_after(stored.modified, unmodified):
        raise precondition_failed("If-Unmodified-Since")
    none_match, modified = headers.get(f"{prefix}if-none-match"), headers.get(f"{prefix}if-modified-since")
    if none_match:
        unchanged = _is_named(stored, none_match)
    else:
        unchanged = bool(modified and http_time(modified)) and not _is_after(stored.modified, modified)
    if unchanged:
        raise OssError(304, "NotModified", "Not Modified", headers=brief_headers(stored))


def requested_range(value: str | None, size: int, *, standard: bool) -> tuple[int, int] | None:
    """Read the header `Range`: the first byte and the number of bytes, None for the whole object.

    A range that does not lie within the object is ignored, unless the client asks for standard behavior.

    :raises OssError: InvalidRange.
    """
    match = _RANGE.fullmatch(value or "")
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = _bounds(match.group(1), match.group(2), size)
    if 0 <= first <= last < size:
        return first, last - first + 1
    if not standard or (match.group(1) and first > int(match.group(2) or first)):
        return None
    if first >= size or last < 0:
        raise OssError(416, "InvalidRange", "The requested range cannot be satisfied")
    first = max(first, 0)
    return first, size - first


def quoted(etag: str) -> str:
    """Write an ETag as headers and lists do."""
    return f'"{etag}"'


def content_md5(etag: str) -> str:
    """Write the digest that is an ETag as Content-MD5 does."""
    return base64.b64encode(bytes.fromhex(etag)).decode()


def http_date(moment: datetime) -> str:
    """Write a time as HTTP does."""
    return format_datetime(moment, usegmt=True)


def iso_date(moment: datetime) -> str:
    """Write a time as OSS's XML does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:
        return size - int(last), size - 1
    return int(first), int(last) if last else size - 1


def _is_named(stored: StoredObject, etags: str) -> bool:
    return any(etag.strip().strip('"') in ("*", stored.etag) for etag in etags.split(","))


def _is_after(moment: datetime, limit: str | None) -> bool:
    parsed = http_time(limit) if limit else None
    return parsed is not None and moment > parsed
