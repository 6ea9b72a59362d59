"""Gateway of EAS: token check, choice of service and instance, proxy, count of requests.

`/api/predict/<service>` or `/api/predict/<group>.<member>` is a service's own endpoint, `/api/predict/<group>`
the group's. What follows in the path goes to the instance; the answer's header `x-emulator-service` names the service,
which nobody has seen of the cloud. Counted are the requests that reached a service,
also when no instance of it was ready (503); those refused for their token, for an unknown name or because the gateway
has not learnt of the service yet are not.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
from starlette.routing import BaseRoute, Route
from yarl import URL

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.eas.backend import EasBackend
from airflow_provider_pai.emulator.eas.instance import Instance
from airflow_provider_pai.emulator.eas.mirror import next_targets
from airflow_provider_pai.emulator.eas.service import Service
from airflow_provider_pai.emulator.faults import call_name, cut
from airflow_provider_pai.emulator.types import Message, Receive, Scope, Send

PREFIX = "/api/predict/"

# What belongs to one connection (RFC 9110, 7.6.1) or is set anew by the server that answers.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
    }
    | {b"transfer-encoding", b"upgrade"}
)
_SET_BY_SERVER = frozenset({b"date", b"server"})

SERVED_BY = b"x-emulator-service"

_UNKNOWN_YET = {404: b"", 503: b"no healthy upstream"}
"""Answers in place of a service that has just come up."""

Headers = list[tuple[bytes, bytes]]


def routes(account: Account, backend: EasBackend) -> list[BaseRoute]:
    """Return the gateway's routes, for every method."""
    gateway = Gateway(account, backend)
    return [Route("/api/predict/{name}", gateway), Route("/api/predict/{name}/{rest:rest}", gateway)]


class Gateway:
    """The ASGI application of the routes."""

    def __init__(self, account: Account, backend: EasBackend) -> None:
        self.account = account
        self.backend = backend
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        target = self._target(scope["path_params"]["name"])
        if target is None:
            await _refuse(send, 404, "NotFound", f"Service {scope['path_params']['name']} not found")
            return
        token, choose = target
        if not _bears(scope, token):
            await _refuse(send, 401, "Unauthorized", "Invalid token")
            return
        service = choose()
        if service is None:
            await _refuse(send, 503, "ServiceUnavailable", "No service of the group takes traffic")
            return
        if service.refusal:
            await _answer(send, service.refusal, _UNKNOWN_YET[service.refusal])
            return
        exchange = _Exchange(scope, receive, send, service.record.name)
        await self._mirror(service, exchange)
        try:
            await self._pass_on(service, exchange)
        except (aiohttp.ClientError, TimeoutError, OSError):
            await cut(scope)  # half an answer is out: nothing else tells the client so

    def _target(self, name: str) -> tuple[str, Callable[[], Service | None]] | None:
        """Return the token that a name asks for and who then serves."""
        groups = self.backend.groups
        if (group := groups.records.get(name)) is not None:
            return group.token, lambda: groups.choose(name)
        group_name, _, member = name.rpartition(".")
        service = self.backend.services.get(member)
        if service is None or (service.record.group or "") != group_name:
            return None
        return service.record.token, lambda: service

    async def _pass_on(self, service: Service, exchange: _Exchange) -> None:
        """Try the service's instances until one takes the connection."""
        began = time.perf_counter()
        tried: list[Instance] = []
        try:
            if await self._fails(service, exchange):
                return
            while (instance := service.fleet.pick(exclude=tried)) is not None:
                tried.append(instance)
                # Refused before a byte was sent: another instance may take it, whatever the method.
                with instance.serving(), contextlib.suppress(aiohttp.ClientConnectorError):
                    await exchange.run(self._client(), instance.port)
                    return
            await exchange.refuse(503, "ServiceUnavailable", f"No instance of {service.record.name} is ready")
        finally:
            if exchange.status:
                service.series.record(exchange.status, time.perf_counter() - began)

    async def _fails(self, service: Service, exchange: _Exchange) -> bool:
        """Answer as a fault of this service says; tell whether it did."""
        fault = self.account.faults.take(exchange.call, service.record.name)
        if fault is None:
            return False
        await asyncio.sleep(fault.delay)
        if fault.status:
            await exchange.refuse(fault.status, fault.code, fault.message)
        return bool(fault.status)

    async def _mirror(self, service: Service, exchange: _Exchange) -> None:
        """Send copies of the request to the mirror's targets; nobody waits for them."""
        targets = [self.backend.services.get(name) for name in next_targets(service)]
        copy = await exchange.copy() if any(targets) else None
        for target in targets:
            if target is not None and not target.refusal and copy is not None:
                self.account.spawn(self._send_copy(target, copy), f"eas-mirror-{target.record.name}")

    async def _send_copy(self, target: Service, copy: _Exchange) -> None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            await self._pass_on(target, copy)

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # Idle connections go before an instance's own keep-alive time-out, which may be 2 s.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=1.0),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            )
            # A request that an instance has got, and perhaps died of, must not go out a second time.
            self._session._retry_connection = False
            self.account.spawn(self._close_at_end(self._session), "eas-gateway")
        return self._session

    async def _close_at_end(self, session: aiohttp.ClientSession) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await session.close()


