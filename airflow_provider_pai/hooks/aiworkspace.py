"""Hook of AIWorkspace 2021-02-04: workspaces, code sources, which DLC jobs clone before they start, and images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiConfigError,
    PaiNotFoundError,
    PaiPermissionError,
    PaiTransientError,
)
from airflow_provider_pai.hooks.answers import Needed, Page
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.paging import all_items
from airflow_provider_pai.remote import Json

# What is read of answers.
_WORKSPACE = {"Status": Needed(str), "WorkspaceName": Needed(str)}
_CREATED = {"CodeSourceId": Needed(str)}
_IMAGE = {
    "ImageId": Needed(str),
    "ImageUri": Needed(str),
    "Name": Needed(str),
    "GmtCreateTime": str,
    "Labels": [{"Key": Needed(str), "Value": str}],
}
_ADDED = {"ImageId": Needed(str)}
_CODE_SOURCES = Page("CodeSources", {"CodeSourceId": Needed(str), "DisplayName": str, "CodeRepo": str})

OFFICIAL = "system.official"
"""Label of PAI's own images, whose value is `true`."""


@dataclass(frozen=True)
class GitLogin:
    """User and access token that a private repository is cloned with."""

    user: str
    token: str = field(repr=False)

    @classmethod
    def of(cls, field: str, conn_id: str) -> GitLogin:
        """Read an Airflow connection, e.g. one of type `git`: its login and its password.

        :param field: that names it.
        :raises PaiNotFoundError: there is none.
        :raises PaiConfigError: it has no password.
        """
        from airflow_provider_pai.hooks.connection import stored

        connection = stored(field, conn_id)
        if not connection.password:
            raise PaiConfigError(field, conn_id, "a connection whose password is an access token")
        return cls(connection.login or "git", connection.password)


