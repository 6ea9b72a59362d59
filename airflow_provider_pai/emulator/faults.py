"""Faults on demand: errors, throttling, slow and broken answers, and answers that never arrive.

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
from dataclasses import asdict, dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from airflow_provider_pai.emulator.answers import SPOILS, Answer
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
    member: str = ""
    """Name of an EAS service whose model answers so; it hits what has reached that service, by whatever endpoint."""
    probability: float = 1.0
    skip: int = 0
    """How many calls it lets through first."""
    times: int | None = None
    """How many calls it may hit; None: no limit."""
    status: int | None = None
    """HTTP status to answer in place of the service; None: let the call through."""
    code: str = "ServiceUnavailable"
    message: str = "A fault that was asked for."
    headers: dict[str, str] = field(default_factory=dict)
    """Of the answer, in addition: `x-acs-retry-after` (ms), which SDKs make a ThrottlingException of, `Retry-After`."""
    delay: float = 0.0
    """Seconds to wait before the call is handled."""
    stall: float = 0.0
    """Seconds of silence in the middle of the answer's body; where the answer is dropped, before that."""
    drop: str | None = None
    """Where the connection is cut: `request` unheard; `answer` when the work is done; `body` in the answer's middle."""
    spoil: str | None = None
    """What becomes of the answer, one of `SPOILS`: half of its body, none, somebody else's HTML page; or its fields
    have another type, are missing, or have a status that nobody knows."""
    fields: str = ""
    """Regular expression over the paths of the fields that are spoiled, e.g. `Jobs.Status`; empty: all."""
    pick: int | None = None
    """Spoil one of these alone, counted round them; None: all."""
    cut_after: int | None = None
    """Bytes of the body, in or out, after which the connection is cut."""
    rate: float | None = None
    """Bytes per second at which the body goes in and out: a connection on a slower network."""

    def __post_init__(self) -> None:
        for name in ("match", "fields"):
            try:
                re.compile(getattr(self, name))
            except re.error as error:
                raise ValueError(f"{name}: {getattr(self, name)!r} is no regular expression: {error}") from error
        for name, allowed in (("drop", ("request", "answer", "body")), ("spoil", SPOILS)):
            if getattr(self, name) not in (None, *allowed):
                raise ValueError(f"{name}: {getattr(self, name)!r} is not one of None, {str(allowed)[1:-1]}")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"status: {self.status!r} is not between 200 and 599")
        if not all(isinstance(text, str) for pair in dict(self.headers).items() for text in pair):
            raise ValueError(f"headers: {self.headers!r} is not text by text")
        for name in ("cut_after", "rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}: {value!r} is not greater than 0")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability: {self.probability!r} is not between 0 and 1")

    @property
    def needs_whole(self) -> bool:
        """Tell whether the answer has to be there before it goes out."""
        return bool(self.status or self.headers or self.stall or self.drop or self.spoil)

    def hits(self, call: str) -> bool:
        """Tell whether this rule hits a call this time, and count the hit."""
        if self.times == 0 or not re.search(self.match, call):
            return False
        if self.skip:
            self.skip -= 1
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

    def take(self, call: str, member: str = "") -> Fault | None:
        """Return the first rule that hits this call and count the hit.

        :param member: the service of EAS that the call has reached; empty: it has reached none yet.
        """
        return next((rule for rule in self.rules if rule.member == member and rule.hits(call)), None)


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
            await cut(scope)
        elif fault.needs_whole:
            answer = self._refusal(fault) if fault.status else await _whole(self.app, scope, receive)
            await _send_broken(fault, answer, scope, send)
        else:
            stream = _Stream(fault, scope, receive, send)
            await self.app(scope, stream.receive, stream.send)

    def _refusal(self, fault: Fault) -> Answer:
        request_id = str(uuid.uuid4()).upper()
        kind, body = (_xml if self.service == "oss" else _json)(fault, request_id)
        named = "x-oss-request-id" if self.service == "oss" else "x-acs-request-id"
        return Answer(fault.status or 0, {"content-type": kind, named: request_id}).with_body(body)


async def _whole(app: App, scope: Scope, receive: Receive) -> Answer:
    """Let the service do the work, and keep its answer."""
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    start, *parts = messages
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], headers, b"".join(part.get("body", b"") for part in parts))


async def _send_broken(fault: Fault, answer: Answer, scope: Scope, send: Send) -> None:
    """Send an answer as far as the fault lets it go, and as it makes it."""
    if fault.drop == "answer":
        await asyncio.sleep(fault.stall)
        await cut(scope)
        return
    if fault.spoil:
        answer = answer.spoiled(fault.spoil, fault.fields, fault.pick)
    headers = {**answer.headers, **fault.headers}.items()
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    middle = len(answer.body) // 2
    if fault.stall or fault.drop:
        await send({"type": "http.response.body", "body": answer.body[:middle], "more_body": True})
        await asyncio.sleep(fault.stall)
    if fault.drop:
        await cut(scope)
        return
    rest = answer.body[middle:] if fault.stall else answer.body
    await send({"type": "http.response.body", "body": rest})


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
            await cut(self._scope)
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


async def cut(scope: Scope) -> None:
    """Reset the connection: no byte more, not even the end of the stream."""
    transport = scope["transport"]
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await asyncio.sleep(0)  # the server learns of the loss before it looks for our answer


def _xml(fault: Fault, request_id: str) -> tuple[str, bytes]:
    body = (
        f"<Error><Code>{escape(fault.code)}</Code><Message>{escape(fault.message)}</Message>"
        f"<RequestId>{request_id}</RequestId></Error>"
    )
    return "application/xml", body.encode()


def _json(fault: Fault, request_id: str) -> tuple[str, bytes]:
    answer = {"RequestId": request_id, "Code": fault.code, "Message": fault.message}
    return "application/json", json.dumps(answer).encode()
