"""Routes of AIWorkspace 2021-02-04: code sources, images and workspaces."""

from __future__ import annotations

from starlette.routing import BaseRoute

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.aiworkspace.backend import AIWorkspaceBackend
from airflow_provider_pai.emulator.types import Json
from airflow_provider_pai.emulator.wire import Action, Call, api_route

VERSION = "2021-02-04"
MODELS = "alibabacloud_aiworkspace20210204.models"
PAGE_SIZE = 20

_SOURCES, _IMAGES, _WORKSPACES = "/api/v1/codesources", "/api/v1/images", "/api/v1/workspaces"


def routes(account: Account, backend: AIWorkspaceBackend) -> list[BaseRoute]:
    """Return the route of each action."""
    calls = _Calls(backend)
    actions = [
        Action("POST", _SOURCES, "CreateCodeSource", calls.create_code_source, strict=True),
        Action("GET", _SOURCES, "ListCodeSources", calls.list_code_sources),
        Action("GET", f"{_SOURCES}/{{id}}", "GetCodeSource", calls.get_code_source),
        Action("PUT", f"{_SOURCES}/{{id}}", "UpdateCodeSource", calls.update_code_source, strict=True),
        Action("DELETE", f"{_SOURCES}/{{id}}", "DeleteCodeSource", calls.delete_code_source),
        Action("POST", _IMAGES, "AddImage", calls.add_image, strict=True),
        Action("GET", _IMAGES, "ListImages", calls.list_images),
        Action("GET", f"{_IMAGES}/{{id}}", "GetImage", calls.get_image),
        Action("DELETE", f"{_IMAGES}/{{id}}", "RemoveImage", calls.remove_image),
        Action("POST", f"{_IMAGES}/{{id}}/labels", "AddImageLabels", calls.add_image_labels, strict=True),
        Action("GET", _WORKSPACES, "ListWorkspaces", calls.list_workspaces),
        Action("GET", f"{_WORKSPACES}/{{id}}", "GetWorkspace", calls.get_workspace),
    ]
    return [api_route(account, VERSION, action, MODELS) for action in actions]


class _Calls:
    """One method per action: reads the call, asks the backend."""

    def __init__(self, backend: AIWorkspaceBackend) -> None:
        self.backend = backend

    def create_code_source(self, call: Call) -> Json:
        return self.backend.create_code_source(call.body)

    def list_code_sources(self, call: Call) -> Json:
        return self.backend.list_code_sources(call.query, *call.paging(PAGE_SIZE))

    def get_code_source(self, call: Call) -> Json:
        return self.backend.get_code_source(call.path["id"])

    def update_code_source(self, call: Call) -> Json:
        return self.backend.update_code_source(call.path["id"], call.body)

    def delete_code_source(self, call: Call) -> Json:
        return self.backend.delete_code_source(call.path["id"])

    def add_image(self, call: Call) -> Json:
        return self.backend.add_image(call.body)

    def list_images(self, call: Call) -> Json:
        return self.backend.images.list(call.query, call.boolean("Verbose"), *call.paging(PAGE_SIZE))

    def get_image(self, call: Call) -> Json:
        return self.backend.images.get(call.path["id"], call.boolean("Verbose"))

    def remove_image(self, call: Call) -> Json:
        return self.backend.images.remove(call.path["id"])

    def add_image_labels(self, call: Call) -> Json:
        return self.backend.images.label(call.path["id"], call.body)

    def list_workspaces(self, call: Call) -> Json:
        return self.backend.list_workspaces(call.query, *call.paging(PAGE_SIZE))

    def get_workspace(self, call: Call) -> Json:
        return self.backend.get_workspace(call.path["id"])