class AIWorkspaceHook(PaiHook):
    """Workspaces, code sources and images.

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
            raise PaiConfigError("workspace_id", workspace_id, "they belong to a workspace: give the connection its id")
        return workspace_id

    def ping(self) -> None:
        """Ask for one code source."""
        from alibabacloud_aiworkspace20210204.models import ListCodeSourcesRequest

        request = ListCodeSourcesRequest(workspace_id=self._workspace, page_size=1)
        self.ask("ListCodeSources", lambda: self.client.list_code_sources(request))

    def workspace(self, workspace_id: str) -> Json | None:
        """Return a workspace in the API's field names; None: there is none. API: GetWorkspace."""
        from alibabacloud_aiworkspace20210204.models import GetWorkspaceRequest

        request = GetWorkspaceRequest(verbose=False)
        try:
            return self.ask("GetWorkspace", lambda: self.client.get_workspace(workspace_id, request), _WORKSPACE)
        except PaiNotFoundError:
            return None

    def code_source(self, repo: str, branch: str | None, mount_path: str, login: GitLogin | None = None) -> str:
        """Return the id of the code source of a repository, made once and found again by its name.

        :param login: it clones with; one that is found gets the token as it is now, since tokens are renewed.
        """
        from alibabacloud_aiworkspace20210204.models import CreateCodeSourceRequest

        user, token = (login.user, login.token) if login else (None, None)
        key = hashlib.sha256(f"{repo}\0{branch}\0{mount_path}\0{user}".encode()).hexdigest()[:16]
        name = f"airflow-{key}"
        if found := self._found(name, repo):
            if login:
                self._renew(found, login)
            return found
        request = CreateCodeSourceRequest(
            display_name=name,
            code_repo=repo,
            code_branch=branch,
            code_repo_user_name=user,
            code_repo_access_token=token,
            mount_path=mount_path,
            clone_type=1,  # into the mount path itself, not into a folder of the repository's name
            workspace_id=self._workspace,
            accessibility="PRIVATE",
        )
        try:
            answer = self.ask(
                "CreateCodeSource", lambda: self.client.create_code_source(request), _CREATED, repeatable=False
            )
        except PaiTransientError:
            # The answer may be lost, and the code source made.
            if made := self._found(name, repo):
                return made
            raise
        return str(answer["CodeSourceId"])

    def _renew(self, code_source_id: str, login: GitLogin) -> None:
        """Give a code source the token as it is now. API: UpdateCodeSource."""
        from alibabacloud_aiworkspace20210204.models import UpdateCodeSourceRequest

        request = UpdateCodeSourceRequest(code_repo_user_name=login.user, code_repo_access_token=login.token)
        self.ask("UpdateCodeSource", lambda: self.client.update_code_source(code_source_id, request))

    def _found(self, name: str, repo: str) -> str | None:
        from alibabacloud_aiworkspace20210204.models import ListCodeSourcesRequest

        request = ListCodeSourcesRequest(display_name=name, workspace_id=self._workspace)
        answer = self.ask("ListCodeSources", lambda: self.client.list_code_sources(request), _CODE_SOURCES)
        same = (name, repo)
        sources = answer.get("CodeSources") or ()
        fitting = (each for each in sources if (each.get("DisplayName"), each.get("CodeRepo")) == same)
        return next((str(each["CodeSourceId"]) for each in fitting), None)

    def list_images(self, labels: Mapping[str, str] | None = None, **filters: Any) -> Iterator[Json]:
        """Yield images with their labels in the API's field names, the newest first, page by page. API: ListImages.

        :param labels: all of which an image has.
        :param filters: other fields of ListImagesRequest in Python's spelling.
        """
        from alibabacloud_aiworkspace20210204.models import ListImagesRequest

        wanted = ",".join(f"{key}={value}" for key, value in (labels or {}).items()) or None

        def page(number: int) -> Json:
            request = ListImagesRequest(
                labels=wanted,
                verbose=True,  # without it there are no labels
                sort_by="GmtCreateTime",
                order="DESC",
                page_number=number,
                page_size=50,
                **filters,
            )
            return self.ask("ListImages", lambda: self.client.list_images(request), Page("Images", _IMAGE))

        return all_items("Images", page)

    def register_image(
        self, name: str, uri: str, labels: Mapping[str, str], *, accessibility: str, description: str | None = None
    ) -> str:
        """Return the id of the workspace's image of a name, added once and found again; labels that it lacks are set.

        AddImage's English page says that a workspace has a name once, its Chinese one that it may have it again. So a
        name is one address's here, and the id, which AddImage lets its caller choose, is made of both.

        API: ListImages, AddImage, AddImageLabels.

        :raises PaiConfigError: the name is another address's.
        """
        from alibabacloud_aiworkspace20210204.models import AddImageRequest

        key = hashlib.sha256(f"{self._workspace}\0{name}\0{uri}".encode()).hexdigest()[:18]
        added: Json = {
            "Name": name,
            "ImageUri": uri,
            "ImageId": f"image-{key}",
            "Labels": _labels(labels),
            "Accessibility": accessibility,
            "Description": description,
            "WorkspaceId": self._workspace,
        }
        request = AddImageRequest().from_map(added)
        found = self._image(name, uri)
        if found is None:
            try:
                answer = self.ask("AddImage", lambda: self.client.add_image(request), _ADDED, repeatable=False)
                return str(answer["ImageId"])
            except PaiPermissionError:
                raise
            except PaiApiError:
                # The answer may be lost, or another task has added it meanwhile.
                found = self._image(name, uri)
                if found is None:
                    raise
        self._label(found, labels)
        return str(found["ImageId"])

    def _image(self, name: str, uri: str) -> Json | None:
        """Return the workspace's image of a name."""
        listed = self.list_images(name=name, workspace_id=self._workspace)
        same = [image for image in listed if image["Name"] == name]
        if same and all(image["ImageUri"] != uri for image in same):
            taken = f"one of its own: {same[0]['ImageId']} has it for {same[0]['ImageUri']}"
            raise PaiConfigError("image_name", name, taken)
        return next((image for image in same if image["ImageUri"] == uri), None)

    def _label(self, image: Json, labels: Mapping[str, str]) -> None:
        from alibabacloud_aiworkspace20210204.models import AddImageLabelsRequest

        has = {label["Key"]: label.get("Value") for label in image.get("Labels") or []}
        if lacking := {key: value for key, value in labels.items() if has.get(key) != value}:
            request = AddImageLabelsRequest().from_map({"Labels": _labels(lacking)})
            self.ask("AddImageLabels", lambda: self.client.add_image_labels(image["ImageId"], request))


def _labels(labels: Mapping[str, str]) -> list[Json]:
    return [{"Key": key, "Value": value} for key, value in labels.items()]
