"""Images through the real SDK."""

from __future__ import annotations

import uuid

import pytest
from alibabacloud_aiworkspace20210204 import models
from alibabacloud_tea_openapi.exceptions import ClientException

from tests.emulator.pai_sdk import client


@pytest.fixture
def workspace(pai):
    return client(pai, "aiworkspace")


def image(name: str | None = None, **fields):
    label = models.AddImageRequestLabels(key="system.supported.dsw", value="true")
    own = {"name": name or f"i-{uuid.uuid4().hex[:8]}", "image_uri": "registry.example.com/team/kernel:1"}
    return models.AddImageRequest(**{**own, "labels": [label], **fields})


def listed(workspace, **query):
    return workspace.list_images(models.ListImagesRequest(**query)).body


def test_an_image_is_added_found_labelled_and_removed(workspace):
    request = image(image_id=f"image-{uuid.uuid4().hex[:18]}")
    added = workspace.add_image(request).body.image_id
    assert added == request.image_id
    bare, whole = (workspace.get_image(added, models.GetImageRequest(verbose=each)).body for each in (False, True))
    assert (bare.labels, whole.image_uri, whole.accessibility) == ([], request.image_uri, "PUBLIC")
    label = models.AddImageLabelsRequestLabels(key="system.framework", value="PyTorch 2.6.0")
    workspace.add_image_labels(added, models.AddImageLabelsRequest(labels=[label]))
    labels = "system.framework=PyTorch 2.6.0,system.supported.dsw=true"
    found = listed(workspace, name=request.name.upper(), labels=labels, verbose=True).images
    assert [each.image_id for each in found] == [added]
    workspace.remove_image(added, models.RemoveImageRequest())
    with pytest.raises(ClientException) as refusal:
        workspace.get_image(added, models.GetImageRequest())
    assert refusal.value.status_code == 404


def test_official_images_are_told_by_their_label_and_come_by_age_in_pages(workspace):
    official = {"labels": "system.official=true", "sort_by": "GmtCreateTime", "verbose": True}
    pages = [listed(workspace, **official, order="DESC", page_size=4, page_number=number) for number in (1, 2)]
    created = [each.gmt_create_time for part in pages for each in part.images]
    assert created == sorted(created, reverse=True)
    assert len(created) == pages[0].total_count > 4
    chips = {label.value for part in pages for each in part.images for label in each.labels if "chip" in label.key}
    assert chips == {"CPU", "GPU"}
    added = workspace.add_image(image()).body.image_id
    assert added not in {each.image_id for each in listed(workspace, **official).images}


def test_a_name_is_taken_once_or_again_and_an_id_once(workspace, world):
    first = image(image_id=f"image-{uuid.uuid4().hex[:18]}")
    workspace.add_image(first)
    with pytest.raises(ClientException, match="exists"):
        workspace.add_image(image(first.name))
    world(image_names="again")
    workspace.add_image(image(first.name))
    with pytest.raises(ClientException, match="exists"):
        workspace.add_image(first)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Upper"}, "Name must have 1 to 50 lowercase letters"),
        ({"name": "a" * 51}, "Name must have"),
        ({"image_uri": ""}, "ImageUri is required"),
        ({"image_id": "image-1"}, "ImageId must be image- and 18"),
        ({"workspace_id": "1"}, "WorkspaceId '1' does not exist"),
        ({"labels": [models.AddImageRequestLabels(key="mine", value="1")]}, "Labels: 'mine' is not one of"),
    ],
)
def test_refuses_bad_images(workspace, fields, message):
    with pytest.raises(ClientException, match=message):
        workspace.add_image(image(**fields))


def test_an_official_image_is_nobodys_to_remove(workspace):
    official = listed(workspace, labels="system.official=true").images[0].image_id
    with pytest.raises(ClientException, match="none of the account's own"):
        workspace.remove_image(official, models.RemoveImageRequest())
