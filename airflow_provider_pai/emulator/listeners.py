"""Sockets and HTTP servers of the emulator, and the log of requests."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from airflow_provider_pai.emulator.datafolder import StartError
from airflow_provider_pai.emulator.faults import call_name
from airflow_provider_pai.emulator.types import App, Message, Receive, Scope, Send

HEAD_SECONDS = 20.0
"""How long a client may take for the head of a request."""
BODY_SECONDS = 30.0
"""How long it may be silent in the middle of a body."""
MAX_HEAD_BYTES = 64 << 10

THREAD_NAME = "pai-emulator"
"""Of the thread that an emulator's servers run in."""

log = logging.getLogger("airflow_provider_pai.emulator.requests")


def check_host(host: str) -> None:
    """Refuse an address that others may reach.

    :raises StartError: it is none of this machine's alone.
    """
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = host == "localhost"
    if not is_local:
        raise StartError(
            f"Others may reach {host}: whoever has a key of the emulator runs commands on this machine, as you. "
            "If that is meant: --allow-remote."
        )


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    :raises StartError: the port is taken, or the address is not ours.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(2048)
    except (OSError, OverflowError) as error:
        sock.close()
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "is in use" if taken else f"can't be used: {error}"
        raise StartError(f"Port {port} of {host} {reason}.") from error
    return sock


def address_of(sock: socket.socket) -> str:
    """Return `host:port` as it stands in a URL."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# Airflow and pytest show INFO: servers that come and go with a test are no news there.
logging.getLogger("uvicorn.error").addFilter(
    lambda record: record.levelno > logging.INFO or record.threadName != THREAD_NAME
)


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals and logging to whoever owns the process."""

    def __init__(self, app: App) -> None:
        config = uvicorn.Config(
            Dated(app),
            http=_Protocol,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class Dated:
    """ASGI wrapper that dates an answer when it goes out: uvicorn dates it a second too early."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(usegmt=True).encode()
                message = {**message, "headers": [(b"date", date), *message.get("headers", ())]}
            await send(message)

        await self.app(scope, receive, dated)


class _Protocol(HttpToolsProtocol):
    """Cuts off who begins a request and does not go on; shows faults the transport, so that they can cut it, too.

    A length beside `Transfer-Encoding: chunked` is taken, and counts for nothing (RFC 9112, 6.3).
    """

    _head_size: int | None = 0
    """Bytes of a request's head so far; None: the head is complete."""
    _timer: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        # What is configured does not hold where somebody has set up logging since.
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.parser.set_dangerous_leniencies(lenient_chunked_length=True)
        self._expect(HEAD_SECONDS)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["transport"] = self.transport  # type: ignore[typeddict-unknown-key]
        self._head_size = 0
        self._expect(HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._head_size = None
        self._expect(BODY_SECONDS)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._expect(None)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_size is not None:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD_BYTES:
                self.send_400_response("The head of the request is too large.")
        elif self._timer is not None:
            self._expect(BODY_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._expect(None)

    def _expect(self, seconds: float | None) -> None:
        """Give the client so long for what comes next; None: nothing has to."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._cut)

    def _cut(self) -> None:
        if self.flow.read_paused:
            self._expect(BODY_SECONDS)  # it is the service that does not go on
        else:
            self.transport.abort()


class RequestLog:
    """ASGI wrapper that logs each request at DEBUG: at INFO it would drown what a test or a task has to say."""

    def __init__(self, app: App, service: str) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if not log.isEnabledFor(logging.DEBUG):
            await self.app(scope, receive, send)
            return
        status, begun = "cut", time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            status = str(message.get("status", status))
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            elapsed = (time.perf_counter() - begun) * 1000
            log.debug("%s -> %s in %.1f ms", call_name(self.service, scope), status, elapsed)
