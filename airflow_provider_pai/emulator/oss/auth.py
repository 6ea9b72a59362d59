"""Signatures of OSS, V1, V2 and V4, in the header or (presigned URL) in the query, V1 and V4 also in an HTML form.

Rules followed: "Include signatures in the Authorization header", "Include signatures in a URL" and "Signature in a
PostObject request", V1 and V4.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import unquote

from airflow_provider_pai.emulator.account import Account, Credential
from airflow_provider_pai.emulator.auth import SignedRequest, compact_iso_time, encode, http_time, raw, sha256
from airflow_provider_pai.emulator.oss.errors import OssError, missing_field, not_implemented
from airflow_provider_pai.emulator.queries import whole_number

# Sub-resources and response overrides that are part of the V1 string to sign.
V1_SUBRESOURCES = frozenset(
    {
        "accessPoint",
        "accessPointPolicy",
        "acl",
        "append",
        "asyncFetch",
        "bucketArchiveDirectRead",
        "bucketInfo",
        "callback",
        "callback-var",
        "cname",
        "comp",
        "continuation-token",
        "cors",
        "delete",
        "encryption",
        "endTime",
        "group",
        "httpsConfig",
        "inventory",
        "inventoryId",
        "lifecycle",
        "link",
        "live",
        "location",
        "logging",
        "metaQuery",
        "objectInfo",
        "objectMeta",
        "partNumber",
        "policy",
        "position",
        "publicAccessBlock",
        "qos",
        "qosInfo",
        "qosRequester",
        "redundancyTransition",
        "referer",
        "regionList",
        "replication",
        "replicationLocation",
        "replicationProgress",
        "requestPayment",
        "requesterQosInfo",
        "resourceGroup",
        "resourcePool",
        "resourcePoolBuckets",
        "resourcePoolInfo",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
        "restore",
        "security-token",
        "sequential",
        "startTime",
        "stat",
        "status",
        "style",
        "styleName",
        "symlink",
        "tagging",
        "transferAcceleration",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "vod",
        "website",
        "worm",
        "wormExtend",
        "wormId",
        "x-oss-ac-forward-allow",
        "x-oss-ac-source-ip",
        "x-oss-ac-subnet-mask",
        "x-oss-ac-vpc-id",
        "x-oss-access-point-name",
        "x-oss-async-process",
        "x-oss-process",
        "x-oss-redundancy-transition-taskid",
        "x-oss-request-payer",
        "x-oss-target-redundancy-type",
        "x-oss-traffic-limit",
        "x-oss-write-get-object-response",
    }
)

# What may be empty and selects no operation: how a request is signed, and which page of a list it asks for.
_PARAMETERS = frozenset(
    "Expires OSSAccessKeyId Signature delimiter encoding-type fetch-owner key-marker list-type marker max-keys "
    "max-parts max-uploads part-number-marker prefix start-after tag-key tag-value upload-id-marker "
    "version-id-marker".split()
)

_V4 = "OSS4-HMAC-SHA256"
_V4_MAX_EXPIRES = 604800
_EXPIRED = "Request has expired."

# By the version of its signature: what signs a form.
_FORM_FIELDS = {
    "": ("OSSAccessKeyId", "policy", "Signature"),
    _V4: ("x-oss-credential", "x-oss-date", "policy", "x-oss-signature"),
}


def verify_oss(account: Account, request: SignedRequest) -> Credential | None:
    """Check the signature of a request and return whose it is; None: it has none.

    :raises OssError: AccessDenied, InvalidAccessKeyId, InvalidSecurityToken, SecurityTokenExpired,
        RequestTimeTooSkewed, SignatureDoesNotMatch (403) or InvalidArgument (400: another region's scope).
    """
    authorization = request.headers.get("authorization", "")
    query = dict(request.query)
    if authorization.startswith(f"{_V4} "):
        return _v4_header(account, request, _fields(authorization.removeprefix(f"{_V4} ")))
    if authorization.startswith("OSS2 "):
        return _v2_header(account, request, _fields(authorization.removeprefix("OSS2 "), ":"))
    if authorization.startswith("OSS "):
        return _v1_header(account, request, authorization.removeprefix("OSS "))
    if query.get("x-oss-signature-version") == _V4:
        return _v4_query(account, request, query)
    if query.get("x-oss-signature-version") == "OSS2":
        return _v2_query(account, request, query)
    if "OSSAccessKeyId" in query:
        return _v1_query(account, request, query)
    return None


def verify_form(account: Account, fields: Mapping[str, str]) -> Credential | None:
    """Check the signature of an HTML form, which covers its policy, and return whose it is; None: it has none.

    :param fields: by lower-case names.
    :raises OssError: as `verify_oss`; InvalidArgument (a field of the signature is missing), NotImplemented.
    """
    version = fields.get("x-oss-signature-version", "")
    if version not in _FORM_FIELDS:
        raise not_implemented("signature of a form but V1 and V4")
    names = _FORM_FIELDS[version]
    if not version and not any(name.lower() in fields for name in names):
        return None
    for name in names:
        if not fields.get(name.lower()):
            raise missing_field(name)
    return _v4_form(account, fields) if version else _v1_form(account, fields)


def is_subresource(name: str, value: str) -> bool:
    """Tell whether a name of the query is a sub-resource: one that is known, or any other without a value.

    OSS gets new ones (`?legalHold`, `?overwriteConfig`): as a plain PUT or DELETE they would do harm.
    """
    known = name in V1_SUBRESOURCES
    return known or not (value or name in _PARAMETERS or name.startswith("x-oss-"))


def v1_signature(request: SignedRequest, date: str, secret: str) -> str:
    """Return the base64 V1 signature; `date` is the Expires value for presigned URLs."""
    sub = sorted((name, value) for name, value in request.query if is_subresource(name, value))
    resource = _resource(request) + ("?" + _query(sub) if sub else "")
    string_to_sign = _string_to_sign(request, date, _header_lines(request, _oss_headers(request)) + resource)
    return base64.b64encode(hmac.new(secret.encode(), raw(string_to_sign), hashlib.sha1).digest()).decode()


def v2_signature(
    request: SignedRequest, query: list[tuple[str, str]], date: str, additional: list[str], secret: str
) -> str:
    """Return the base64 V2 signature."""
    resource = encode(_resource(request)) + ("?" + _encoded_query(query) if query else "")
    headers = _header_lines(request, {*_oss_headers(request), *additional} & set(request.headers))
    string_to_sign = _string_to_sign(request, date, headers + ";".join(sorted(additional)) + "\n" + resource)
    return base64.b64encode(hmac.new(secret.encode(), raw(string_to_sign), hashlib.sha256).digest()).decode()


def v4_signature(
    request: SignedRequest, query: list[tuple[str, str]], date: str, scope: str, additional: list[str], secret: str
) -> str:
    """Return the hex V4 signature; `scope` is `yyyymmdd/region/oss/aliyun_v4_request`."""
    signed = {*_oss_headers(request), "content-type", "content-md5", *additional} & set(request.headers)
    payload = request.headers.get("x-oss-content-sha256", "UNSIGNED-PAYLOAD")
    path = encode(_resource(request), "/")
    headers = _header_lines(request, signed)
    canonical = [request.method, path, _encoded_query(query), headers, ";".join(additional), payload]
    string_to_sign = "\n".join([_V4, date, scope, sha256("\n".join(canonical))])
    return hmac.digest(_v4_key(secret, scope), string_to_sign.encode(), "sha256").hex()


@lru_cache
def _v4_key(secret: str, scope: str) -> bytes:
    """Return the key that signs a day's requests."""
    key = f"aliyun_v4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _v1_header(account: Account, request: SignedRequest, authorization: str) -> Credential:
    key_id, _, signature = authorization.partition(":")
    credential = _credential(account, key_id, request.headers.get("x-oss-security-token"))
    date = _checked_http_date(account, request)
    return _match(credential, signature, v1_signature(request, date, credential.access_key_secret))


def _v1_query(account: Account, request: SignedRequest, query: dict[str, str]) -> Credential:
    credential = _credential(account, query["OSSAccessKeyId"], query.get("security-token"))
    expires = _checked_expiry(account, query.get("Expires", ""))
    return _match(credential, query.get("Signature", ""), v1_signature(request, expires, credential.access_key_secret))


def _v2_header(account: Account, request: SignedRequest, fields: dict[str, str]) -> Credential:
    credential = _credential(account, fields.get("AccessKeyId", ""), request.headers.get("x-oss-security-token"))
    date = _checked_http_date(account, request)
    additional = _names(fields.get("AdditionalHeaders", ""))
    expected = v2_signature(request, request.query, date, additional, credential.access_key_secret)
    return _match(credential, fields.get("Signature", ""), expected)


def _v2_query(account: Account, request: SignedRequest, query: dict[str, str]) -> Credential:
    credential = _credential(account, query.get("x-oss-access-key-id", ""), query.get("security-token"))
    expires = _checked_expiry(account, query.get("x-oss-expires", ""))
    additional = _names(query.get("x-oss-additional-headers", ""))
    expected = v2_signature(request, _unsigned(request), expires, additional, credential.access_key_secret)
    return _match(credential, query.get("x-oss-signature", ""), expected)


def _v4_header(account: Account, request: SignedRequest, fields: dict[str, str]) -> Credential:
    key_id, _, scope = fields.get("Credential", "").partition("/")
    credential = _credential(account, key_id, request.headers.get("x-oss-security-token"))
    date = request.headers.get("x-oss-date", "")
    _check_skew(account, compact_iso_time(date))
    _check_scope(account, scope, date, "Invalid signing region in Authorization header.")
    additional = _names(fields.get("AdditionalHeaders", ""))
    expected = v4_signature(request, request.query, date, scope, additional, credential.access_key_secret)
    return _match(credential, fields.get("Signature", ""), expected)


def _v4_query(account: Account, request: SignedRequest, query: dict[str, str]) -> Credential:
    key_id, _, scope = query.get("x-oss-credential", "").partition("/")
    credential = _credential(account, key_id, query.get("x-oss-security-token"))
    date, lifetime = query.get("x-oss-date", ""), query.get("x-oss-expires", "")
    seconds = whole_number(lifetime)
    if seconds is None or not 0 <= seconds <= _V4_MAX_EXPIRES:
        raise OssError(403, "AccessDenied", f"Invalid x-oss-expires: {lifetime!r}.")
    _check_age(account, date, seconds)
    _check_scope(account, scope, date, "The signing region in credential is invalid.")
    additional = _names(query.get("x-oss-additional-headers", ""))
    expected = v4_signature(request, _unsigned(request), date, scope, additional, credential.access_key_secret)
    return _match(credential, query.get("x-oss-signature", ""), expected)


def _v1_form(account: Account, fields: Mapping[str, str]) -> Credential:
    credential = _credential(account, fields["ossaccesskeyid"], fields.get("x-oss-security-token"))
    digest = hmac.digest(credential.access_key_secret.encode(), fields["policy"].encode(), "sha1")
    return _match(credential, fields["signature"], base64.b64encode(digest).decode())


def _v4_form(account: Account, fields: Mapping[str, str]) -> Credential:
    key_id, _, scope = fields["x-oss-credential"].partition("/")
    credential = _credential(account, key_id, fields.get("x-oss-security-token"))
    _check_age(account, fields["x-oss-date"], _V4_MAX_EXPIRES)
    _check_scope(account, scope, fields["x-oss-date"], "The signing region in credential is invalid.")
    key = _v4_key(credential.access_key_secret, scope)
    return _match(credential, fields["x-oss-signature"], hmac.digest(key, fields["policy"].encode(), "sha256").hex())


def _fields(authorization: str, separator: str = "=") -> dict[str, str]:
    return dict(part.strip().partition(separator)[::2] for part in authorization.split(","))


def _names(header_names: str) -> list[str]:
    return [name for name in header_names.split(";") if name]


def _unsigned(request: SignedRequest) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.query if name != "x-oss-signature"]


