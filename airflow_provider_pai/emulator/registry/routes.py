"""Routes of the registry: OCI Distribution Specification 1.1, "Checking if content exists" and "Pushing manifests"."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.errors import ApiError
from airflow_provider_pai.emulator.registry.backend import RegistryBackend
from airflow_provider_pai.emulator.wire import body_of

_MANIFEST = "/v2/{name:path}/manifests/{reference}"
_TOKEN = "/v2/token"  # noqa: S105 - a path
_ANYBODY = "for-anybody"


def routes(account: Account, backend: RegistryBackend) -> list[BaseRoute]:
    """Return the route of each call; a token is handed to anybody where the world asks for a login at all."""

    def denied(request: Request) -> Response | None:
        world = account.world.registry
        if world == "open" or (world == "token" and request.headers.get("Authorization") == f"Bearer {_ANYBODY}"):
            return None
        realm = f"http://{account.endpoints['api']}{_TOKEN}"
        challenge = f'Bearer realm="{realm}",service="emulator",scope="repository:{request.path_params["name"]}:pull"'
        error = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
        return JSONResponse(error, 401, {"WWW-Authenticate": challenge})

    async def token(request: Request) -> Response:
        return JSONResponse({"token": _ANYBODY}) if account.world.registry == "token" else Response(status_code=401)

    async def manifest(request: Request) -> Response:
        name, reference = request.path_params["name"], request.path_params["reference"]
        if request.method == "PUT":
            body = await body_of(request, ApiError(413, "MANIFEST_INVALID", "The manifest is too large."))
            return Response(status_code=201, headers={"Docker-Content-Digest": backend.push(name, reference, body)})
        answer = denied(request)
        return answer or Response(headers={"Docker-Content-Digest": backend.digest(name, reference)})

    return [
        Route(_TOKEN, token, methods=["GET"]),
        Route(_MANIFEST, manifest, methods=["HEAD", "PUT"]),
    ]
