"""DSW 2022-01-01 on the wire; its answers say in their bodies, too, whether the call succeeded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from starlette.routing import BaseRoute, Route

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.dsw.backend import DswBackend
from airflow_provider_pai.emulator.errors import ApiError, InvalidParameterError
from airflow_provider_pai.emulator.queries import time_range
from airflow_provider_pai.emulator.types import Json
from airflow_provider_pai.emulator.wire import Call, api_route

VERSION = "2022-01-01"
MODELS = "alibabacloud_pai_dsw20220101.models"
PAGE_SIZE = 10
"""Default page; the API's own is not published."""
EVENTS = 2000


def routes(account: Account, backend: DswBackend) -> list[BaseRoute]:
    """Return the routes of instances and instance types."""
    route = partial(_route, account)

    def paging(call: Call) -> tuple[int, int]:
        return call.integer("PageNumber", 1), call.integer("PageSize", PAGE_SIZE)

    def span(call: Call) -> tuple[datetime, datetime]:
        return time_range(call.query, account.now())

    def create(call: Call) -> Json:
        return backend.create(call.body)

    def get(call: Call) -> Json:
        return backend.get(call.path["id"])

    def list_instances(call: Call) -> Json:
        return backend.list(call.query, call.mapping("Labels"), *paging(call))

    def update(call: Call) -> Json:
        return backend.update(call.path["id"], call.body)

    def start(call: Call) -> Json:
        return backend.start(call.path["id"])

    def stop(call: Call) -> Json:
        return backend.stop(call.path["id"], call.boolean("SaveImage"))

    def delete(call: Call) -> Json:
        return backend.delete(call.path["id"])

    def events(call: Call) -> Json:
        limit = call.integer("MaxEventsNum", EVENTS)
        return backend.events(call.path["id"], span(call), limit)

    def update_labels(call: Call) -> Json:
        return backend.update_labels(call.path["id"], call.body.get("Labels") or [])

    def delete_labels(call: Call) -> Json:
        return backend.delete_labels(call.path["id"], call.query.get("LabelKeys") or "")

    def ecs_specs(call: Call) -> Json:
        return backend.ecs_specs(call.query, *paging(call))

    instances, instance = "/api/v2/instances", "/api/v2/instances/{id}"
    return [
        route("POST", instances, "CreateInstance", create, f"{MODELS}:CreateInstanceRequest"),
        route("GET", instances, "ListInstances", list_instances),
        route("GET", instance, "GetInstance", get),
        route("PUT", instance, "UpdateInstance", update, f"{MODELS}:UpdateInstanceRequest"),
        route("DELETE", instance, "DeleteInstance", delete),
        route("PUT", instance + "/start", "StartInstance", start),
        route("PUT", instance + "/stop", "StopInstance", stop),
        route("GET", instance + "/events", "GetInstanceEvents", events),
        route(
            "PUT", instance + "/labels", "UpdateInstanceLabels", update_labels, f"{MODELS}:UpdateInstanceLabelsRequest"
        ),
        route("DELETE", instance + "/labels", "DeleteInstanceLabels", delete_labels),
        route("GET", "/api/v2/ecsspecs", "ListEcsSpecs", ecs_specs),
    ]


def _route(
    account: Account, method: str, path: str, action: str, handler: Callable[[Call], Json], model: str | None = None
) -> Route:
    def answer(call: Call) -> Json:
        try:
            return {"Success": True, "HttpStatusCode": 200, **handler(call)}
        except InvalidParameterError as error:
            raise ApiError(error.status, "ValidationError", error.message) from error

    return api_route(account, method, path, action, VERSION, answer, model)
