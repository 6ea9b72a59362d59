"""Handlers for the configurations of buckets: one each to put, get and delete every kind of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from starlette.responses import Response

from airflow_provider_pai.emulator.oss.configs import ACLS, CONFIGS, tags_of
from airflow_provider_pai.emulator.oss.errors import invalid_argument
from airflow_provider_pai.emulator.oss.routes.call import OssCall, empty, owner, xml
from airflow_provider_pai.emulator.oss.xml import document


async def put_config(call: OssCall, name: str) -> Response:
    """PutBucketLifecycle and its like."""
    call.oss.bucket(call.bucket)
    body = CONFIGS[name].read(await call.document(), call.headers)
    await asyncio.to_thread(call.oss.put_config, call.bucket, name, body)
    return empty()


async def get_config(call: OssCall, name: str) -> Response:
    """GetBucketLifecycle and its like."""
    config = CONFIGS[name]
    body = await asyncio.to_thread(call.oss.config, call.bucket, name)
    return Response(config.shown(body), media_type=config.content_type)


async def delete_config(call: OssCall, name: str) -> Response:
    """DeleteBucketLifecycle and its like; one that is not there is no error."""
    await asyncio.to_thread(call.oss.put_config, call.bucket, name, None)
    return empty(204)


async def delete_bucket_tagging(call: OssCall) -> Response:
    """DeleteBucketTagging: all tags, or those that the parameter names."""
    names = call.query["tagging"].split(",") if call.query["tagging"] else []
    tags = tags_of(await asyncio.to_thread(call.oss.config, call.bucket, "tagging"))
    left = [("Tag", [("Key", key), ("Value", value)]) for key, value in tags.items() if names and key not in names]
    body = document("Tagging", ("TagSet", left)) if left else None
    await asyncio.to_thread(call.oss.put_config, call.bucket, "tagging", body)
    return empty(204)


async def put_bucket_acl(call: OssCall) -> Response:
    """PutBucketAcl."""
    await call.document()
    await asyncio.to_thread(call.oss.set_acl, call.bucket, checked_acl(call.headers.get("x-oss-acl", "")))
    return empty()


async def get_bucket_acl(call: OssCall) -> Response:
    """GetBucketAcl."""
    bucket = call.oss.bucket(call.bucket)
    return xml("AccessControlPolicy", owner(call), ("AccessControlList", [("Grant", bucket.acl)]))


def checked_acl(acl: str) -> str:
    """Return the ACL of a bucket.

    :raises OssError: InvalidArgument.
    """
    if acl not in ACLS:
        raise invalid_argument("no such bucket access control exists", "x-oss-acl", acl)
    return acl


def _routes() -> dict[tuple[str, str], Callable[[OssCall], Awaitable[Response]]]:
    verbs = {"PUT": put_config, "GET": get_config, "DELETE": delete_config}
    return {(verb, name): partial(handler, name=name) for name in CONFIGS for verb, handler in verbs.items()}


CONFIG_ROUTES = {
    **_routes(),
    ("DELETE", "tagging"): delete_bucket_tagging,
    ("PUT", "acl"): put_bucket_acl,
    ("GET", "acl"): get_bucket_acl,
}
"""By method and sub-resource."""
del CONFIG_ROUTES["DELETE", "versioning"]  # suspended, never removed
