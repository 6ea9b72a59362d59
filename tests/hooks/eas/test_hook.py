from __future__ import annotations

import json
import time

import pytest

from airflow_provider_pai.canary.group import Phase, Progress
from airflow_provider_pai.exceptions import PaiApiError, PaiConflictError, PaiNotFoundError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.eas.inference import Asker, GoldenRequest
from airflow_provider_pai.hooks.eas.traffic import Endpoint
from airflow_provider_pai.identity import TaskName
from airflow_provider_pai.labels import Key, Mark, Owner
from tests.group import ServiceGroup, service
from tests.service import create, delete_all

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def group(bucket, connection):
    group = ServiceGroup(bucket.bucket_name)
    yield group
    group.clean_up()


@pytest.fixture
def config(group):
    uri = group.model(21)["uri"]
    body = json.loads(json.dumps(service(f"oss://{group.bucket}/code/")).replace("{model}", "/mnt/model"))
    mount = {"mount_path": "/mnt/model", "oss": {"path": uri, "readOnly": True}}
    return {
        **body,
        "metadata": {**body["metadata"], "name": f"{group.name}_one", "group": group.name, "instance": 1},
        "storage": [*body["storage"], mount],
    }


def wait(group, name, status, seconds=15):
    end = time.monotonic() + seconds
    while group.eas.describe(name)["Status"] != status:
        assert time.monotonic() < end, str({**group.eas.describe(name), "ServiceConfig": ""})
        time.sleep(0.02)


def test_a_service_s_life(group, config):
    eas, name = group.eas, config["metadata"]["name"]
    assert eas.create(config, {"airflow_phase": "prepare"}) == name
    with pytest.raises(PaiConflictError):
        eas.create(config)
    wait(group, name, "Running")
    member = eas.group(group.name).member(name)
    assert (member.ready, member.grouping, member.labels["airflow_phase"]) == (True, False, "prepare")
    asker = Asker(endpoint=eas.endpoint(name), attempts=1, timeout=5, tolerance=0, path="", gateway_timeout=5)
    assert asker.ask(GoldenRequest()).body["answer"] == 42
    eas.start(name)
    eas.stop(name)
    eas.stop(name)
    eas.start(name, poll_interval=0.02)
    wait(group, name, "Running")
    eas.update(name, {"metadata": {"cpu": 2}})
    assert list(eas.versions(name)) == [1, 2]
    for _ in range(2):
        eas.use_version(name, 1)
    with pytest.raises(PaiApiError, match="not 9"):
        eas.use_version(name, 9)
    eas.delete(name)
    eas.delete(name)
    end = time.monotonic() + 15
    while eas.group(group.name).members:
        assert time.monotonic() < end
        time.sleep(0.02)
    with pytest.raises(PaiNotFoundError):
        eas.describe(name)
    eas.delete(name)


def test_traffic_by_weight(group, config):
    eas, name = group.eas, config["metadata"]["name"]
    eas.create(config)
    eas.release(name, weight=30, grouping=True)
    assert not eas.group(group.name).customized
    eas.set_traffic_mode(group.name, "customized")
    seen = eas.group(group.name)
    assert seen.customized
    assert (seen.members[0].weight, seen.members[0].grouping) == (30, True)
    with pytest.raises(PaiApiError, match="TrafficMode"):
        eas.set_traffic_mode(group.name, "sideways")


def test_labels_are_laid_over_one_another(group, config):
    eas, name = group.eas, config["metadata"]["name"]
    eas.create(config, {"a": "1"})
    eas.label(name, {"a": "1", "b": "2"})
    assert group.labels(name) == {"a": "1", "b": "2"}


def test_no_answer_shows_a_token(group, config):
    eas, name = group.eas, config["metadata"]["name"]
    eas.create(config)
    token = eas.endpoint(name).token
    assert token
    eas.update(name, config, replace=True)
    assert eas.endpoint(name).token == token
    listed, group_shown = list(eas.list_services(group_name=group.name)), eas.describe_group(group.name)
    shown = [eas.describe(name), listed, group_shown, eas.versions(name), eas.get(name)]
    assert token not in repr(shown)
    assert eas.group_endpoint(group.name).token not in repr(shown)
    assert repr(Endpoint("http://x", token)) == "Endpoint('http://x')"


