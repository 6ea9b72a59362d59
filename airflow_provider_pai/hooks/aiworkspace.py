"""Hook of AIWorkspace 2021-02-04: workspaces, and code sources, which DLC jobs clone before they start."""

from __future__ import annotations

import hashlib

from airflow_provider_pai.exceptions import PaiConfigError, PaiNotFoundError
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.remote import Json


class AIWorkspaceHook(PaiHook):
    """Workspaces and code sources.

    API: alibabacloud_aiworkspace20210204.client.Client, whose ListCodeSourcesRequest and CreateCodeSourceRequest need a
    workspace.
    """

    service = "aiworkspace"

    @property
    def _workspace(self) -> str:
        """Return the workspace's id.

        :raises PaiConfigError: the connection has none.
        """
        workspace_id = self.connection.workspace_id
        if not workspace_id:
            raise PaiConfigError(
                "workspace_id", workspace_id, "code sources belong to a workspace: give the connection its id"
            )
        return workspace_id

    def ping(self) -> None:
        """Ask for one code source."""
        from alibabacloud_aiworkspace20210204.models import ListCodeSourcesRequest

        request = ListCodeSourcesRequest(workspace_id=self._workspace, page_size=1)
        self.call("ListCodeSources", lambda: self.client.list_code_sources(request))

    def workspace(self, workspace_id: str) -> Json | None:
        """Return a workspace in the API's field names; None: there is none. API: GetWorkspace."""
        from alibabacloud_aiworkspace20210204.models import GetWorkspaceRequest

        try:
            answer = self.call(
                "GetWorkspace", lambda: self.client.get_workspace(workspace_id, GetWorkspaceRequest(verbose=False))
            )
        except PaiNotFoundError:
            return None
        found: Json = answer.body.to_map()
        return found

    def code_source(self, repo: str, branch: str | None, mount_path: str) -> str:
        """Return the id of the code source of a repository, made once and found again by its name."""
        from alibabacloud_aiworkspace20210204.models import CreateCodeSourceRequest, ListCodeSourcesRequest

        key = hashlib.sha256(f"{repo}\0{branch}\0{mount_path}".encode()).hexdigest()[:16]
        name = f"airflow-{key}"
        listed = ListCodeSourcesRequest(display_name=name, workspace_id=self._workspace)
        sources = self.call("ListCodeSources", lambda: self.client.list_code_sources(listed)).body.code_sources or []
        for source in sources:
            if source.display_name == name and source.code_repo == repo:
                return str(source.code_source_id)
        request = CreateCodeSourceRequest(
            display_name=name,
            code_repo=repo,
            code_branch=branch,
            mount_path=mount_path,
            clone_type=1,  # into the mount path itself, not into a folder of the repository's name
            workspace_id=self._workspace,
            accessibility="PRIVATE",
        )
        answer = self.call("CreateCodeSource", lambda: self.client.create_code_source(request), repeatable=False)
        return str(answer.body.code_source_id)
