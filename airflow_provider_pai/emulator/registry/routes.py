"""Routes of the registry: OCI Distribution Specification 1.1, "Checking if content exists" and "Pushing manifests"."""

from __future__ import annotations

import base64

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.errors import ApiError
from airflow_provider_pai.emulator.registry.backend import RegistryBackend
from airflow_provider_pai.emulator.wire import body_of

_MANIFEST = "/v2/{name:path}/manifests/{reference}"
_TOKEN = "/v2/token"  # noqa: S105 - a path
_HANDED = "handed-out"


def routes(account: Account, backend: RegistryBackend) -> list[BaseRoute]:
    """Return the route of each call; a token is handed to anybody, or to whoever logs in with the account's key."""

    def denied(request: Request) -> Response | None:
        world = account.world.registry
        if world == "open" or request.headers.get("Authorization") == f"Bearer {_HANDED}":
            return None
        realm = f"http://{account.endpoints['api']}{_TOKEN}"
        challenge = f'Bearer realm="{realm}",service="emulator",scope="repository:{request.path_params["name"]}:pull"'
        error = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
        return JSONResponse(error, 401, {"WWW-Authenticate": challenge})

    async def token(request: Request) -> Response:
        key = account.credential
        login = base64.b64encode(f"{key.access_key_id}:{key.access_key_secret}".encode()).decode()
        is_known = account.world.registry == "token" or request.headers.get("Authorization") == f"Basic {login}"
        return JSONResponse({"token": _HANDED}) if is_known else Response(status_code=401)

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
