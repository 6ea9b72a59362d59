"""A service is made once, as it was asked for, or not at all: whatever EAS answers to a name, a group or a role."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiConflictError,
    PaiNotFoundError,
    PaiPermissionError,
    PaiUnsupportedError,
)
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.eas.creation import doubts
from airflow_provider_pai.hooks.eas.service_config import with_value
from airflow_provider_pai.labels import Key
from tests.clock import VirtualClock
from tests.conftest import airflow_connection
from tests.service import config

pytestmark = pytest.mark.usefixtures("connection")

CODES = ["409 ResourceAlreadyExist", "400 InvalidParameter.ServiceName", "403 Forbidden.PrivilegeCheckFailed"]
MINE = {Key.TASK: "a" * 16, Key.CYCLE: "1", Key.DAG_ID: "nightly", Key.TASK_ID: "deploy"}


@pytest.fixture
def eas(group):
    group.eas.clock = VirtualClock().clock
    return group.eas


@pytest.mark.parametrize("code", CODES)
def test_a_name_that_is_ours_is_gone_on_with_whatever_the_code(eas, group, world, code):
    world(eas_duplicate_code=code)
    made = config(group)
    assert eas.create(made, MINE) == eas.create(made, {**MINE, Key.CYCLE: "2"})


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("labels", [{**MINE, Key.TASK: "b" * 16}, {}, None])
def test_a_name_that_is_another_s_is_a_conflict_that_names_the_holder(eas, group, world, code, labels):
    world(eas_duplicate_code=code)
    made = config(group)
    eas.create(made, MINE)
    with pytest.raises(PaiConflictError, match=r"the name \w+_one is taken by .* made by DAG nightly, task deploy"):
        eas.create(made, labels)


def test_a_service_made_by_hand_is_told_by_its_user(eas, group):
    made = config(group)
    eas.create(made)
    with pytest.raises(PaiConflictError, match="made by user 1000000000000001"):
        eas.create(made, MINE)


def test_a_name_of_another_user_that_may_not_be_seen(eas, group, pai):
    pai.account.faults.add(match="api CreateService", status=403, code="Forbidden.PrivilegeCheckFailed", times=1)
    with pytest.raises(PaiConflictError, match=rf"{group.name}_one belongs to another user of the account"):
        eas.create(config(group), MINE)


def test_a_missing_permission_names_what_the_first_use_of_eas_needs(eas, group, pai):
    pai.account.faults.add(match="api CreateService", status=403, code="NoPermission", times=1)
    with pytest.raises(PaiPermissionError, match="AliyunServiceRoleForPaiEas"):
        eas.create(config(group), MINE)


def test_what_else_eas_refuses_is_told_as_it_is(eas, group):
    with pytest.raises(PaiApiError, match="replicas is not a parameter"):
        eas.create({**config(group), "replicas": 1}, MINE)


def grouped(group, key="metadata.group"):
    return with_value(config(group), key, group.name)


@pytest.mark.parametrize(
    ("switch", "key"), [("metadata.group", "metadata.group"), ("metadata.service_group", "metadata.service_group")]
)
def test_the_key_of_the_group_can_be_set(group, world, pai, monkeypatch, switch, key):
    world(eas_group_key=switch)
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai, eas_group_key=key)))
    eas = EasHook()
    assert eas.describe(eas.create(grouped(group, key), MINE))["ServiceGroup"] == group.name


@pytest.mark.parametrize("switch", ["metadata.service_group", "ignored"])
def test_a_service_that_eas_put_outside_the_group_is_taken_away_again(eas, group, world, switch):
    world(eas_group_key=switch)
    with pytest.raises(PaiUnsupportedError, match=r"eas_group_key: 'metadata.group' .* outside the group .*_key"):
        eas.create(grouped(group), MINE)
    eas.wait(f"{group.name}_one", poll_interval=0.02, until=lambda one: one.status == "Deleted")
    assert list(eas.list_services(filter=group.name)) == []


def test_what_another_has_made_is_not_taken_away(eas, group, world):
    eas.create(config(group), {**MINE, Key.TASK: "b" * 16})
    world(eas_group_key="ignored")
    with pytest.raises(PaiConflictError):
        eas.create(grouped(group), MINE)
    assert eas.get(f"{group.name}_one").status not in ("Deleting", "Deleted")


def test_a_service_that_is_not_shown_yet_is_left_alone(eas, group, monkeypatch):
    monkeypatch.setattr(eas, "describe", lambda name: (_ for _ in ()).throw(PaiNotFoundError("eas", "D", "no")))
    name = eas.create(grouped(group), MINE)
    monkeypatch.undo()
    assert eas.describe(name)["ServiceGroup"] == group.name


@pytest.mark.parametrize("role", [True, False])
def test_a_role_is_read_back(eas, group, world, role):
    asked = with_value(config(group), "options", {"enable_ram_role": role, "priority": "9"})
    name = eas.create(asked, MINE)
    assert json.loads(eas.describe(name)["ServiceConfig"])["options"] == asked["options"]
    world(eas_ram_role="ignored")
    other = with_value(asked, "metadata.name", f"{group.name}_two")
    if not role:
        assert eas.create(other, MINE)
        return
    with pytest.raises(PaiUnsupportedError, match=r"enable_ram_role: True .* EAS gave service \w+_two no role"):
        eas.create(other, MINE)
    assert eas.get(f"{group.name}_two").status in ("Deleting", "Deleted")
    with pytest.raises(PaiUnsupportedError, match="enable_ram_role"):
        eas.update(name, asked, replace=True)


def test_a_container_that_leaves_all_to_its_image(eas, group, world, capsys):
    made = config(group)
    container = {key: value for key, value in made["containers"][0].items() if key not in ("script", "startup_check")}
    made["containers"] = [container]
    name = eas.create(made, MINE)
    assert "a container without script and command, which EAS may want" in capsys.readouterr().out
    eas.wait(name, poll_interval=0.02, until=lambda one: one.status == "Running")
    world(eas_image_only="refused")
    with pytest.raises(PaiApiError, match=r"one of command and script is required.*; the JSON has a container without"):
        eas.create(with_value(made, "metadata.name", f"{group.name}_two"), MINE)


@pytest.mark.parametrize(
    ("cloud", "metadata", "count"),
    [
        ({"computing": {"instances": [{"type": "ecs.c7.large"}]}}, {}, 0),
        ({"computing": {"instance_type": "ecs.c7.large"}}, {}, 0),
        ({}, {"resource": "eas-r-1"}, 0),
        ({}, {"quota_id": "quota1"}, 0),
        ({}, {"cpu": 1, "memory": 1000}, 1),
    ],
)
def test_machines_of_the_public_resource_group_that_are_not_named_are_doubted(cloud, metadata, count):
    given = {"cloud": cloud, "metadata": metadata, "containers": [{"script": "serve"}]}
    assert len(list(doubts(given))) == count
