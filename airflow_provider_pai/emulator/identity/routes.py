"""Routes of STS 2015-04-01 and RAM 2015-05-01, APIs in RPC style."""

from __future__ import annotations

from starlette.routing import BaseRoute

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.identity.backend import IdentityBackend
from airflow_provider_pai.emulator.types import Json
from airflow_provider_pai.emulator.wire import Action, Call, api_route

STS_VERSION, RAM_VERSION = "2015-04-01", "2015-05-01"


def routes(account: Account, backend: IdentityBackend) -> list[BaseRoute]:
    """Return the route of each action."""

    def get_caller_identity(call: Call) -> Json:
        return backend.caller(call.caller)

    def get_role(call: Call) -> Json:
        return backend.role(call.query.get("RoleName"))

    return [
        api_route(account, STS_VERSION, Action("POST", "/", "GetCallerIdentity", get_caller_identity)),
        api_route(account, RAM_VERSION, Action("POST", "/", "GetRole", get_role)),
    ]
