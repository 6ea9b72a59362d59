"""Callbacks after an upload: a request to the application's server, whose answer goes to the client.

Rules followed: "Callback" of OSS.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import ipaddress
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from airflow_provider_pai.emulator.oss.errors import OssError, invalid_argument
from airflow_provider_pai.emulator.oss.stored import StoredObject

_SECONDS = 5.0
_FORM = "application/x-www-form-urlencoded"
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def read_callback(headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return a request's callback and its variables, None if it asks for none.

    :raises OssError: InvalidArgument.
    """
    encoded = [headers.get(f"x-oss-{name}") or query.get(name) for name in ("callback", "callback-var")]
    if not encoded[0]:
        return None
    callback, variables = (_decoded(text) for text in encoded)
    texts = callback.get("callbackUrl"), callback.get("callbackBody"), callback.get("callbackBodyType", _FORM)
    if not all(isinstance(text, str) and text for text in texts):
        raise invalid_argument("The callback configuration is not valid: callbackUrl and callbackBody are needed.")
    return callback, variables


def call_back(callback: dict[str, Any], variables: dict[str, Any], bucket: str, stored: StoredObject) -> bytes:
    """Tell the application's server, which must be on this machine: the emulator calls nobody else.

    :raises OssError: CallbackFailed (203): the object is there nevertheless.
    """
    url = str(callback["callbackUrl"]).partition(";")[0]
    kind = callback.get("callbackBodyType", _FORM)
    body = _filled(callback["callbackBody"], {**_facts(bucket, stored), **variables}, kind)
    headers = {"Content-Type": kind, "User-Agent": "ehttp-client/0.0.1"}
    try:
        request = urllib.request.Request(url, body.encode(), headers)  # noqa: S310
        if not _is_local(url):
            raise OSError("not an address of this machine")
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            content: bytes = answer.read()
    except urllib.error.HTTPError as error:
        raise _failed(f"Error status : {error.code}.") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _failed(f"Error status : -1 {callback['callbackUrl']} is not reachable: {error}.") from error
    return content


def _facts(bucket: str, stored: StoredObject) -> dict[str, object]:
    kind = stored.attributes.headers.get("content-type", "")
    return {
        "bucket": bucket,
        "object": stored.key,
        "etag": stored.etag,
        "size": stored.size,
        "mimeType": kind,
        "crc64": stored.record.crc64,
    }


def _filled(body: str, values: Mapping[str, object], kind: str) -> str:
    write = json.dumps if kind == "application/json" else lambda value: quote(str(value), safe="")
    return _VARIABLE.sub(lambda match: write(values.get(match[1], "")), body)


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _decoded(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(base64.b64decode(text or "e30=", validate=True))
    except (binascii.Error, ValueError) as error:
        raise invalid_argument("The callback configuration is not json format.") from error
    if not isinstance(value, dict):
        raise invalid_argument("The callback configuration is not json format.")
    return value


def _failed(message: str) -> OssError:
    return OssError(203, "CallbackFailed", message)
