"""Switches of EAS's services: what no document tells of names, groups, roles, merges and versions."""

from __future__ import annotations

import json

import pytest
from alibabacloud_eas20210701 import models

from tests.emulator.serving import Eas, calling, refusal


@pytest.fixture
def eas(pai):
    eas = Eas(pai)
    yield eas
    eas.clean_up()


def versions(eas, name):
    request = models.ListServiceVersionsRequest(page_number=1, page_size=10)
    listed = eas.client.list_service_versions(eas.region, name, request).body.versions
    return [json.loads(version.service_config)["metadata"] for version in listed]


@pytest.mark.parametrize(
    "position", ["409 ResourceAlreadyExist", "400 InvalidParameter.ServiceName", "403 Forbidden.PrivilegeCheckFailed"]
)
def test_the_answer_to_a_name_that_is_taken(eas, world, position):
    world(eas_duplicate_code=position)
    config = eas.config("taken")
    eas.create(config, wait=False)
    status, code = refusal(lambda: eas.create(config))
    assert f"{status} {code}" == position


@pytest.mark.parametrize("position", ["metadata.group", "metadata.service_group", "ignored"])
def test_the_key_that_puts_a_service_into_a_group(eas, world, position):
    world(eas_group_key=position)
    keys = ("group", "service_group")
    names = [eas.create(eas.config(key, **{key: eas.name("g")}), wait=False) for key in keys]
    groups = [eas.describe(name).service_group for name in names]
    assert groups == [eas.name("g") if position == f"metadata.{key}" else "" for key in keys]


@pytest.mark.parametrize("position", ["taken", "ignored"])
def test_a_role_that_takes_or_does_not(eas, world, position):
    world(eas_ram_role=position)
    options = {"enable_ram_role": True, "priority": "9"}
    name = eas.create({**eas.config("role"), "options": options}, wait=False)
    shown = json.loads(eas.describe(name).service_config)["options"]
    assert shown == (options if position == "taken" else {"priority": "9"})


def test_an_image_that_starts_by_itself_answers_on_its_port(eas, world):
    config = eas.config("image")
    del config["containers"][0]["script"]
    service = eas.wait(eas.create(config))
    with calling(service.internet_endpoint, service.access_token) as call:
        assert call("/").status == 200
    world(eas_image_only="refused")
    assert refusal(lambda: eas.create({**config, "name": eas.name("two"), "metadata": {}})) == (400, "InvalidParameter")


@pytest.mark.parametrize("position", ["in_place", "new_version"])
def test_whether_scaling_makes_a_version(eas, world, position):
    world(eas_scaling=position)
    name = eas.create(eas.config("scaled"))
    eas.update(name, {"metadata": {"instance": 2}})
    service = eas.wait(name)
    made = 1 if position == "in_place" else 2
    assert (service.current_version, service.latest_version, service.running_instance) == (made, made, 2)
    assert versions(eas, name)[0]["instance"] == 2


@pytest.mark.parametrize("position", ["deep", "top"])
def test_how_deep_a_merge_goes(eas, world, position):
    world(eas_merge=position)
    config = eas.config("merged")
    name = eas.create(config, wait=False)
    eas.update(name, {"metadata": {"name": name, "shm_size": 1}}, "merge")
    kept = config["metadata"] if position == "deep" else {"name": name}
    described = json.loads(eas.describe(name).service_config)
    assert described["metadata"] == {**kept, "shm_size": 1}
    assert described["containers"] == config["containers"]


@pytest.mark.parametrize("position", ["newest_first", "oldest_first"])
def test_the_order_of_versions(eas, world, position):
    world(eas_versions=position)
    name = eas.create(eas.config("listed"), wait=False)
    eas.update(name, {"metadata": {"cpu": 2}})
    cores = [metadata["cpu"] for metadata in versions(eas, name)]
    assert cores == ([2, 1] if position == "newest_first" else [1, 2])
