"""Code sources and workspaces through the real SDK."""

from __future__ import annotations

import pytest
from alibabacloud_aiworkspace20210204 import models
from alibabacloud_tea_openapi.exceptions import ClientException

from tests.emulator.pai_sdk import client


@pytest.fixture
def workspace(pai):
    return client(pai, "aiworkspace")


def source(pai, **fields):
    return models.CreateCodeSourceRequest(
        **{
            "display_name": "training-code",
            "code_repo": "https://example.com/team/repo.git",
            "mount_path": "/root/code",
            "workspace_id": pai.endpoints.workspace_id,
            **fields,
        }
    )


def test_a_code_source_is_kept_found_and_deleted(pai, workspace):
    created = workspace.create_code_source(source(pai, display_name="Nightly-Code", code_branch="main")).body
    kept = workspace.get_code_source(created.code_source_id, models.GetCodeSourceRequest()).body
    assert (kept.code_repo, kept.code_branch, kept.clone_type) == ("https://example.com/team/repo.git", "main", 0)
    query = models.ListCodeSourcesRequest(workspace_id=pai.endpoints.workspace_id, display_name="nightly")
    found = workspace.list_code_sources(query).body
    assert [item.code_source_id for item in found.code_sources] == [created.code_source_id]
    assert found.total_count == 1
    workspace.delete_code_source(created.code_source_id, models.DeleteCodeSourceRequest())
    with pytest.raises(ClientException) as refusal:
        workspace.get_code_source(created.code_source_id, models.GetCodeSourceRequest())
    assert refusal.value.status_code == 404


def test_lists_in_pages(pai, workspace):
    for index in range(3):
        workspace.create_code_source(source(pai, display_name=f"paged-{index}"))
    query = models.ListCodeSourcesRequest(
        display_name="paged",
        page_size=2,
        page_number=2,
        sort_by="DisplayName",
        workspace_id=pai.endpoints.workspace_id,
    )
    page = workspace.list_code_sources(query).body
    assert ([item.display_name for item in page.code_sources], page.total_count) == (["paged-2"], 3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"code_repo": ""}, "CodeRepo is required"),
        ({"mount_path": "../code"}, "MountPath must be"),
        ({"workspace_id": "1"}, "WorkspaceId '1' does not exist"),
        ({"clone_type": 2}, "CloneType must be 0 or 1"),
    ],
)
def test_refuses_bad_code_sources(pai, workspace, fields, message):
    with pytest.raises(ClientException, match=message):
        workspace.create_code_source(source(pai, **fields))


def test_refuses_to_list_code_sources_of_no_workspace(workspace):
    with pytest.raises(ClientException, match="WorkspaceId is required"):
        workspace.list_code_sources(models.ListCodeSourcesRequest())


def test_knows_its_workspace(pai, workspace):
    assert workspace.get_workspace(pai.endpoints.workspace_id, models.GetWorkspaceRequest()).body.status == "ENABLED"
    listed = workspace.list_workspaces(models.ListWorkspacesRequest()).body
    assert [item.workspace_id for item in listed.workspaces] == [pai.endpoints.workspace_id]
    with pytest.raises(ClientException) as refusal:
        workspace.get_workspace("1", models.GetWorkspaceRequest())
    assert refusal.value.status_code == 404