def test_a_group_that_is_not_there(group):
    assert EasHook().group("no_such_group").members == ()


def test_console_page(group):
    at = group.eas.connection
    assert group.eas.console_url("digits_1") == (
        f"https://pai.console.aliyun.com/?regionId={at.region}&workspaceId={at.workspace_id}"
        "#/eas/serviceDetail/digits_1/detail"
    )


@pytest.mark.parametrize("eas_versions", ["newest_first", "oldest_first"])
def test_versions_bear_the_numbers_that_eas_has_for_them(group, config, world, eas_versions):
    world(eas_versions=eas_versions)
    eas, name = group.eas, config["metadata"]["name"]
    eas.create(config)
    for number in (2, 3):
        eas.update(name, {"metadata": {"cpu": number}})
    versions = eas.versions(name)
    assert {number: json.loads(one["ServiceConfig"])["metadata"]["cpu"] for number, one in versions.items()} == {
        1: 1,
        2: 2,
        3: 3,
    }


@pytest.mark.parametrize("eas_merge", ["deep", "top"])
def test_a_merge_loses_nothing_however_deep_eas_merges(group, config, world, eas_merge):
    world(eas_merge=eas_merge)
    eas, name = group.eas, config["metadata"]["name"]
    eas.create(config)
    eas.update(name, {"metadata": {"instance": 2, "rpc": {"keepalive": 1}}, "options": {"priority": "9"}})
    eas.update(name, {"metadata": {"rpc": {"io_threads": 2}}})
    described = json.loads(eas.describe(name)["ServiceConfig"])
    rpc = {"keepalive": 1, "io_threads": 2}
    assert described["metadata"] == {**config["metadata"], "instance": 2, "rpc": rpc}
    assert (described["options"], described["containers"]) == ({"priority": "9"}, config["containers"])


def test_the_last_lines_of_all_instances(group, config):
    eas, name = group.eas, config["metadata"]["name"]
    config["containers"][0]["script"] = "for n in $(seq 100); do echo line $n; done; exit 3"
    eas.create(config)
    service = eas.wait(name, poll_interval=0.05, until=lambda one: one.status == "Failed")
    lines = eas.log_tail(service, lines=7).splitlines()
    assert (len(lines), lines[-1].endswith("line 100")) == (7, True)
    assert "line 100" in str(eas.failure(service))


def test_a_service_that_is_gone_is_deleted_to_whoever_waits(group):
    service = group.eas.get(f"{group.name}_none")
    assert (service.status, service.facts) == ("Deleted", {})
    assert group.eas.mirror(f"{group.name}_none") is None
    assert group.eas.autoscaler(f"{group.name}_none") is None
    group.eas.remove_mirror(f"{group.name}_none")
    group.eas.remove_autoscaler(f"{group.name}_none")


def test_a_service_that_goes_while_it_is_deleted_is_no_error(pai, monkeypatch):
    """It was there at the look at its lock, being deleted at the call, and gone at the look at its status."""
    pai.account.faults.add(match="api DeleteService", status=409, code="InvalidService.Status")
    eas = EasHook()
    monkeypatch.setattr(eas, "_refuse_locked", lambda action, name: None)
    eas.delete("gone_meanwhile")


def test_a_service_on_which_others_have_left_no_room_goes_without_what_only_people_read(group, config):
    eas, name = group.eas, config["metadata"]["name"]
    owner = TaskName(dag_id="d", run_id="r", task_id="t", map_index=-1)
    progress = Progress(phase=Phase.STEP, note="n")
    eas.create(config, {**progress.labels(), **owner.labels()})
    eas.label(name, theirs := {f"team_{number}": "x" for number in range(5)})
    standing = eas.get(name).tags
    assert len(standing) == 20
    mark = Mark(owner=Owner(task="t", cycle=1))
    eas.label(name, {**standing, **mark.labels(), "one": "more"})
    now = eas.get(name).tags
    assert standing.keys() - now.keys() == {Key.MAP_INDEX, Key.TASK_ID}
    assert now.keys() - standing.keys() == {Key.MARK, "one"}
    assert now.keys() >= theirs.keys()


