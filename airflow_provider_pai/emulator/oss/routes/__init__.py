"""Routes of OSS: tables of operations by method and sub-resource, for the service, a bucket and an object."""

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
from airflow_provider_pai.emulator.oss.auth import V1_SUBRESOURCES, is_subresource, verify_oss
from airflow_provider_pai.emulator.oss.backend import OssBackend
from airflow_provider_pai.emulator.oss.errors import not_implemented
from airflow_provider_pai.emulator.oss.names import check_bucket
from airflow_provider_pai.emulator.oss.routes import buckets, forms, objects, properties, uploads
from airflow_provider_pai.emulator.oss.routes.access import check_allowed, check_anonymous
from airflow_provider_pai.emulator.oss.routes.call import OssCall, refusal
from airflow_provider_pai.emulator.oss.routes.configs import CONFIG_ROUTES
from airflow_provider_pai.emulator.permissions import OSS_BUCKET, OSS_OBJECT, OSS_SERVICE

_Handler = Callable[[OssCall], Awaitable[Response]]
_Operations = Mapping[tuple[str, str], _Handler]

SERVICE: _Operations = {
    ("GET", ""): buckets.list_buckets,
    ("GET", "regionList"): buckets.list_buckets,
}

BUCKET: _Operations = {
    ("PUT", ""): buckets.put_bucket,
    ("GET", ""): buckets.list_objects,
    ("HEAD", ""): buckets.head_bucket,
    ("DELETE", ""): buckets.delete_bucket,
    ("GET", "bucketInfo"): buckets.get_bucket_info,
    ("GET", "location"): buckets.get_bucket_location,
    ("GET", "stat"): buckets.get_bucket_stat,
    ("GET", "versions"): buckets.list_object_versions,
    ("GET", "live"): buckets.list_live_channels,
    ("GET", "uploads"): uploads.list_uploads,
    ("POST", "delete"): buckets.delete_objects,
    **CONFIG_ROUTES,
}

OBJECT: _Operations = {
    ("PUT", ""): objects.put_object,
    ("GET", ""): objects.get_object,
    ("HEAD", ""): objects.head_object,
    ("DELETE", ""): objects.delete_object,
    ("GET", "objectMeta"): objects.get_object_meta,
    ("HEAD", "objectMeta"): objects.get_object_meta,
    ("POST", "append"): objects.append_object,
    ("PUT", "tagging"): properties.put_object_tagging,
    ("GET", "tagging"): properties.get_object_tagging,
    ("DELETE", "tagging"): properties.delete_object_tagging,
    ("PUT", "acl"): properties.put_object_acl,
    ("GET", "acl"): properties.get_object_acl,
    ("PUT", "symlink"): properties.put_symlink,
    ("GET", "symlink"): properties.get_symlink,
    ("DELETE", "symlink"): objects.delete_object,
    ("POST", "restore"): properties.restore_object,
    ("POST", "uploads"): uploads.initiate_upload,
    ("PUT", "uploadId"): uploads.upload_part,
    ("POST", "uploadId"): uploads.complete_upload,
    ("DELETE", "uploadId"): uploads.abort_upload,
    ("GET", "uploadId"): uploads.list_parts,
}

# Sub-resources that modify an operation; every other selects one.
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


def routes(account: Account, backend: OssBackend) -> list[BaseRoute]:
    """Return the one route of OSS; buckets are the first component of the path."""

    async def endpoint(request: Request) -> Response:
        signed = _by_path(SignedRequest.from_scope(request.scope))
        path = unquote(signed.raw_path, errors="surrogateescape").removeprefix("/")
        bucket, _, key = path.partition("/")
        call = OssCall(backend, request, bucket, key, dict(signed.query), signed.headers)
        try:
            if call.bucket and (call.key or call.request.method != "PUT"):
                backend.bucket(call.bucket)  # before who asks for it, as in the cloud: 404 also for an unknown key
            if not _is_form(call) and (signer := verify_oss(account, signed)):
                call = replace(call, signer=signer.access_key_id)
            response = await _handler(call)(call)
        except ClientDisconnect:
            response = Response(status_code=400)  # nobody reads it
        except ApiError as error:
            response = refusal(error, call)
        response.headers["x-oss-request-id"] = call.request_id
        response.headers["server"] = "AliyunOSS"
        if _has_unread_body(request):
            response.headers["connection"] = "close"
        return response

    return [Route("/{path:rest}", endpoint, methods=_METHODS)]


def _by_path(signed: SignedRequest) -> SignedRequest:
    """Return a request as if its bucket stood in the path: in OSS's own domains it stands in the host."""
    host = _VIRTUAL_HOST.fullmatch(signed.headers.get("host", ""))
    return replace(signed, raw_path=f"/{host[1]}{signed.raw_path}") if host else signed


def _has_unread_body(request: Request) -> bool:
    """Tell whether a body is announced that no handler reads: the connection would not be at a request's begin."""
    return request.method in ("GET", "HEAD") and request.headers.get("content-length", "0") != "0"


def _is_form(call: OssCall) -> bool:
    """Tell whether a request is an HTML form, which alone says who signs it (page PostObject)."""
    here = call.request.method == "POST" and call.bucket and not call.key
    return bool(here) and call.headers.get("content-type", "").lower().startswith("multipart/form-data")


def _handler(call: OssCall) -> _Handler:
    """Return the operation that a request asks for, its names and its signer's permission checked.

    :raises OssError: InvalidBucketName, NoSuchBucket, InvalidObjectName, AccessDenied, NotImplemented.
    """
    if call.key:
        call.oss.check_names(call.bucket, call.key)
    elif call.bucket:
        check_bucket(call.bucket)
    if _is_form(call):
        return forms.post_object
    operations, permissions = (
        (OBJECT, OSS_OBJECT) if call.key else (BUCKET, OSS_BUCKET) if call.bucket else (SERVICE, OSS_SERVICE)
    )
    selected = [each[0] for each in call.query.items() if each[0] not in _MODIFIERS and is_subresource(*each)]
    if call.signer is None:
        check_anonymous(call, selected)
    asked = call.request.method, selected[0] if selected else ""
    handler = operations.get(asked)
    if handler is None or len(selected) > 1:
        raise not_implemented(f"{call.request.method} {'?' + '&'.join(selected) if selected else 'here'}")
    if call.signer and asked in permissions:
        check_allowed(call, permissions[asked])
    return handler
