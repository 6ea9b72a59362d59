"""One request to OSS as the handlers see it, and the envelopes of its answers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_pai.emulator.errors import ApiError
from airflow_provider_pai.emulator.oss.backend import OssBackend
from airflow_provider_pai.emulator.oss.errors import OssError, invalid_argument
from airflow_provider_pai.emulator.oss.restore import Thaw
from airflow_provider_pai.emulator.oss.staging import CHUNK, Staged
from airflow_provider_pai.emulator.oss.stored import StoredObject
from airflow_provider_pai.emulator.oss.xml import Pair, document, text_document
from airflow_provider_pai.emulator.queries import whole_number
from airflow_provider_pai.emulator.wire import body_of

MAX_PUT_BYTES = 5 << 30
"""Of what is put, appended to (in all), or a part [help: OSS, Limits]."""
_SMALL = 256 * 1024
"""Bytes that are hashed and written sooner than a thread would wake up for them."""

# What no XML document may have, and an error may repeat of a request; references are written of half pairs alone.
_NO_XML = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]|&#[0-9]+;")

T = TypeVar("T")


@dataclass(frozen=True)
class OssCall:
    """One request: its address, decoded query, lower-case headers, signer, and the backend it is for."""

    oss: OssBackend
    request: Request
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    signer: str | None = None
    """Access key of whoever signed it; None: nobody did."""
    request_id: str = field(default_factory=lambda: secrets.token_hex(12).upper())

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        """Read a whole number from the query.

        :raises OssError: InvalidArgument.
        """
        text = self.query.get(name) or str(default)
        number = whole_number(text)
        if number is None or not least <= number <= most:
            raise invalid_argument(f"Argument {name} must be an integer between {least} and {most}: {text!r}.")
        return number

    @property
    def version(self) -> str | None:
        """Return the version that is asked for.

        :raises OssError: InvalidArgument: an empty one.
        """
        version = self.query.get("versionId")
        if version == "":
            raise invalid_argument("Version id cannot be the empty string", "versionId", "")
        return version

    @property
    def overwrite(self) -> bool:
        """Tell whether an object that is there may be overwritten.

        Page PutObject: x-oss-forbid-overwrite has no effect where versioning of the bucket is enabled or suspended.
        """
        forbidden = self.headers.get("x-oss-forbid-overwrite", "").lower() == "true"
        return not forbidden or bool(self.oss.versions.status(self.bucket))

    def thaw_of(self, stored: StoredObject) -> Thaw:
        """Return the progress of an object's restore."""
        account = self.oss.account
        return Thaw.of(stored.attributes, account.now().timestamp(), account.settings.minute)

    async def document(self) -> bytes:
        """Return a body that is XML, checked against Content-MD5."""
        too_large = OssError(400, "EntityTooLarge", "The body is too large for an XML document.")
        body = await body_of(self.request, too_large)
        self.check_digest(hashlib.md5(body, usedforsecurity=False).digest())
        return body

    async def receive(
        self, staged: Staged, put: Callable[[], T], body: AsyncIterator[bytes | bytearray] | None = None
    ) -> T:
        """Stream the body to a file and put it where it belongs: bytes come in while those before them are written.

        :param put: called where the last bytes are written: in a thread, unless there are few.
        :param body: of the request, what belongs into the file; None: all.
        :raises OssError: MissingContentLength, EntityTooLarge, and what `put` raises.
        """
        self._check_length(staged.size)
        loop, pending, writing, size = asyncio.get_running_loop(), bytearray(), None, staged.size
        try:
            async for chunk in body or self.request.stream():
                pending += chunk
                size += len(chunk)
                self._check_size(size)
                if len(pending) >= CHUNK:
                    if writing:
                        await writing
                    writing = loop.run_in_executor(None, staged.write, pending)
                    pending = bytearray()
        finally:
            if writing:
                await writing

        def finish() -> T:
            staged.write(pending)
            return put()

        return finish() if staged.size + len(pending) <= _SMALL else await asyncio.to_thread(finish)

    def check_digest(self, md5: bytes) -> None:
        """Compare a body with the request's Content-MD5.

        :raises OssError: InvalidDigest.
        """
        announced = self.headers.get("content-md5")
        if announced is not None and announced != base64.b64encode(md5).decode():
            raise OssError(400, "InvalidDigest", "The Content-MD5 you specified did not match what we received.")

    def _check_length(self, before: int) -> None:
        length = self.headers.get("content-length")
        if length is None and "transfer-encoding" not in self.headers:
            raise OssError(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
        self._check_size(before + int(length or 0))

    def _check_size(self, size: int) -> None:
        if size > MAX_PUT_BYTES:
            raise OssError(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size.")


def xml(tag: str, *children: Pair) -> Response:
    """Return a document as an answer."""
    return Response(document(tag, *children), media_type="application/xml")


def text_xml(tag: str, text: str) -> Response:
    """Return a document that is one text."""
    return Response(text_document(tag, text), media_type="application/xml")


def owner(call: OssCall) -> Pair:
    """Return the element that names the account."""
    account = call.oss.account.settings.account_id
    return "Owner", [("ID", account), ("DisplayName", account)]


def empty(status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer without a body."""
    return Response(status_code=status, headers=headers)


def refusal(error: ApiError, call: OssCall) -> Response:
    """Return an error's envelope; an answer to HEAD has it in `x-oss-err`."""
    ec = error.ec if isinstance(error, OssError) else ""
    children: list[Pair] = [
        ("Code", error.code),
        ("Message", error.message),
        ("RequestId", call.request_id),
        ("HostId", call.headers.get("host", "")),
        *(error.details.items() if isinstance(error, OssError) else ()),
    ]
    body = _NO_XML.sub(b"?", document("Error", *children, *([("EC", ec)] if ec else [])))
    headers = dict(error.headers) if isinstance(error, OssError) else {}
    if ec:
        headers["x-oss-ec"] = ec
    if error.status == 304:
        return Response(status_code=304, headers=headers)
    if call.request.method == "HEAD":
        headers["x-oss-err"] = base64.b64encode(body).decode()
        return Response(status_code=error.status, headers=headers)
    return Response(body, error.status, headers, media_type="application/xml")
