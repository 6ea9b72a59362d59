"""Which request is which operation: tables by method and sub-resource, for the service, a bucket and an object."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.auth import SignedRequest
from airflow_provider_pai.emulator.errors import ApiError
from airflow_provider_pai.emulator.oss import bucket_routes, object_routes, property_routes, upload_routes
from airflow_provider_pai.emulator.oss.access import check_anonymous
from airflow_provider_pai.emulator.oss.auth import V1_SUBRESOURCES, verify_oss
from airflow_provider_pai.emulator.oss.backend import OssBackend
from airflow_provider_pai.emulator.oss.config_routes import CONFIG_ROUTES
from airflow_provider_pai.emulator.oss.errors import not_implemented
from airflow_provider_pai.emulator.oss.names import check_bucket
from airflow_provider_pai.emulator.oss.wire import Call, refusal

Handler = Callable[[Call], Awaitable[Response]]
Operations = Mapping[tuple[str, str], Handler]

_SERVICE: Operations = {
    ("GET", ""): bucket_routes.list_buckets,
    ("GET", "regionList"): bucket_routes.list_buckets,
}

_BUCKET: Operations = {
    ("PUT", ""): bucket_routes.put_bucket,
    ("GET", ""): bucket_routes.list_objects,
    ("HEAD", ""): bucket_routes.head_bucket,
    ("DELETE", ""): bucket_routes.delete_bucket,
    ("GET", "bucketInfo"): bucket_routes.get_bucket_info,
    ("GET", "location"): bucket_routes.get_bucket_location,
    ("GET", "stat"): bucket_routes.get_bucket_stat,
    ("GET", "versions"): bucket_routes.list_object_versions,
    ("GET", "live"): bucket_routes.list_live_channels,
    ("GET", "uploads"): upload_routes.list_uploads,
    ("POST", "delete"): bucket_routes.delete_objects,
    **CONFIG_ROUTES,
}

_OBJECT: Operations = {
    ("PUT", ""): object_routes.put_object,
    ("GET", ""): object_routes.get_object,
    ("HEAD", ""): object_routes.head_object,
    ("DELETE", ""): object_routes.delete_object,
    ("GET", "objectMeta"): object_routes.get_object_meta,
    ("HEAD", "objectMeta"): object_routes.get_object_meta,
    ("POST", "append"): object_routes.append_object,
    ("PUT", "tagging"): property_routes.put_object_tagging,
    ("GET", "tagging"): property_routes.get_object_tagging,
    ("DELETE", "tagging"): property_routes.delete_object_tagging,
    ("PUT", "acl"): property_routes.put_object_acl,
    ("GET", "acl"): property_routes.get_object_acl,
    ("PUT", "symlink"): property_routes.put_symlink,
    ("GET", "symlink"): property_routes.get_symlink,
    ("DELETE", "symlink"): object_routes.delete_object,
    ("POST", "restore"): property_routes.restore_object,
    ("POST", "uploads"): upload_routes.initiate_upload,
    ("PUT", "uploadId"): upload_routes.upload_part,
    ("POST", "uploadId"): upload_routes.complete_upload,
    ("DELETE", "uploadId"): upload_routes.abort_upload,
    ("GET", "uploadId"): upload_routes.list_parts,
}

# Signed parameters that modify an operation; every other signed parameter selects one.
_MODIFIERS = frozenset(
    {
        "callback",
        "callback-var",
        "continuation-token",
        "partNumber",
        "position",
        "security-token",
        "sequential",
        "versionId",
        "x-oss-request-payer",
        "x-oss-traffic-limit",
    }
) | {name for name in V1_SUBRESOURCES if name.startswith("response-")}
_VIRTUAL_HOST = re.compile(r"([a-z0-9-]+)\.oss-[a-z0-9-]+\.aliyuncs\.com(?::\d+)?")
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_SELECTORS = V1_SUBRESOURCES - _MODIFIERS


def routes(account: Account, backend: OssBackend) -> list[BaseRoute]:
    """Return the one route of OSS; buckets are the first component of the path."""

    async def endpoint(request: Request) -> Response:
        signed = _by_path(SignedRequest.from_scope(request.scope))
        path = unquote(signed.raw_path, errors="surrogateescape").removeprefix("/")
        bucket, _, key = path.partition("/")
        call = Call(backend, request, bucket, key, dict(signed.query), signed.headers)
        try:
            signer = verify_oss(account, signed)
            response = await _handler(call, anonymous=signer is None)(call)
        except ClientDisconnect:
            response = Response(status_code=400)  # nobody reads it
        except ApiError as error:
            response = refusal(error, call)
        response.headers["x-oss-request-id"] = call.request_id
        response.headers["server"] = "AliyunOSS"
        if _has_unread_body(request):
            response.headers["connection"] = "close"
        return response

    return [Route("/{path:path}", endpoint, methods=_METHODS)]


def _by_path(signed: SignedRequest) -> SignedRequest:
    """Return a request as if its bucket stood in the path: in OSS's own domains it stands in the host."""
    host = _VIRTUAL_HOST.fullmatch(signed.headers.get("host", ""))
    return replace(signed, raw_path=f"/{host[1]}{signed.raw_path}") if host else signed


def _has_unread_body(request: Request) -> bool:
    """Tell whether a body is announced that no handler reads: the connection would not be at a request's begin."""
    return request.method in ("GET", "HEAD") and request.headers.get("content-length", "0") != "0"


def _handler(call: Call, *, anonymous: bool) -> Handler:
    """Return the operation that a request asks for, its names checked.

    :raises OssError: InvalidBucketName, NoSuchBucket, InvalidObjectName, AccessDenied, NotImplemented.
    """
    if call.key:
        call.oss.check_names(call.bucket, call.key)
    elif call.bucket:
        check_bucket(call.bucket)
    operations = _OBJECT if call.key else _BUCKET if call.bucket else _SERVICE
    selected = [name for name in call.query if name in _SELECTORS]
    if anonymous:
        check_anonymous(call, selected)
    handler = operations.get((call.request.method, selected[0] if selected else ""))
    if handler is None or len(selected) > 1:
        raise not_implemented(f"{call.request.method} {'?' + '&'.join(selected) if selected else 'here'}")
    return handler
