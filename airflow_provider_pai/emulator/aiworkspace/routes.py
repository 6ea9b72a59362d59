"""AIWorkspace 2021-02-04 on the wire."""

from __future__ import annotations

from functools import partial

from starlette.routing import BaseRoute

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.aiworkspace.backend import AIWorkspaceBackend
from airflow_provider_pai.emulator.types import Json
from airflow_provider_pai.emulator.wire import Call, api_route

VERSION = "2021-02-04"
CREATE = "alibabacloud_aiworkspace20210204.models:CreateCodeSourceRequest"


def routes(account: Account, backend: AIWorkspaceBackend) -> list[BaseRoute]:
    """Return the routes of workspaces and code sources."""
    route = partial(api_route, account, version=VERSION)

    def paging(call: Call) -> tuple[dict[str, str], int, int]:
        return call.query, call.integer("PageNumber", 1), call.integer("PageSize", 20)

    def create(call: Call) -> Json:
        return backend.create_code_source(call.body)

    def get(call: Call) -> Json:
        return backend.get_code_source(call.path["id"])

    def list_sources(call: Call) -> Json:
        return backend.list_code_sources(*paging(call))

    def delete(call: Call) -> Json:
        return backend.delete_code_source(call.path["id"])

    def get_workspace(call: Call) -> Json:
        return backend.get_workspace(call.path["id"])

    def list_workspaces(call: Call) -> Json:
        return backend.list_workspaces(*paging(call))

    sources, workspaces = "/api/v1/codesources", "/api/v1/workspaces"
    return [
        route("POST", sources, "CreateCodeSource", handler=create, model=CREATE),
        route("GET", sources, "ListCodeSources", handler=list_sources),
        route("GET", sources + "/{id}", "GetCodeSource", handler=get),
        route("DELETE", sources + "/{id}", "DeleteCodeSource", handler=delete),
        route("GET", workspaces, "ListWorkspaces", handler=list_workspaces),
        route("GET", workspaces + "/{id}", "GetWorkspace", handler=get_workspace),
    ]
