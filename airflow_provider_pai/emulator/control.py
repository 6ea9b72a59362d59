"""The control endpoint: look at the emulator, set faults, times and quotas, preempt pods.

Unsigned, for this machine only, no part of any API.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from airflow_provider_pai.emulator.account import FLAGS, TIMES, Account
from airflow_provider_pai.emulator.dlc.backend import DlcBackend
from airflow_provider_pai.emulator.errors import ApiError

Handler = Callable[[Request], Awaitable[Any]]


def routes(account: Account, jobs: DlcBackend) -> list[BaseRoute]:
    """Return the routes below `/_emulator`."""

    async def faults(request: Request) -> Any:
        if request.method == "DELETE":
            account.faults.clear()
        elif request.method == "POST":
            account.faults.extend(await request.json())
        return account.faults.describe()

    async def settings(request: Request) -> Any:
        if request.method == "POST":
            account.change_settings(await _object(request))
        return {name: getattr(account.settings, name) for name in (*TIMES, *FLAGS)}

    async def quotas(request: Request) -> Any:
        if request.method == "DELETE":
            jobs.quotas.lift()
        elif request.method == "POST":
            jobs.quotas.set(await _object(request))
        return jobs.quotas.describe()

    async def preempt(request: Request) -> Any:
        body = await _object(request)
        return {"evicted": jobs.evict(str(body.get("job_id")), body.get("pod_id"))}

    async def health(_: Request) -> Response:
        return JSONResponse({"endpoints": account.endpoints, "region": account.settings.region})

    return [
        Route("/_emulator/faults", _guarded(faults), methods=["GET", "POST", "DELETE"]),
        Route("/_emulator/settings", _guarded(settings), methods=["GET", "POST"]),
        Route("/_emulator/quotas", _guarded(quotas), methods=["GET", "POST", "DELETE"]),
        Route("/_emulator/preempt", _guarded(preempt), methods=["POST"]),
        Route("/_emulator/health", health, methods=["GET"]),
    ]


def _guarded(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Answer this machine only, and a wrong request with what is wrong with it."""

    async def endpoint(request: Request) -> Response:
        if not _is_local(request):
            return _refusal(403, "The control endpoint answers to this machine only.")
        try:
            return JSONResponse(await handler(request))
        except ApiError as error:
            return _refusal(error.status, error.message)
        except (TypeError, ValueError) as error:
            return _refusal(400, str(error))

    return endpoint


async def _object(request: Request) -> dict[str, Any]:
    body = await request.json()
    if not isinstance(body, dict):
        raise TypeError(f"The body must be a JSON object, not {body!r}.")
    return body


def _is_local(request: Request) -> bool:
    return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)
