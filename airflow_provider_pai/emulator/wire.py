"""Common wire of the PAI APIs: signed JSON requests, JSON answers and error envelopes."""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from airflow_provider_pai.emulator.account import Account, Credential
from airflow_provider_pai.emulator.auth import SignedRequest, text, verify_body, verify_signature
from airflow_provider_pai.emulator.errors import ApiError, InvalidParameterError, NotAllowedError
from airflow_provider_pai.emulator.models import checked_body
from airflow_provider_pai.emulator.permissions import ACTIONS
from airflow_provider_pai.emulator.queries import whole_number
from airflow_provider_pai.emulator.types import Json, Scope

MAX_DOCUMENT_BYTES = 8 << 20
"""Of JSON and XML; what the APIs allow is not published."""


class _Rest(PathConvertor):
    """The rest of a path, also behind a line end, at which Starlette's own `path` stops."""

    regex = "(?s:.*)"


register_url_convertor("rest", _Rest())


@dataclass(frozen=True)
class Call:
    """One API call as a handler sees it."""

    path: dict[str, str]
    query: dict[str, str]
    caller: Credential
    body: Json = field(default_factory=dict)

    def integer(self, name: str, default: int) -> int:
        """Read a whole number from the query."""
        text = self.query.get(name) or str(default)
        if (number := whole_number(text)) is None:
            raise InvalidParameterError(f"{name} must be a whole number, not {text!r}.")
        return number

    def paging(self, size: int) -> tuple[int, int]:
        """Read number and size of a page from the query."""
        return self.integer("PageNumber", 1), self.integer("PageSize", size)

    def boolean(self, name: str, default: bool = False) -> bool:
        """Read a Boolean from the query; SDKs send Python's `True` and `False`."""
        return (self.query.get(name) or str(default)).lower() == "true"

    def mapping(self, name: str) -> dict[str, str]:
        """Read a map that the SDK sent as JSON text."""
        return _json_object(self.query.get(name) or "{}", name)


PlainHandler = Callable[[Call], Json]
Handler = Callable[[Call], "Json | Awaitable[Json]"]


class Action(NamedTuple):
    """One action of an API."""

    method: str
    path: str
    name: str
    """As the SDK sends it in `x-acs-action`, e.g. `CreateJob`."""
    handler: Handler
    strict: bool = False
    """Refuse a body with a field that the SDK's model `<name>Request` does not have."""


def api_route(account: Account, version: str, action: Action, models: str = "") -> Route:
    """Return the route of one action.

    :param version: the API's, sent as `x-acs-version`.
    :param models: the SDK's module of request models.
    :raises KeyError: the table of RAM actions has no row for it.
    """
    permission = ACTIONS[version, action.name]

    async def endpoint(request: Request) -> Response:
        request_id = _request_id()
        try:
            signed = SignedRequest.from_scope(request.scope)
            caller = verify_signature(account, signed)
            _check_action(signed.headers, action.name, version)
            _check_allowed(account, caller, permission)
            body = await body_of(request, ApiError(413, "RequestEntityTooLarge", "The request body is too large."))
            verify_body(account, signed, caller, body)
            call = await _read(request, body, caller, action, models)
            answer = action.handler(call)
            if inspect.isawaitable(answer):
                answer = await answer
        except ApiError as error:
            return _refusal(error, request_id)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        return JSONResponse({"RequestId": request_id, **answer}, headers={"x-acs-request-id": request_id})

    kind = _RpcRoute if action.path == "/" else Route
    return kind(action.path, endpoint, methods=[action.method], name=action.name)


async def body_of(request: Request, refusal: ApiError) -> bytes:
    """Return the body of a request that is a document.

    :param refusal: raised for one of more than `MAX_DOCUMENT_BYTES`, of which no more are kept.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_DOCUMENT_BYTES:
            raise refusal
    return bytes(body)


def is_local(request: Request) -> bool:
    """Tell whether a request comes from this machine."""
    return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback


class _RpcRoute(Route):
    """Route of an API in RPC style: one path for all of them, the action in a header."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        named = dict(scope.get("headers", ())).get(b"x-acs-action", b"").decode("latin-1") == self.name
        return (match, child) if named else (Match.NONE, {})


async def not_found(request: Request) -> Response:
    """Answer a path that no emulated API has."""
    message = f"Specified api is not found: the emulator has no {request.method} {request.url.path}."
    return _refusal(ApiError(404, "InvalidAction.NotFound", message), _request_id())


def broken(error: Exception) -> Response:
    """Answer a call on which the emulator itself failed; the traceback goes to the log."""
    message = f"The emulator failed: {type(error).__name__}: {error}"
    return _refusal(ApiError(500, "InternalError", message), _request_id())


async def _read(request: Request, raw: bytes, caller: Credential, action: Action, models: str) -> Call:
    body = _json_object(text(raw) or "{}", "body")
    if action.strict:
        # The first request of a service imports its SDK, which takes a second: not on the event loop.
        body = await asyncio.to_thread(checked_body, f"{models}:{action.name}Request", body)
    return Call(dict(request.path_params), dict(request.query_params), caller, body)


def _check_action(headers: Mapping[str, str], action: str, version: str) -> None:
    if headers.get("x-acs-version") != version:
        raise ApiError(400, "InvalidVersion", f"Specified parameter Version is not valid: {action} has {version}.")
    if headers.get("x-acs-action") != action:
        raise ApiError(404, "InvalidAction.NotFound", f"Specified api is not found: this path is {action}.")


def _check_allowed(account: Account, caller: Credential, permission: str) -> None:
    denial = account.denial(caller.access_key_id, permission) if permission else None
    if denial is None:
        return
    message = "User not authorized to operate on the specified resource, or this API doesn't support RAM."
    detail = denial.detail(account.settings.account_id, caller.access_key_id)
    raise NotAllowedError(message, detail if account.world.ram_refusal == "detailed" else {})


def _json_object(document: str, name: str) -> Json:
    try:
        json_object = json.loads(document, parse_constant=_refuse_constant)
        json.dumps(json_object, ensure_ascii=False).encode()  # half a surrogate pair can't be answered
    except (ValueError, RecursionError) as error:
        raise InvalidParameterError(f"{name} is not JSON: {error}") from error
    if not isinstance(json_object, dict):
        raise InvalidParameterError(f"{name} must be a JSON object.")
    return json_object


def _refuse_constant(name: str) -> None:
    """Refuse `NaN` and `Infinity`, which Python reads and JSON does not have."""
    raise ValueError(f"{name} is no number")


def _request_id() -> str:
    return str(uuid.uuid4()).upper()


def _refusal(error: ApiError, request_id: str) -> Response:
    body: Json = {"RequestId": request_id, "HostId": "emulator", "Code": error.code, "Message": error.message}
    if isinstance(error, NotAllowedError) and error.detail:
        body["AccessDeniedDetail"] = error.detail
    return JSONResponse(
        body,
        status_code=error.status,
        headers={"x-acs-request-id": request_id},
    )