def _resource(request: SignedRequest) -> str:
    path = unquote(request.raw_path, errors="surrogateescape")
    return path if path.count("/") > 1 or path == "/" else path + "/"


def _oss_headers(request: SignedRequest) -> set[str]:
    return {name for name in request.headers if name.startswith("x-oss-")}


def _header_lines(request: SignedRequest, names: Iterable[str]) -> str:
    return "".join(f"{name}:{request.headers[name].strip()}\n" for name in sorted(names))


def _query(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" if value else name for name, value in pairs)


def _encoded_query(pairs: Iterable[tuple[str, str]]) -> str:
    return _query(sorted((encode(name), encode(value)) for name, value in pairs))


def _string_to_sign(request: SignedRequest, date: str, rest: str) -> str:
    headers = request.headers
    return "\n".join([request.method, headers.get("content-md5", ""), headers.get("content-type", ""), date, rest])


def _credential(account: Account, key_id: str, token: str | None) -> Credential:
    if account.is_expired(key_id):
        raise OssError(403, "SecurityTokenExpired", "The security token you provided has expired.")
    credential = account.credential_of(key_id)
    # A token beside a permanent key, or none beside a temporary one: OSS looks the key up in the wrong place.
    if credential is None or bool(credential.security_token) != bool(token):
        raise OssError(403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.")
    if credential.security_token != token:
        raise OssError(403, "InvalidSecurityToken", "The security token you provided is invalid.")
    return credential


def _match(credential: Credential, signature: str, expected: str) -> Credential:
    if not hmac.compare_digest(raw(signature), expected.encode()):
        raise OssError(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
        )
    return credential


def _check_scope(account: Account, scope: str, date: str, wrong_region: str) -> None:
    day, _, rest = scope.partition("/")
    region, _, service = rest.partition("/")
    if day != date[:8] or service != "oss/aliyun_v4_request":
        raise OssError(400, "InvalidArgument", f"Invalid credential scope: {scope}.")
    if region != account.settings.region:
        raise OssError(400, "InvalidArgument", wrong_region, ec="0002-00000226")


def _checked_http_date(account: Account, request: SignedRequest) -> str:
    date = request.headers.get("x-oss-date") or request.headers.get("date", "")
    _check_skew(account, http_time(date))
    return date


def _checked_expiry(account: Account, expires: str) -> str:
    moment = whole_number(expires)
    if moment is None or moment < account.now().timestamp():
        raise OssError(403, "AccessDenied", _EXPIRED)
    return expires


def _check_age(account: Account, date: str, seconds: int) -> None:
    signed_at = compact_iso_time(date)
    if signed_at is None or signed_at + timedelta(seconds=seconds) < account.now():
        raise OssError(403, "AccessDenied", _EXPIRED)


def _check_skew(account: Account, moment: datetime | None) -> None:
    if moment is None:
        raise OssError(403, "AccessDenied", "OSS authentication requires a valid Date.")
    if account.is_skewed(moment):
        raise OssError(
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        )
