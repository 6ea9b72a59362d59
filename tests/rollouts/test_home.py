"""Home of a group's state: one place for all who work on it, whoever came first."""

from __future__ import annotations

import json
import logging
import uuid
from dataclasses import replace
from types import SimpleNamespace

import pytest
from oss2.models import BucketVersioningConfig

from airflow_provider_pai.canary.actions import Look
from airflow_provider_pai.exceptions import PaiConfigError, PaiTransientError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.labels import Key
from airflow_provider_pai.rollouts.home import check_usable, home_labels, home_of, kept_home
from airflow_provider_pai.rollouts.rollout_driver import RolloutDriver
from airflow_provider_pai.uri import OssUri
from tests.conftest import airflow_connection
from tests.fake import PLAN, FakeEas, goal, spec_of

FIRST, SECOND, THIRD = "20261121T1800Z-aaaaaaaa", "20261122T1800Z-bbbbbbbb", "20261123T1800Z-cccccccc"
HERE, THERE, CHOSEN = (OssUri(bucket, ".pai/") for bucket in ("models", "others", "states"))
LOG = logging.getLogger("home")


@pytest.fixture
def eas():
    """A group that serves the first night's model, whose state is in its bucket."""
    eas = FakeEas()
    assert eas.run(goal(FIRST)).outcome == "deployed"
    return eas


def driver_of(eas, version, bucket):
    spec = replace(spec_of(goal(version)), artifact=f"oss://{bucket}/digits/{version}/")
    return RolloutDriver(spec, eas, logging.getLogger("rollout"), lambda: "open", eas.time.clock, eas.lookout)


def labelled(eas, name, value):
    labels = {**eas.members[name].labels, Key.STATE: str(value)}
    eas.members[name] = replace(eas.members[name], labels=labels)


def test_the_first_artifact_s_bucket_is_the_home_for_good(eas):
    driver = driver_of(eas, SECOND, "others")
    assert driver.home == HERE
    while driver.tick().end is None:
        eas.sleep(5)
    assert eas.members[goal(SECOND).service].labels[Key.STATE] == str(HERE)
    assert not [name for name in eas.oss.objects if not name.startswith(str(HERE))]


def test_rollouts_of_artifacts_in_two_buckets_exclude_each_other(eas, caplog):
    caplog.set_level(logging.INFO)
    first, second = driver_of(eas, SECOND, "others"), driver_of(eas, THIRD, "third")
    while goal(SECOND).service not in eas.members:
        first.tick()
    assert second.tick().pause == 5
    assert f"waiting: the rollout of dag.deploy of run {SECOND} has the lease" in caplog.text
    assert goal(THIRD).service not in eas.members


def test_one_that_has_looked_before_the_first_candidate_was_there_goes_over_to_its_home(caplog):
    caplog.set_level(logging.INFO)
    eas = FakeEas()
    first, second = driver_of(eas, FIRST, "models"), driver_of(eas, SECOND, "others")
    assert (first.home, second.home) == (HERE, THERE)
    while goal(FIRST).service not in eas.members:
        first.tick()
    assert second.tick().pause == 5
    assert f"group digits keeps its state in {HERE}, not in {THERE}" in caplog.text
    assert goal(SECOND).service not in eas.members
    assert f"waiting: the rollout of dag.deploy of run {FIRST} has the lease" in caplog.text


def test_one_that_already_has_a_lease_gives_it_back_before_it_makes_anything(monkeypatch):
    eas = FakeEas()
    driver = driver_of(eas, SECOND, "others")
    group, looks = eas.group, []

    def appears(name, *known):
        """The first one's candidate is listed late: after the lease was taken."""
        looks.append(name)
        if len(looks) == 2:
            eas.create({"metadata": {"name": "digits_first"}}, home_labels(HERE))
        return group(name, *known)

    monkeypatch.setattr(eas, "group", appears)
    assert driver.tick().pause == 5
    assert eas.created == ["digits_first"]
    ((_, (content, _)),) = [each for each in eas.oss.objects.items() if each[0].startswith(str(THERE))]
    assert json.loads(content)["released"] is True


@pytest.mark.parametrize("order", [(FIRST, SECOND), (SECOND, FIRST)], ids=["older first", "newer first"])
def test_two_first_rollouts_that_no_list_shows_yet_do_not_both_serve(order):
    """From two buckets, into a new group, without state_uri: each has made its candidate before it sees the other's."""
    eas, ends = FakeEas(), {}
    eas.unlisted |= {goal(version).service for version in order}
    drivers = {
        version: driver_of(eas, version, bucket) for version, bucket in zip(order, ("models", "others"), strict=True)
    }
    for turn in range(1500):
        if turn == 60:
            assert (len(eas.created), eas.serving) == (2, {})
            eas.unlisted.clear()
        for version, driver in drivers.items():
            if version not in ends and (tick := driver.tick()).end is not None:
                ends[version] = tick.end["outcome"]
        eas.sleep(0.5)
        assert len(ends) < 2 or turn > 60
        if len(ends) == 2:
            break
    assert ends == (
        {FIRST: "deployed", SECOND: "promoted"} if order[0] == FIRST else {SECOND: "deployed", FIRST: "skipped"}
    )
    assert eas.serving == {goal(SECOND).service: 1.0}
    assert {name.split(".pai")[0] for name in eas.oss.objects if name.endswith(".jsonl")} <= {"oss://models/"}


