"""Services of the emulated account: one row each, below those that it is built on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from starlette.routing import BaseRoute

from airflow_provider_pai.emulator import console, control
from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.aiworkspace.backend import AIWorkspaceBackend
from airflow_provider_pai.emulator.aiworkspace.routes import routes as aiworkspace_routes
from airflow_provider_pai.emulator.cloudmonitor.backend import CloudMonitorBackend
from airflow_provider_pai.emulator.cloudmonitor.routes import routes as cloudmonitor_routes
from airflow_provider_pai.emulator.dlc.backend import DlcBackend
from airflow_provider_pai.emulator.dlc.routes import routes as dlc_routes
from airflow_provider_pai.emulator.dlc.tensorboards.backend import TensorboardBackend
from airflow_provider_pai.emulator.dlc.tensorboards.routes import routes as tensorboard_routes
from airflow_provider_pai.emulator.dsw.backend import DswBackend
from airflow_provider_pai.emulator.dsw.routes import routes as dsw_routes
from airflow_provider_pai.emulator.eas.backend import EasBackend
from airflow_provider_pai.emulator.eas.gateway import routes as gateway_routes
from airflow_provider_pai.emulator.eas.routes import routes as eas_routes
from airflow_provider_pai.emulator.identity.backend import IdentityBackend
from airflow_provider_pai.emulator.identity.routes import routes as identity_routes
from airflow_provider_pai.emulator.oss.backend import OssBackend
from airflow_provider_pai.emulator.oss.routes import routes as oss_routes
from airflow_provider_pai.emulator.registry.backend import RegistryBackend
from airflow_provider_pai.emulator.registry.routes import routes as registry_routes

LISTENERS = ("api", "oss", "eas")
"""The sockets: of the PAI APIs, of OSS and of the EAS gateway."""

BackendT = TypeVar("BackendT")


class Services:
    """The backends of one account, and the routes that lead to them from each of `LISTENERS`."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.routes: dict[str, list[BaseRoute]] = {listener: [] for listener in LISTENERS}
        self.oss = self._serve("oss", OssBackend(account), oss_routes)
        self.workspaces = self._serve("api", AIWorkspaceBackend(account), aiworkspace_routes)
        self.dlc = self._serve("api", DlcBackend(account, self.workspaces, self.oss), dlc_routes)
        self.tensorboards = self._serve(
            "api", TensorboardBackend(account, self.workspaces, self.oss, self.dlc), tensorboard_routes
        )
        self.dsw = self._serve("api", DswBackend(account, self.workspaces, self.oss), dsw_routes)
        self.eas = self._serve("api", EasBackend(account, self.oss), eas_routes)
        self.cloudmonitor = self._serve("api", CloudMonitorBackend(account, self.eas), cloudmonitor_routes)
        self.identity = self._serve("api", IdentityBackend(account), identity_routes)
        self.registry = self._serve("api", RegistryBackend(account), registry_routes)
        self._serve("eas", self.eas, gateway_routes)
        self._serve("api", self.dlc, control.routes)
        self._serve("api", console.Backends(self.dlc, self.dsw, self.eas, self.oss), console.routes)

    def _serve(
        self, listener: str, backend: BackendT, routes: Callable[[Account, BackendT], list[BaseRoute]]
    ) -> BackendT:
        """Put a backend behind the routes of a listener."""
        self.routes[listener] += routes(self._account, backend)
        return backend
