"""TensorBoards of DLC 2020-12-03 on the wire."""

from __future__ import annotations

from functools import partial

from starlette.routing import BaseRoute

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.dlc.routes import MODELS, PAGE_SIZE, VERSION
from airflow_provider_pai.emulator.dlc.tensorboards.backend import TensorboardBackend
from airflow_provider_pai.emulator.queries import time_range
from airflow_provider_pai.emulator.types import Json
from airflow_provider_pai.emulator.wire import Call, api_route


def routes(account: Account, backend: TensorboardBackend) -> list[BaseRoute]:
    """Return the routes of TensorBoards."""
    route = partial(api_route, account, version=VERSION)

    def create(call: Call) -> Json:
        return backend.create(call.body)

    def list_boards(call: Call) -> Json:
        number, size = call.integer("PageNumber", 1), call.integer("PageSize", PAGE_SIZE)
        return backend.list(call.query, time_range(call.query, account.now()), number, size)

    def get(call: Call) -> Json:
        return backend.get(call.path["id"])

    def start(call: Call) -> Json:
        return backend.start(call.path["id"])

    def stop(call: Call) -> Json:
        return backend.stop(call.path["id"])

    def delete(call: Call) -> Json:
        return backend.delete(call.path["id"])

    boards, board = "/api/v1/tensorboards", "/api/v1/tensorboards/{id}"
    return [
        route("POST", boards, "CreateTensorboard", handler=create, model=f"{MODELS}:CreateTensorboardRequest"),
        route("GET", boards, "ListTensorboards", handler=list_boards),
        route("GET", board, "GetTensorboard", handler=get),
        route("DELETE", board, "DeleteTensorboard", handler=delete),
        route("PUT", board + "/start", "StartTensorboard", handler=start),
        route("PUT", board + "/stop", "StopTensorboard", handler=stop),
    ]
