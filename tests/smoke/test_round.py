"""Smoke round on the emulator: it reads each world as it is, and leaves nothing, whatever ends it."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import timedelta

import pytest

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.emulator.world import World
from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.smoke import dlc, eas, oss
from airflow_provider_pai.smoke.probes import PROBES
from airflow_provider_pai.smoke.round import Choice, Round, ServiceProbe, clear, run
from airflow_provider_pai.uri import OssUri
from tests.conftest import airflow_connection

# What no account lacks, has or does on purpose: a permission, a metric, a bucket with its own key, a broken server,
# images, a job too large for all nodes.
NOT_SEEN = {"cms_refusal", "dlc_too_large", "eas_exit_reason", "image_names", "oss_copy_etag", "oss_kms_append"}
NOT_SEEN |= {"ram_refusal", "registry"}
LAST = {each.name: each.metadata["allowed"][-1] for each in fields(World)}
SECOND = {each.name: each.metadata["allowed"][1] for each in fields(World)}


@pytest.fixture
def account(request, tmp_path, monkeypatch):
    """An emulator of its own, for the worlds that are not everybody's."""
    with Emulator(tmp_path, dwell=0.02, grace=0.2, minute=0.5, world=getattr(request, "param", {})) as pai:
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai)))
        OssHook().create_bucket("smoke")
        yield pai


def make_round():
    choice = Choice(
        home=OssUri.parse("oss://smoke/x"),
        image="registry.example.com/python:3.11",
        pause=0.05,
        patience=timedelta(seconds=30),
    )
    said = []
    return Round(OssHook(), choice, said.append), said


def what_is_left():
    return [
        *(job["JobId"] for job in DlcHook().list_jobs()),
        *(instance["InstanceId"] for instance in DswHook().list_instances()),
        *(service["ServiceName"] for service in EasHook().list_services()),
        *(str(found.uri) for found in OssHook().list_objects("oss://smoke/")),
    ]


@pytest.mark.parametrize("account", [{}, SECOND, LAST], ids=["likeliest", "second", "last"], indirect=True)
def test_a_world_is_told_as_it_is(account):
    one, _ = make_round()
    run(one, PROBES)
    assert (one.failed, one.left) == ([], [])
    expected = account.account.world.to_dict()
    if expected["eas_group_key"] == "ignored":  # then nobody can see what members do
        for name in ("eas_member_traffic", "eas_weight_zero", "eas_weight_standalone"):
            del expected[name]
    assert one.facts.facts == {name: expected[name] for name in expected.keys() - NOT_SEEN}
    assert what_is_left() == []


def broken(one):
    raise PaiError("no such service in this account")


def test_what_breaks_off_is_told_and_the_rest_goes_on(account):
    one, said = make_round()
    objects = ServiceProbe("OSS", "", oss.probe_oss, oss.leftover_objects)
    run(one, [ServiceProbe("EAS", "", broken, lambda _: []), objects])
    assert one.failed == ["EAS: no such service in this account"]
    assert "oss_forbid_overwrite" in one.facts.seen
    assert said == ["EAS …", "EAS broke off: no such service in this account", "OSS …"]


EAS_FACTS = (
    "eas_group_key",
    "eas_scaling",
    "eas_merge",
    "eas_versions",
    "eas_duplicate_code",
    "eas_ram_role",
    "eas_image_only",
)
OTHERS = {name: field.metadata["allowed"][1] for name, field in World.__dataclass_fields__.items()}


@pytest.mark.parametrize("account", [{}, {name: OTHERS[name] for name in EAS_FACTS}], indirect=True)
def test_what_eas_makes_of_a_service_json_is_read_as_it_is(account, monkeypatch):
    monkeypatch.setattr(eas, "_REQUESTS", 10)
    one, _ = make_round()
    eas.probe_eas(one)
    is_so = account.account.world.to_dict()
    assert {name: one.facts.facts.get(name) for name in EAS_FACTS} == {name: is_so[name] for name in EAS_FACTS}
    assert what_is_left() == []


def test_an_interrupt_half_way_leaves_nothing(account, monkeypatch):
    one, _ = make_round()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(eas, "_weights", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(one, PROBES)
    assert what_is_left() == []


def test_the_next_round_clears_what_a_killed_one_left(account):
    killed, _ = make_round()
    job_id = DlcHook().submit(dlc._body(killed, "sleep 600"))
    eas._create(EasHook(), eas._config(killed, f"{eas.PREFIX}x_a", None, ""), killed.labels)
    OssHook().put(killed.folder.join("x", "object"), b"1")
    somebodys = DlcHook().submit(dlc._body(killed, "true") | {"Settings": {"Tags": {}}})
    one, said = make_round()
    clear(one, PROBES)
    assert f"taking away DLC job {job_id}" in said
    assert what_is_left() == [somebodys], said


def test_what_can_not_be_taken_away_is_named(account):
    one, said = make_round()

    def take_away():
        raise PaiError("refused")

    with one.made("EAS service x", take_away):
        pass
    assert one.left == ["EAS service x"]
    assert said == ["EAS service x is left: refused"]


def test_what_went_meanwhile_is_not_left(account):
    one, _ = make_round()
    one.clear("DSW instance x", lambda: DswHook().describe("dsw-x"))
    assert one.left == []