def test_a_service_is_made_with_its_own_labels_and_what_there_is_room_for(group, config):
    theirs = {f"team_{number}": "x" for number in range(18)}
    name = group.eas.create({**config, "labels": theirs}, {Key.DEPLOYMENT: "d", Key.TASK: "t", Key.CYCLE: "1"})
    assert group.eas.get(name).tags == {**theirs, Key.TASK: "t", Key.CYCLE: "1"}


def test_a_member_that_no_list_shows_is_found_by_its_name(group, config, pai):
    eas, name = group.eas, config["metadata"]["name"]
    pai.account.change_settings({"list_lag": 60})
    try:
        eas.create(config)
        alone = eas.create({**config, "metadata": {**config["metadata"], "name": f"{name}_alone", "group": None}})
        assert eas.group(group.name).members == ()
        found = eas.group(group.name, name, "", "gone", alone).members
        assert [member.name for member in found] == [name]
    finally:
        pai.account.change_settings({"list_lag": 0})
        eas.delete(alone)


@pytest.mark.parametrize(
    ("spoil", "field"),
    [("unknown_status", "TrafficState"), *(("missing", name) for name in ("TrafficState", "Weight", "ServiceGroup"))],
)
def test_what_an_answer_does_not_tell_takes_no_traffic_from_a_member(group, config, pai, spoil, field):
    name = group.eas.create(config)
    group.eas.release(name, weight=7, grouping=True)
    pai.account.faults.add(match="api DescribeService ", spoil=spoil, fields=field, times=2)
    (member,) = group.eas.group(group.name).members
    assert (member.grouping, member.weight) == (True, 7)


def test_a_traffic_mode_that_an_answer_does_not_tell_is_none_of_the_two(group, config, pai):
    group.eas.create(config)
    assert group.eas.group(group.name).customized is False
    group.eas.set_traffic_mode(group.name, "customized")
    pai.account.faults.add(match="api DescribeGroup ", spoil="missing", fields="TrafficMode", times=1)
    assert [group.eas.group(group.name).customized for _ in range(2)] == [None, True]


def test_a_new_member_gets_no_traffic_of_its_group(group, config, world):
    world(eas_member_traffic="grouping")
    name = group.eas.create(config)
    assert group.traffic() == {name: (0, False)}
    group.eas.release(name, weight=7, grouping=True)
    assert group.eas.isolate(name)
    assert group.eas.isolate(name), "once more is no error"
    assert group.traffic() == {name: (0, False)}


def test_one_that_can_t_be_taken_out_yet_is_told(group, config, world, pai):
    world(eas_member_traffic="grouping")
    pai.account.faults.add(match="api ReleaseService", status=409, code="InvalidService.Status")
    name = group.eas.create(config)
    assert group.eas.isolate(name) is False
    pai.account.faults.clear()
    assert group.eas.isolate(name) is True


def test_a_mirror_or_autoscaler_whose_creation_was_not_answered_is_set(bucket, pai):
    group = ServiceGroup(bucket.bucket_name)
    production, shadow = create(group), create(group, "other")
    pai.account.faults.add(match="api CreateServiceMirror", drop="answer", times=1)
    group.eas.set_mirror(production, [shadow], 5)
    assert group.eas.mirror(production) == ((shadow,), 5)
    pai.account.faults.add(match="api CreateServiceAutoScaler", drop="answer", times=1)
    strategy = {"metricName": "qps", "threshold": 5, "service": production}
    group.eas.set_autoscaler(production, {"min": 1, "max": 2, "scaleStrategies": [strategy]})
    assert group.eas.autoscaler(production)["MaxReplica"] == 2
    delete_all(group)
