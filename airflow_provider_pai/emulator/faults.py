"""Faults on demand: errors, throttling, slow answers, and answers that never arrive.

Set over the control endpoint: `POST /_emulator/faults` with a list of rules, `DELETE` to clear them.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from xml.sax.saxutils import escape

from airflow_provider_pai.emulator.types import App, Message, Receive, Scope, Send

# Seconds; a line is not slowed down for less.
_PAUSE = 0.002


@dataclass(kw_only=True)
class Fault:
    """One rule: which calls it hits, how often, and what happens to them.

    :raises ValueError: a field has a value that makes no sense.
    """

    match: str = ""
    """Regular expression over `<service> <action or METHOD> <path>`, e.g. `api CreateJob`, `oss PUT /bucket/`."""
    probability: float = 1.0
    times: int | None = None
    """How many calls it may hit; None: no limit."""
    status: int | None = None
    """HTTP status to answer in place of the service; None: let the call through."""
    code: str = "ServiceUnavailable"
    message: str = "A fault that was asked for."
    delay: float = 0.0
    """Seconds to wait before the call is handled."""
    drop: str | None = None
    """`request`: close the connection unheard; `answer`: do the work, then close the connection."""
    cut_after: int | None = None
    """Bytes of the body, in or out, after which the connection is cut."""
    rate: float | None = None
    """Bytes per second at which the body goes in and out: a connection on a slower network."""
    retry_after_ms: int | None = None
    """Sent as `x-acs-retry-after`, which the SDK turns into a ThrottlingException."""

    def __post_init__(self) -> None:
        try:
            re.compile(self.match)
        except re.error as error:
            raise ValueError(f"match: {self.match!r} is no regular expression: {error}") from error
        if self.drop not in (None, "request", "answer"):
            raise ValueError(f"drop: {self.drop!r} is not one of None, 'request', 'answer'")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"status: {self.status!r} is not between 200 and 599")
        for name in ("cut_after", "rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}: {value!r} is not greater than 0")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability: {self.probability!r} is not between 0 and 1")

    def hits(self, call: str) -> bool:
        """Tell whether this rule hits a call this time, and count the hit."""
        if self.times == 0 or not re.search(self.match, call):
            return False
        if random.random() >= self.probability:  # noqa: S311 - no secret hangs on it
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Faults:
    """The rules in force; the first that hits a call decides."""

    def __init__(self) -> None:
        self.rules: list[Fault] = []

    def add(self, **rule: Any) -> Fault:
        """Put one rule into force; its fields are those of `Fault`."""
        fault = Fault(**rule)
        self.rules.append(fault)
        return fault

    def extend(self, rules: Iterable[Mapping[str, Any]]) -> None:
        """Put rules into force, all or (if one of them is wrong) none."""
        self.rules += [Fault(**rule) for rule in rules]

    def clear(self) -> None:
        """Lift every rule."""
        self.rules.clear()

    def describe(self) -> list[dict[str, Any]]:
        """Return the rules as JSON."""
        return [asdict(rule) for rule in self.rules]

    def take(self, call: str) -> Fault | None:
        """Return the first rule that hits this call and count the hit."""
        return next((rule for rule in self.rules if rule.hits(call)), None)


class FaultMiddleware:
    """ASGI wrapper of one service that applies the rules."""

    def __init__(self, app: App, faults: Faults, service: str) -> None:
        self.app = app
        self.faults = faults
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        spared = not self.faults.rules or scope["path"].startswith("/_emulator")
        fault = None if spared else self.faults.take(call_name(self.service, scope))
        if fault is None:
            await self.app(scope, receive, send)
            return
        await asyncio.sleep(fault.delay)
        if fault.drop == "request":
            await _cut(scope)
        elif fault.drop == "answer":
            await self.app(scope, receive, _discard)
            await _cut(scope)
        elif fault.status is not None:
            await self._refuse(fault, send)
        else:
            stream = _Stream(fault, scope, receive, send)
            await self.app(scope, stream.receive, stream.send)

    async def _refuse(self, fault: Fault, send: Send) -> None:
        request_id = str(uuid.uuid4()).upper()
        kind, body = (_xml if self.service == "oss" else _json)(fault, request_id)
        headers = [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
            (b"x-oss-request-id" if self.service == "oss" else b"x-acs-request-id", request_id.encode()),
        ]
        if fault.retry_after_ms is not None:
            headers.append((b"x-acs-retry-after", str(fault.retry_after_ms).encode()))
        await send({"type": "http.response.start", "status": fault.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class _Stream:
    """The body of one request and its answer on a line that is slow, or breaks."""

    def __init__(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        self._fault = fault
        self._scope = scope
        self._receive = receive
        self._send = send
        self._passed = 0
        self._is_cut = False
        self._begun = time.monotonic()

    async def receive(self) -> Message:
        """Take a message in."""
        message = await self._receive()
        return message if await self._passes(len(message.get("body", b""))) else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Let a message out."""
        if await self._passes(len(message.get("body", b""))):
            await self._send(message)

    async def _passes(self, size: int) -> bool:
        """Count bytes, wait until the line has room for them, and cut it when it is time."""
        self._passed += size
        limit, rate = self._fault.cut_after, self._fault.rate
        if limit is not None and self._passed > limit and not self._is_cut:
            self._is_cut = True
            await _cut(self._scope)
        if self._is_cut:
            return False
        ahead = self._passed / rate - (time.monotonic() - self._begun) if rate else 0.0
        if ahead > _PAUSE:
            await asyncio.sleep(ahead)
        return True


def call_name(service: str, scope: Scope) -> str:
    """Return `<service> <action or METHOD> <path>`."""
    action = next((value for name, value in scope["headers"] if name == b"x-acs-action"), None)
    return f"{service} {action.decode('latin-1') if action else scope['method']} {scope['path']}"


async def _cut(scope: Scope) -> None:
    """Reset the connection: no byte more, not even the end of the stream."""
    transport = scope["transport"]
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await asyncio.sleep(0)  # the server learns of the loss before it looks for our answer


async def _discard(message: Message) -> None:
    """Swallow an answer."""


def _xml(fault: Fault, request_id: str) -> tuple[bytes, bytes]:
    body = (
        f"<Error><Code>{escape(fault.code)}</Code><Message>{escape(fault.message)}</Message>"
        f"<RequestId>{request_id}</RequestId></Error>"
    )
    return b"application/xml", body.encode()


def _json(fault: Fault, request_id: str) -> tuple[bytes, bytes]:
    answer = {"RequestId": request_id, "Code": fault.code, "Message": fault.message}
    return b"application/json", json.dumps(answer).encode()
