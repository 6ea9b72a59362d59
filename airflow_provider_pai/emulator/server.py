"""Emulator object: three listeners (PAI APIs, OSS, EAS gateway) on one event loop in one thread."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from airflow_provider_pai.emulator import console
from airflow_provider_pai.emulator.account import Account, Settings
from airflow_provider_pai.emulator.connection import connection_to
from airflow_provider_pai.emulator.datafolder import StartError, owned
from airflow_provider_pai.emulator.faults import FaultMiddleware
from airflow_provider_pai.emulator.listeners import THREAD_NAME, RequestLog, Server, address_of, check_host, listen
from airflow_provider_pai.emulator.runtime.processes import hurry
from airflow_provider_pai.emulator.services import LISTENERS, Services
from airflow_provider_pai.emulator.types import App
from airflow_provider_pai.emulator.wire import broken, not_found
from airflow_provider_pai.emulator.world import World

# Seconds between SIGTERM and SIGKILL for what runs when the emulator ends.
_GRACE_AT_THE_END = 1.0

__all__ = ["Emulator", "Endpoints", "StartError"]


@dataclass(frozen=True)
class Endpoints:
    """Addresses and credentials for the clients of an emulator; printed as one JSON line by the command."""

    endpoint_url: str
    oss_endpoint: str
    eas_gateway: str
    access_key_id: str
    access_key_secret: str = field(repr=False)
    region: str
    workspace_id: str
    console_url: str
    """Pages for people: `console_url` of the connection."""

    def to_dict(self) -> dict[str, str]:
        """Return the fields as JSON."""
        return asdict(self)

    def connection(self, **extra: Any) -> dict[str, Any]:
        """Return the Airflow connection of type `pai` that leads here, as JSON."""
        return connection_to(self.to_dict(), console_url=self.console_url, **extra)


class Emulator:
    """An emulated PAI account on 127.0.0.1; many can live in one process.

    ::

        with Emulator(dwell=0.01) as pai:
            hook = DlcHook(...)  # a connection with extra endpoint_url=pai.endpoints.endpoint_url

    :param data: folder of objects and state, for its user alone; when not given a temporary one, deleted at stop.
    :param host: address to bind.
    :param allow_remote: let it be one that others reach: whoever has a key then runs commands here.
    :param port: port of the PAI APIs; OSS and the EAS gateway take the next two. 0: free ones.
    :param world: positions of switches of `World`, where they are not the default.
    :param settings: fields of `Settings`, e.g. `dwell`, `region`.
    """

    def __init__(
        self,
        data: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        allow_remote: bool = False,
        world: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.host = host
        self.port = port
        self.allow_remote = allow_remote
        self.settings = Settings(**settings)
        self.world = World().changed(world or {})
        self.data: Path
        self.account: Account
        self.services: Services
        self.endpoints: Endpoints
        self._given_data = data
        self._resources = contextlib.ExitStack()
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    def start(self) -> Emulator:
        """Start the listeners and return when they answer.

        :raises StartError: the data folder, the address or the port can't be used.
        """
        if not self.allow_remote:
            check_host(self.host)
        with contextlib.ExitStack() as resources:
            folder = self._given_data or Path(
                resources.enter_context(tempfile.TemporaryDirectory(prefix="pai-emulator-"))
            )
            self.data = resources.enter_context(owned(folder.resolve()))
            ports = range(self.port, self.port + len(LISTENERS)) if self.port else (0,) * len(LISTENERS)
            self._sockets = [resources.enter_context(listen(self.host, port)) for port in ports]
            self._thread.start()
            self._ready.wait()
            if self._failure is not None:
                raise self._failure
            self._resources = resources.pop_all()
        return self

    def stop(self) -> None:
        """Stop every process and listener; returns when they are gone."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        self._resources.close()

    def __enter__(self) -> Emulator:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def call(self, function: Callable[[], Any]) -> Any:
        """Run a function on the emulator's loop and return its result; for looking into backends."""

        async def run() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that called start()
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._open()
        servers = [Server(app) for app in _applications(self.account, self.services)]
        serving = [
            asyncio.create_task(server.serve(sockets=[sock]))
            for server, sock in zip(servers, self._sockets, strict=True)
        ]
        try:
            while not all(server.started for server in servers):
                await asyncio.wait(serving, timeout=0.005, return_when=asyncio.FIRST_EXCEPTION)
            self._ready.set()
            await self._stopping.wait()
        finally:
            hurry(_GRACE_AT_THE_END)
            for server in servers:
                server.should_exit = True
            await asyncio.gather(*serving)
            await self.account.close()
            self.services.oss.close()

    def _open(self) -> None:
        """Read the account and its services from the data folder."""
        try:
            self.account = Account(self.data, self.settings, world=self.world)
            self.account.endpoints = dict(zip(LISTENERS, map(address_of, self._sockets), strict=True))
            self.services = Services(self.account)
        except (OSError, sqlite3.Error) as error:
            raise StartError(f"The data folder {self.data} can't be used: {error}.") from error
        self.endpoints = _endpoints(self.account)


def _endpoints(account: Account) -> Endpoints:
    return Endpoints(
        endpoint_url=f"http://{account.endpoints['api']}",
        oss_endpoint=f"http://{account.endpoints['oss']}",
        eas_gateway=f"http://{account.endpoints['eas']}",
        access_key_id=account.credential.access_key_id,
        access_key_secret=account.credential.access_key_secret,
        region=account.settings.region,
        workspace_id=account.settings.workspace_id,
        console_url=f"http://{account.endpoints['api']}{console.HOME}/{{service}}",
    )


def _applications(account: Account, services: Services) -> list[App]:
    """Return what each listener serves."""
    return [_application(account, listener, services.routes[listener]) for listener in LISTENERS]


def _application(account: Account, listener: str, routes: list[BaseRoute]) -> App:
    app = Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_found, 500: _broken})
    # A path that no API has is an answer, not a redirect to one with a slash.
    app.router.redirect_slashes = False
    return RequestLog(FaultMiddleware(app, account.faults, listener), listener)


async def _not_found(request: Request, _: Exception) -> Response:
    return await not_found(request)


async def _broken(request: Request, error: Exception) -> Response:
    return broken(error)
