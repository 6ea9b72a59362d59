"""Routes of DLC 2020-12-03: TensorBoards."""

from __future__ import annotations

from starlette.routing import BaseRoute

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.dlc.routes import MODELS, PAGE_SIZE, VERSION
from airflow_provider_pai.emulator.dlc.tensorboards.backend import TensorboardBackend
from airflow_provider_pai.emulator.queries import time_range
from airflow_provider_pai.emulator.types import Json
from airflow_provider_pai.emulator.wire import Action, Call, api_route

_BOARDS = "/api/v1/tensorboards"
_BOARD = f"{_BOARDS}/{{id}}"


def routes(account: Account, backend: TensorboardBackend) -> list[BaseRoute]:
    """Return the route of each action."""
    calls = _Calls(account, backend)
    actions = [
        Action("POST", _BOARDS, "CreateTensorboard", calls.create, strict=True),
        Action("GET", _BOARDS, "ListTensorboards", calls.list),
        Action("GET", _BOARD, "GetTensorboard", calls.get),
        Action("DELETE", _BOARD, "DeleteTensorboard", calls.delete),
        Action("PUT", f"{_BOARD}/start", "StartTensorboard", calls.start),
        Action("PUT", f"{_BOARD}/stop", "StopTensorboard", calls.stop),
    ]
    return [api_route(account, VERSION, action, MODELS) for action in actions]


class _Calls:
    """One method per action: reads the call, asks the backend."""

    def __init__(self, account: Account, backend: TensorboardBackend) -> None:
        self.account = account
        self.backend = backend

    def create(self, call: Call) -> Json:
        return self.backend.create(call.body)

    def list(self, call: Call) -> Json:
        span = time_range(call.query, self.account.now(), self.account.world.dlc_list_days)
        return self.backend.list(call.query, span, *call.paging(PAGE_SIZE))

    def get(self, call: Call) -> Json:
        return self.backend.get(call.path["id"])

    def delete(self, call: Call) -> Json:
        return self.backend.delete(call.path["id"])

    def start(self, call: Call) -> Json:
        return self.backend.start(call.path["id"])

    def stop(self, call: Call) -> Json:
        return self.backend.stop(call.path["id"])