def test_what_serves_tells_before_what_does_not(eas):
    labelled(eas, goal(FIRST).service, CHOSEN)
    for action in eas.actions(goal(SECOND), PLAN):
        if isinstance(action, Look):
            break
    labelled(eas, goal(SECOND).service, THERE)
    assert kept_home(eas.group("digits"), LOG) == CHOSEN


@pytest.mark.parametrize("value", ["-", "", "models/.pai", "oss://", "s3://models/x", "oss://MODELS/"])
def test_a_label_that_tells_no_home_is_passed_over(eas, value, caplog):
    labelled(eas, goal(FIRST).service, value)
    assert home_of(eas, eas.group("digits"), OssUri.parse("oss://others/digits/v/")) == THERE
    assert f"{goal(FIRST).service} does not tell where the state of group digits lies" in caplog.text


def test_a_label_comes_before_the_connection_and_that_is_said_in_one_line(eas, caplog):
    eas.connection = SimpleNamespace(state_uri="oss://states/.pai")
    assert home_of(eas, eas.group("digits")) == HERE
    line = f"Group digits keeps its state in {HERE}, as its services say, not in state_uri {CHOSEN}"
    assert caplog.messages == [line]
    labelled(eas, goal(FIRST).service, CHOSEN)
    caplog.clear()
    assert home_of(eas, eas.group("digits")) == CHOSEN
    assert caplog.messages == []


def test_without_a_label_the_connection_comes_before_what_is_mounted(eas, monkeypatch):
    member = eas.members[goal(FIRST).service]
    kept = {key: value for key, value in member.labels.items() if key != Key.STATE}
    eas.members[member.name] = replace(member, labels=kept)
    mounts = [{"oss": {"path": "oss://code/x/"}}, {"oss": {"path": "oss://models.oss-cn-hangzhou.aliyuncs.com/v1/"}}]
    config = json.dumps({"storage": [*mounts, {"nfs": {}}]})
    monkeypatch.setattr(eas, "describe", lambda name: {"ServiceName": name, "ServiceConfig": config})
    assert home_of(eas, eas.group("digits"), OssUri.parse("oss://others/digits/v/")) == HERE
    eas.connection = SimpleNamespace(state_uri="oss://states/.pai")
    assert home_of(eas, eas.group("digits")) == CHOSEN


def test_nothing_tells_of_a_home():
    with pytest.raises(PaiConfigError, match=r"state_uri: None is not allowed; .* no service of group digits mounts"):
        home_of(FakeEas(), FakeEas().group("digits"))


@pytest.fixture
def refusal(pai, connection, bucket, monkeypatch):
    """Why a bucket is no home: the connection's, or else a group's."""

    def ask(name=bucket.bucket_name, *, chosen=True):
        home = OssUri(name, "state/")
        extra = {"state_uri": str(home)} if chosen else {}
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai, **extra)))
        hook = EasHook()
        try:
            check_usable(hook, home, "digits")
        except PaiConfigError as error:
            return f"{error.field}: {error.allowed}"
        return ""

    return ask


def test_a_home_that_can_be_used_is_left_as_it_was(refusal, bucket):
    assert refusal() == refusal(chosen=False) == ""
    assert list(OssHook().list_objects(f"oss://{bucket.bucket_name}/")) == []


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_a_home_that_is_chosen_must_not_keep_versions(refusal, bucket, status):
    bucket.put_bucket_versioning(BucketVersioningConfig("Enabled"))
    bucket.put_bucket_versioning(BucketVersioningConfig(status))
    assert refusal().startswith(f"state_uri: its versioning is {status}: ")
    assert refusal().endswith("name a bucket that never had versioning")
    assert refusal(chosen=False) == ""


def test_a_home_without_a_bucket(refusal):
    assert refusal(f"none-{uuid.uuid4().hex}").startswith("state_uri: name a bucket that exists in region cn-")
    assert refusal(f"none-{uuid.uuid4().hex}", chosen=False).startswith("state of group digits: name a bucket that ")


def test_a_home_in_another_region(pai, refusal):
    name = f"far-{uuid.uuid4().hex[:8]}"
    pai.services.oss.create_bucket(name, region="cn-beijing")
    assert "oss-cn-beijing.aliyuncs.com" in refusal(name)


@pytest.mark.parametrize("call", ["oss GET", "oss POST", "oss DELETE"])
def test_a_home_for_which_a_permission_is_missing(pai, refusal, call):
    pai.account.faults.add(match=f"^{call}", status=403, code="AccessDenied")
    assert refusal().startswith("state_uri: grant oss:ListObjects, ")


def test_whoever_may_not_ask_for_versioning_is_told_of_nothing(pai, refusal):
    pai.account.faults.add(match=r"^oss GET /[^/]+/$", status=403, code="AccessDenied", times=1)
    assert refusal() == ""


def test_no_answer_is_no_fault_of_the_home(pai, refusal, monkeypatch):
    monkeypatch.setattr(EasHook, "retry_seconds", 0)
    pai.account.faults.add(match="^oss GET", status=503, code="ServiceUnavailable")
    with pytest.raises(PaiTransientError):
        refusal()
