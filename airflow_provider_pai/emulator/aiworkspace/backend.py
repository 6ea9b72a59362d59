"""Workspaces, code sources and images: state and rules."""

from __future__ import annotations

import secrets
from typing import Any

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.aiworkspace.images import Images
from airflow_provider_pai.emulator.errors import InvalidParameterError, NotFoundError
from airflow_provider_pai.emulator.queries import fuzzy, page
from airflow_provider_pai.emulator.runtime.code import Checkout
from airflow_provider_pai.emulator.runtime.mounts import check_mount_path
from airflow_provider_pai.emulator.types import Json

KIND = "code-source"
REQUIRED = ("DisplayName", "MountPath", "WorkspaceId", "CodeRepo")
SORT_FIELDS = ("GmtCreateTime", "GmtModifyTime", "DisplayName", "CodeSourceId")


class AIWorkspaceBackend:
    """One workspace, its code sources and its images."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.images = Images(account)

    def check_workspace(self, workspace_id: str | None) -> str:
        """Return the workspace's id, the default one when none is given.

        :raises InvalidParameterError: for one that does not exist.
        """
        known = self.account.settings.workspace_id
        if workspace_id not in (None, "", known):
            raise InvalidParameterError(f"WorkspaceId {workspace_id!r} does not exist; the emulator has {known!r}.")
        return known

    def add_image(self, request: Json) -> Json:
        """Add an image to a workspace, the default one when none is given."""
        return self.images.add({**request, "WorkspaceId": self.check_workspace(request.get("WorkspaceId"))})

    def create_code_source(self, request: Json) -> Json:
        """Register a repository."""
        for field in REQUIRED:
            if not request.get(field):
                raise InvalidParameterError(f"{field} is required.")
        self.check_workspace(request["WorkspaceId"])
        _check(request)
        code_source_id = f"code-{secrets.token_hex(8)}"
        moment = self.account.timestamp()
        document = {
            "Accessibility": "PRIVATE",
            "CloneType": 0,
            **request,
            "CodeSourceId": code_source_id,
            "GmtCreateTime": moment,
            "GmtModifyTime": moment,
            "UserId": self.account.settings.account_id,
        }
        self.account.store.put(KIND, code_source_id, document)
        return {"CodeSourceId": code_source_id}

    def get_code_source(self, code_source_id: str) -> Json:
        """Return one code source.

        :raises NotFoundError: when there is none.
        """
        source = self.account.store.get(KIND, code_source_id)
        if source is None:
            raise NotFoundError(f"Code source {code_source_id} does not exist.")
        return source

    def update_code_source(self, code_source_id: str, request: Json) -> Json:
        """Change the fields that are given."""
        changed = {**self.get_code_source(code_source_id), **request, "GmtModifyTime": self.account.timestamp()}
        _check(changed)
        self.account.store.put(KIND, code_source_id, changed)
        return {"CodeSourceId": code_source_id}

    def delete_code_source(self, code_source_id: str) -> Json:
        """Delete one code source."""
        self.get_code_source(code_source_id)
        self.account.store.delete(KIND, code_source_id)
        return {"CodeSourceId": code_source_id}

    def list_code_sources(self, query: dict[str, str], number: int, size: int) -> Json:
        """List code sources by part of their name, sorted, one page."""
        if not query.get("WorkspaceId"):
            raise InvalidParameterError("WorkspaceId is required.")
        sort_by = query.get("SortBy") or "GmtCreateTime"
        if sort_by not in SORT_FIELDS:
            raise InvalidParameterError(f"SortBy must be one of {', '.join(SORT_FIELDS)}, not {sort_by!r}.")
        sources = [
            source
            for source in self.account.store.all(KIND)
            if fuzzy(query.get("DisplayName"), source["DisplayName"]) and query["WorkspaceId"] == source["WorkspaceId"]
        ]
        sources.sort(key=lambda source: str(source[sort_by]), reverse=(query.get("Order") or "ASC").upper() == "DESC")
        return {"CodeSources": page(sources, number, size), "TotalCount": len(sources)}

    def checkout(self, reference: dict[str, Any]) -> Checkout:
        """Join a job's CodeSource with the code source that it names; what the job says wins."""
        source = self.get_code_source(reference["CodeSourceId"])
        # A branch that the job names is not overruled by a commit that the code source names.
        commit = reference.get("Commit") or ("" if reference.get("Branch") else source.get("CodeCommit"))
        return Checkout(
            repository=source["CodeRepo"],
            mount_path=reference.get("MountPath") or source["MountPath"],
            branch=reference.get("Branch") or source.get("CodeBranch") or "",
            commit=commit or "",
            user_name=source.get("CodeRepoUserName") or "",
            access_token=source.get("CodeRepoAccessToken") or "",
            new_folder=source["CloneType"] == 0,
        )

    def get_workspace(self, workspace_id: str) -> Json:
        """Return one workspace.

        :raises NotFoundError: when there is none.
        """
        if workspace_id != self.account.settings.workspace_id:
            raise NotFoundError(f"Workspace {workspace_id} does not exist.", "WorkspaceNotFound")
        return self._workspace()

    def list_workspaces(self, query: dict[str, str], number: int, size: int) -> Json:
        """List workspaces by name or ids, one page."""
        ids = [part for part in (query.get("WorkspaceIds") or "").split(",") if part]
        workspaces = [
            workspace
            for workspace in [self._workspace()]
            if fuzzy(query.get("WorkspaceName"), workspace["WorkspaceName"])
            and (not ids or workspace["WorkspaceId"] in ids)
            and query.get("Status") in (None, "", workspace["Status"])
        ]
        return {"Workspaces": page(workspaces, number, size), "TotalCount": len(workspaces)}

    def _workspace(self) -> Json:
        settings = self.account.settings
        return {
            "WorkspaceId": settings.workspace_id,
            "WorkspaceName": f"workspace_{settings.workspace_id}",
            "DisplayName": f"workspace_{settings.workspace_id}",
            "Description": "The emulator's workspace.",
            "Creator": settings.account_id,
            "EnvTypes": ["prod"],
            "IsDefault": True,
            "Status": "ENABLED",
            "GmtCreateTime": "2026-01-01T00:00:00.000Z",
            "GmtModifiedTime": "2026-01-01T00:00:00.000Z",
        }


def _check(source: Json) -> None:
    check_mount_path(source["MountPath"])
    if source.get("CloneType", 0) not in (0, 1):
        raise InvalidParameterError(f"CloneType must be 0 or 1, not {source['CloneType']!r}.")
