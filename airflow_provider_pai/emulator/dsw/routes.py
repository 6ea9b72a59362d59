"""Routes of DSW 2022-01-01: instances and instance types; answers say in their bodies, too, that a call succeeded."""

from __future__ import annotations

from functools import partial

from starlette.routing import BaseRoute

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.dsw.backend import DswBackend
from airflow_provider_pai.emulator.errors import ApiError, InvalidParameterError
from airflow_provider_pai.emulator.queries import time_range
from airflow_provider_pai.emulator.types import Json
from airflow_provider_pai.emulator.wire import Action, Call, PlainHandler, api_route

VERSION = "2022-01-01"
MODELS = "alibabacloud_pai_dsw20220101.models"
PAGE_SIZE = 10
"""Default page; the API's own is not published."""
EVENTS = 2000

_INSTANCES = "/api/v2/instances"
_INSTANCE = f"{_INSTANCES}/{{id}}"
_LABELS = f"{_INSTANCE}/labels"
_TIMER = f"{_INSTANCE}/shutdowntimer"
_CULLER = f"{_INSTANCE}/idleinstanceculler"


def routes(account: Account, backend: DswBackend) -> list[BaseRoute]:
    """Return the route of each action."""
    calls, enveloped = _Calls(account, backend), partial(_enveloped, account)
    actions = [
        Action("POST", _INSTANCES, "CreateInstance", enveloped(calls.create), strict=True),
        Action("GET", _INSTANCES, "ListInstances", enveloped(calls.list)),
        Action("GET", _INSTANCE, "GetInstance", enveloped(calls.get)),
        Action("PUT", _INSTANCE, "UpdateInstance", enveloped(calls.update), strict=True),
        Action("DELETE", _INSTANCE, "DeleteInstance", enveloped(calls.delete)),
        Action("PUT", f"{_INSTANCE}/start", "StartInstance", enveloped(calls.start)),
        Action("PUT", f"{_INSTANCE}/stop", "StopInstance", enveloped(calls.stop)),
        Action("GET", f"{_INSTANCE}/events", "GetInstanceEvents", enveloped(calls.events)),
        Action("POST", _TIMER, "CreateInstanceShutdownTimer", enveloped(calls.set_timer), strict=True),
        Action("GET", _TIMER, "GetInstanceShutdownTimer", enveloped(calls.get_timer)),
        Action("DELETE", _TIMER, "DeleteInstanceShutdownTimer", enveloped(calls.lift_timer)),
        Action("POST", _CULLER, "CreateIdleInstanceCuller", enveloped(calls.set_culler), strict=True),
        Action("GET", _CULLER, "GetIdleInstanceCuller", enveloped(calls.get_culler)),
        Action("DELETE", _CULLER, "DeleteIdleInstanceCuller", enveloped(calls.lift_culler)),
        Action("PUT", _LABELS, "UpdateInstanceLabels", enveloped(calls.label), strict=True),
        Action("DELETE", _LABELS, "DeleteInstanceLabels", enveloped(calls.unlabel)),
        Action("GET", "/api/v2/ecsspecs", "ListEcsSpecs", enveloped(calls.ecs_specs)),
    ]
    return [api_route(account, VERSION, action, MODELS) for action in actions]


class _Calls:
    """One method per action: reads the call, asks the backend."""

    def __init__(self, account: Account, backend: DswBackend) -> None:
        self.account = account
        self.backend = backend

    def create(self, call: Call) -> Json:
        return self.backend.create(call.body)

    def list(self, call: Call) -> Json:
        return self.backend.list(call.query, call.mapping("Labels"), *call.paging(PAGE_SIZE))

    def get(self, call: Call) -> Json:
        return self.backend.get(call.path["id"])

    def update(self, call: Call) -> Json:
        return self.backend.update(call.path["id"], call.body)

    def delete(self, call: Call) -> Json:
        return self.backend.delete(call.path["id"])

    def start(self, call: Call) -> Json:
        return self.backend.start(call.path["id"])

    def stop(self, call: Call) -> Json:
        return self.backend.stop(call.path["id"], call.boolean("SaveImage"))

    def events(self, call: Call) -> Json:
        span, limit = time_range(call.query, self.account.now()), call.integer("MaxEventsNum", EVENTS)
        return self.backend.events(call.path["id"], span, limit)

    def set_timer(self, call: Call) -> Json:
        return self.backend.set_timer(call.path["id"], call.body)

    def get_timer(self, call: Call) -> Json:
        return self.backend.get_timer(call.path["id"])

    def lift_timer(self, call: Call) -> Json:
        return self.backend.lift_timer(call.path["id"])

    def set_culler(self, call: Call) -> Json:
        return self.backend.set_culler(call.path["id"], call.body)

    def get_culler(self, call: Call) -> Json:
        return self.backend.get_culler(call.path["id"])

    def lift_culler(self, call: Call) -> Json:
        return self.backend.lift_culler(call.path["id"])

    def label(self, call: Call) -> Json:
        return self.backend.update_labels(call.path["id"], call.body.get("Labels") or [])

    def unlabel(self, call: Call) -> Json:
        return self.backend.delete_labels(call.path["id"], call.query.get("LabelKeys") or "")

    def ecs_specs(self, call: Call) -> Json:
        return self.backend.ecs_specs(call.query, *call.paging(PAGE_SIZE))


def _enveloped(account: Account, handler: PlainHandler) -> PlainHandler:
    def answer(call: Call) -> Json:
        try:
            return {"Success": True, "HttpStatusCode": 200, **handler(call)}
        except ApiError as error:
            code = "ValidationError" if isinstance(error, InvalidParameterError) else error.code
            if account.world.dsw_refusal == "status":
                raise ApiError(error.status, code, error.message) from error
            return {"Success": False, "HttpStatusCode": error.status, "Code": code, "Message": error.message}

    return answer
