"""Sockets and HTTP servers of the emulator, and the log of requests."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import time
from collections.abc import Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from airflow_provider_pai.emulator.datafolder import StartError
from airflow_provider_pai.emulator.faults import call_name
from airflow_provider_pai.emulator.types import App, Message, Receive, Scope, Send

log = logging.getLogger("airflow_provider_pai.emulator.requests")


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


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals and logging to whoever owns the process."""

    def __init__(self, app: App) -> None:
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class _Protocol(HttpToolsProtocol):
    """Shows the transport to the application, so that a fault can cut the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["transport"] = self.transport  # type: ignore[typeddict-unknown-key]


class RequestLog:
    """ASGI wrapper that logs each request at INFO."""

    def __init__(self, app: App, service: str) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if not log.isEnabledFor(logging.INFO):
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
            log.info("%s -> %s in %.1f ms", call_name(self.service, scope), status, elapsed)
