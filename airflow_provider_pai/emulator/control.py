"""The control endpoint: look at the emulator and set faults. Unsigned, for this machine only, no part of any API."""

from __future__ import annotations

import ipaddress

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from airflow_provider_pai.emulator.cloud import Cloud


def routes(cloud: Cloud) -> list[BaseRoute]:
    """Return the routes below `/_emulator`."""

    async def faults(request: Request) -> Response:
        if not _is_local(request):
            return _refusal(403, "The control endpoint answers to this machine only.")
        if request.method == "DELETE":
            cloud.faults.clear()
        elif request.method == "POST":
            try:
                cloud.faults.extend(await request.json())
            except (TypeError, ValueError) as error:
                return _refusal(400, str(error))
        return JSONResponse(cloud.faults.describe())

    async def health(_: Request) -> Response:
        return JSONResponse({"endpoints": cloud.endpoints, "region": cloud.settings.region})

    return [
        Route("/_emulator/faults", faults, methods=["GET", "POST", "DELETE"]),
        Route("/_emulator/health", health, methods=["GET"]),
    ]


def _is_local(request: Request) -> bool:
    return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)
