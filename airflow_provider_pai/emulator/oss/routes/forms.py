"""PostObject: an upload by an HTML form, whose fields are the key, the signature and the headers.

Rules followed: "PostObject" and "Callback" of OSS. Which status sends the client to `success_action_redirect` they do
not tell; 303 is the one after which everybody sends a GET.
"""

from __future__ import annotations

import re
from dataclasses import replace

from starlette.responses import Response

from airflow_provider_pai.emulator.auth import encode
from airflow_provider_pai.emulator.oss.auth import verify_form
from airflow_provider_pai.emulator.oss.backend import unique_etag
from airflow_provider_pai.emulator.oss.errors import invalid_argument, missing_field
from airflow_provider_pai.emulator.oss.post_policy import PostPolicy, read_policy
from airflow_provider_pai.emulator.oss.routes.access import check_allowed, check_anonymous
from airflow_provider_pai.emulator.oss.routes.call import OssCall, empty, xml
from airflow_provider_pai.emulator.oss.routes.callback import read_callback
from airflow_provider_pai.emulator.oss.routes.headers import quoted
from airflow_provider_pai.emulator.oss.routes.multipart import Form
from airflow_provider_pai.emulator.oss.routes.objects import upload_answer, upload_attributes, write_headers
from airflow_provider_pai.emulator.oss.stored import StoredObject

_HEADER = re.compile(r"cache-control|content-.*|expires|x-oss-(?!copy-).*", re.DOTALL)
_LINE = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+\n[^\x00-\x1f\x7f]*")


async def post_object(call: OssCall) -> Response:
    """PostObject."""
    form, body = Form(call.headers["content-type"]), call.request.stream()
    await form.read_fields(body)
    upload, policy = _judged(call, form)
    attributes = upload_attributes(upload)
    callback = read_callback({}, form.fields)
    objects = call.oss.objects
    with call.oss.files.stage() as staged:

        def put() -> StoredObject:
            policy.check_size(staged.size)
            etag = unique_etag(staged)
            return objects.put(upload.bucket, upload.key, staged, attributes, overwrite=upload.overwrite, etag=etag)

        stored = await call.receive(staged, put, form.read_file(body))
    if callback:
        callback[1].update((name, value) for name, value in form.fields.items() if name.startswith("x:"))
    return await upload_answer(call, stored, _answer(call, form, stored), callback)


def _judged(call: OssCall, form: Form) -> tuple[OssCall, PostPolicy]:
    """Return a form as the upload that it asks for, and what its policy says of the file.

    :raises OssError: InvalidArgument, InvalidPolicyDocument, AccessDenied and all that a signature is refused for.
    """
    key = form.fields.get("key")
    if not key:
        raise missing_field("key")
    signer = verify_form(call.oss.account, form.fields)
    policy = read_policy(form.fields["policy"]) if signer else PostPolicy()
    policy.check({**form.fields, "bucket": call.bucket}, call.oss.account.now())
    # Filled in when the policy has been kept to, says the page.
    key = key.replace("${filename}", form.filename or "")
    call.oss.check_names(call.bucket, key)
    upload = replace(call, key=key, headers=_headers(form), signer=signer.access_key_id if signer else None)
    if signer:
        check_allowed(upload, "oss:PutObject")
    else:
        check_anonymous(upload, [])
    return upload, policy


def _headers(form: Form) -> dict[str, str]:
    """Return the fields that are an upload's headers, with the type that counts: OSS's own field, the file's, HTTP's.

    :raises OssError: InvalidArgument: a line end, for one.
    """
    headers = {name: value for name, value in form.fields.items() if _HEADER.fullmatch(name)}
    if kind := headers.pop("x-oss-content-type", "") or form.content_type:
        headers["content-type"] = kind
    if not all(_LINE.fullmatch(f"{name}\n{value}") for name, value in headers.items()):
        raise invalid_argument("A form field that is kept as a header has characters that no header has.")
    return headers


def _answer(call: OssCall, form: Form, stored: StoredObject) -> Response:
    headers = write_headers(call, stored)
    if there := form.fields.get("success_action_redirect"):
        return empty(303, {**headers, "location": encode(there, ":/?#[]@!$&'()*+,;=%")})
    status = form.fields.get("success_action_status")
    if status != "201":
        return empty(200 if status == "200" else 204, headers)
    url = f"http://{call.headers.get('host', '')}/{call.bucket}/{encode(stored.key, '/')}"
    facts = ("Bucket", call.bucket), ("Location", url), ("Key", stored.key), ("ETag", quoted(stored.etag))
    response = xml("PostResponse", *facts)
    response.status_code = 201
    response.headers.update(headers)
    return response
