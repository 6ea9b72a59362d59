"""Control endpoint: the emulator's faults, times, switches, quotas and access keys, read and set; preempted pods.

Unsigned, for this machine only, no part of any API.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from airflow_provider_pai.emulator.account import FLAGS, TIMES, Account
from airflow_provider_pai.emulator.dlc.backend import DlcBackend
from airflow_provider_pai.emulator.errors import ApiError
from airflow_provider_pai.emulator.wire import body_of, is_local
from airflow_provider_pai.emulator.world import World

_Handler = Callable[[Request], Awaitable[Any]]


def routes(account: Account, jobs: DlcBackend) -> list[BaseRoute]:
    """Return the routes below `/_emulator`."""
    control = _Control(account, jobs)
    return [
        Route("/_emulator/faults", _guarded(control.faults), methods=["GET", "POST", "DELETE"]),
        Route("/_emulator/settings", _guarded(control.settings), methods=["GET", "POST"]),
        Route("/_emulator/world", _guarded(control.world), methods=["GET", "POST", "DELETE"]),
        Route("/_emulator/quotas", _guarded(control.quotas), methods=["GET", "POST", "DELETE"]),
        Route("/_emulator/users", _guarded(control.users), methods=["GET", "POST", "DELETE"]),
        Route("/_emulator/preempt", _guarded(control.preempt), methods=["POST"]),
        Route("/_emulator/meter", _guarded(control.meter), methods=["GET"]),
        Route("/_emulator/health", control.health, methods=["GET"]),
    ]


class _Control:
    """One method per path: changes what the request asks for, returns how things are."""

    def __init__(self, account: Account, jobs: DlcBackend) -> None:
        self.account = account
        self.jobs = jobs

    async def faults(self, request: Request) -> Any:
        faults = self.account.faults
        if request.method == "DELETE":
            faults.clear()
        elif request.method == "POST":
            faults.extend(await _json(request))
        return faults.describe()

    async def settings(self, request: Request) -> Any:
        if request.method == "POST":
            self.account.change_settings(await _object(request))
        return {name: getattr(self.account.settings, name) for name in (*TIMES, *FLAGS)}

    async def world(self, request: Request) -> Any:
        if request.method == "DELETE":
            self.account.world = World()
        elif request.method == "POST":
            self.account.change_world(await _object(request))
        return self.account.world.to_dict()

    async def quotas(self, request: Request) -> Any:
        quotas = self.jobs.quotas
        if request.method == "DELETE":
            quotas.lift()
        elif request.method == "POST":
            quotas.set(await _object(request))
        return quotas.describe()

    async def users(self, request: Request) -> Any:
        account = self.account
        if request.method == "POST":
            body = await _object(request)
            user = account.add_user(body.get("policy", {}), temporary=body.get("temporary") is True)
            return {name: value for name, value in vars(user).items() if value}
        if request.method == "DELETE":
            account.remove_credential(str((await _object(request)).get("access_key_id")))
        return {
            key: {"policy": policy.document if policy else None, "asked": sorted(account.asked[key])}
            for key, policy in account.policies.items()
        }

    async def preempt(self, request: Request) -> Any:
        body = await _object(request)
        return {"evicted": self.jobs.evict(str(body.get("job_id")), body.get("pod_id"))}

    async def meter(self, _: Request) -> Any:
        return self.account.meter.read(self.account.now().timestamp())

    async def health(self, _: Request) -> Response:
        return JSONResponse({"endpoints": self.account.endpoints, "region": self.account.settings.region})


def _guarded(handler: _Handler) -> Callable[[Request], Awaitable[Response]]:
    """Answer this machine only, and a wrong request with what is wrong with it."""

    async def endpoint(request: Request) -> Response:
        if not is_local(request):
            return _refusal(403, "The control endpoint answers to this machine only.")
        try:
            return JSONResponse(await handler(request))
        except ApiError as error:
            return _refusal(error.status, error.message)
        except (TypeError, ValueError) as error:
            return _refusal(400, str(error))

    return endpoint


async def _object(request: Request) -> dict[str, Any]:
    body = await _json(request)
    if not isinstance(body, dict):
        raise TypeError(f"The body must be a JSON object, not {body!r}.")
    return body


async def _json(request: Request) -> Any:
    return json.loads(await body_of(request, ApiError(413, "RequestEntityTooLarge", "The body is too large.")))


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)