class _Exchange:
    """One request passed on and its answer passed back, both as streams."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, service: str) -> None:
        self.status = 0
        """The status that the client was answered; 0 when it went away first."""
        self._scope = scope
        self._receive = receive
        self._send = send
        self._service = service
        self._first: Message | None = None

    @property
    def call(self) -> str:
        """Return the call's name."""
        return call_name("eas", self._scope)

    async def copy(self) -> _Exchange | None:
        """Return the request once more, its answer dropped; None for a body that comes as a stream."""
        if self._first is None:
            self._first = await self._receive()
        if self._first.get("more_body"):
            return None
        copy = _Exchange(self._scope, _never, _drop, self._service)
        copy._first = self._first
        return copy

    async def run(self, session: aiohttp.ClientSession, port: int) -> None:
        """Send the request to a port.

        :raises ClientConnectorError: when the port refused the connection.
        :raises ClientError, TimeoutError, OSError: when it broke off in the middle of its answer.
        """
        try:
            await self._run(session, port)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if self.status:
                self.status = 502
                raise
            await self.refuse(502, "BadGateway", f"The instance broke off: {type(error).__name__}")

    async def refuse(self, status: int, code: str, message: str) -> None:
        """Answer in place of an instance."""
        self.status = status
        await _refuse(self._send, status, code, message)

    async def _run(self, session: aiohttp.ClientSession, port: int) -> None:
        async with session.request(
            self._scope["method"],
            self._url(port),
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._headers()],
            data=await self._body(),
            allow_redirects=False,
        ) as response:
            self.status = response.status
            headers = _end_to_end([(name.lower(), value) for name, value in response.raw_headers], also=_SET_BY_SERVER)
            headers.append((SERVED_BY, self._service.encode()))
            await self._send({"type": "http.response.start", "status": response.status, "headers": headers})
            await self._pass_back(response.content)

    async def _pass_back(self, content: aiohttp.StreamReader) -> None:
        chunk = await content.readany()
        if content.at_eof():
            await self._send({"type": "http.response.body", "body": chunk})
            return
        reading = asyncio.create_task(self._pump(content, chunk))
        leaving = asyncio.create_task(self._client_left())
        try:
            await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            for task in (reading, leaving):
                task.cancel()
            await asyncio.gather(reading, leaving, return_exceptions=True)

    async def _pump(self, content: aiohttp.StreamReader, chunk: bytes) -> None:
        while True:
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = await content.readany()
            if not chunk and content.at_eof():
                break
        await self._send({"type": "http.response.body", "body": b""})

    async def _client_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _url(self, port: int) -> URL:
        raw = self._scope["raw_path"].decode("ascii").partition("?")[0]
        rest = raw.removeprefix(PREFIX).partition("/")[2]
        query = self._scope["query_string"].decode("ascii")
        return URL(f"http://127.0.0.1:{port}/{rest}{'?' if query else ''}{query}", encoded=True)

    def _headers(self) -> Headers:
        return _end_to_end(self._scope["headers"])

    async def _body(self) -> bytes | AsyncIterator[bytes] | None:
        """Return a short body whole, a longer one as a stream; can be asked again while nothing was sent."""
        if self._first is None:
            self._first = await self._receive()
        if self._first.get("more_body"):
            return self._stream(self._first)
        return self._first.get("body") or None

    async def _stream(self, message: Message) -> AsyncIterator[bytes]:
        while message["type"] == "http.request":
            yield message.get("body", b"")
            if not message.get("more_body"):
                return
            message = await self._receive()
        raise aiohttp.ClientConnectionError("The client went away")


async def _never() -> Message:
    """Receive nothing: nobody waits for a copy's answer, so nobody goes away either."""
    await asyncio.Event().wait()
    raise AssertionError


async def _drop(_message: Message) -> None:
    """Send nothing."""


def _end_to_end(headers: Headers, also: frozenset[bytes] = frozenset()) -> Headers:
    """Drop what belongs to one connection only."""
    lists = [value for name, value in headers if name == b"connection"]
    named = {token.strip().lower() for value in lists for token in value.split(b",")}
    dropped = _HOP_BY_HOP | also | named
    return [(name, value) for name, value in headers if name not in dropped]


def _bears(scope: Scope, token: str) -> bool:
    """Tell whether the request bears the token, bare or after `Bearer` (the latter is UNCONFIRMED)."""
    authorization = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    return hmac.compare_digest(authorization.removeprefix(b"Bearer "), token.encode())


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    await _answer(send, status, json.dumps({"code": code, "message": message}).encode(), b"application/json")


async def _answer(send: Send, status: int, body: bytes, content_type: bytes = b"text/plain") -> None:
    headers: Headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
