import json
import logging

import pytest

from airflow_provider_pai.hooks.eas.goals import Undo, Until
from airflow_provider_pai.labels import Deployment, Owner
from airflow_provider_pai.remote import RemoteJob
from airflow_provider_pai.states import EAS_GONE, Verdict

ACTIVE, SUCCEEDED, FAILED, UNKNOWN = Verdict

MINE, THEIRS = Owner(task="a" * 32, cycle=1), Owner(task="b" * 32, cycle=1)


def service(status="Running", running=1, total=1, tags=(), version=2):
    facts = {"running": running, "total": total, "version": version}
    return RemoteJob("digits", status, tags=dict(tags), facts=facts)


@pytest.mark.parametrize(
    ("until", "seen", "verdict"),
    [
        (Until("ready"), service("Creating", 0), ACTIVE),
        (Until("ready"), service(running=1, total=2), ACTIVE),
        (Until("ready"), service(running=0, total=0), ACTIVE),
        (Until("ready"), service(running=2, total=2), SUCCEEDED),
        (Until("ready", instances=2), service(running=1, total=1), ACTIVE),
        (Until("ready", instances=2), service(running=3, total=3), ACTIVE),
        (Until("ready", instances=2), service(running=2, total=2), SUCCEEDED),
        # A start that was just made may not show yet.
        (Until("ready"), service("Stopped", 0), ACTIVE),
        (Until("ready"), service("Failed", 0), FAILED),
        (Until("ready"), service("Sleeping", 0), UNKNOWN),
        (Until("stopped"), service(), ACTIVE),
        (Until("stopped"), service("Stopped", 0), SUCCEEDED),
        (Until("stopped"), service(EAS_GONE, 0), SUCCEEDED),
        (Until("deleted"), service("Stopped", 0), ACTIVE),
        (Until("deleted"), service(EAS_GONE, 0), SUCCEEDED),
        (Until("deleted"), service("DeleteFailed", 0), FAILED),
    ],
)
def test_what_a_look_means_to_whoever_waits(until, seen, verdict):
    assert until.judge(seen) is verdict
    assert until.is_over(seen) == (verdict in (SUCCEEDED, FAILED))


class Eas:
    """A service and what was done to it."""

    log = logging.getLogger("eas")

    def __init__(self, seen, grouping=False):
        self.seen, self.grouping, self.calls = seen, grouping, []

    def get(self, name):
        return self.seen

    def describe(self, name):
        return {"TrafficState": "grouping" if self.grouping else "standalone"}

    def stop(self, name):
        self.calls.append("stop")

    def delete(self, name):
        self.calls.append("delete")

    def use_version(self, name, version):
        self.calls.append(f"version {version}")

    def label(self, name, labels):
        self.calls.append(f"config {Deployment.of(labels).config!r}")


def undone(version, seen, owner=MINE, **state):
    eas = Eas(seen, **state)
    Undo(version=version, owner=owner.labels()).carry_out(eas, "digits")
    return eas.calls


def deployed(owner=MINE, **fields):
    return {**owner.labels(), **Deployment(**{"config": "hash", "before": 1, "latest": 2, **fields}).labels()}


def test_what_was_made_is_deleted():
    assert undone(0, service("Failed", tags=deployed(before=0))) == ["delete"]


def test_what_was_changed_goes_back_and_forgets_what_was_asked():
    assert undone(1, service(tags=deployed())) == ["version 1", "config ''"]


def test_what_serves_the_version_before_already_is_left():
    assert undone(2, service(tags=deployed())) == []


@pytest.mark.parametrize(("grouping", "calls"), [(False, ["stop"]), (True, [])])
def test_what_was_started_is_stopped_unless_it_takes_the_groups_traffic(grouping, calls):
    assert undone(None, service(tags=MINE.labels()), grouping=grouping) == calls


@pytest.mark.parametrize("version", [0, 1])
def test_what_has_become_ready_stays(version):
    assert undone(version, service(tags=deployed(config_version=2))) == []


@pytest.mark.parametrize("version", [None, 0, 1])
def test_what_is_gone_or_another_tasks_is_not_touched(version):
    assert undone(version, service(EAS_GONE, tags=deployed())) == []
    assert undone(version, service(tags=deployed(THEIRS))) == []


def test_the_labels_of_a_deployment_tell_its_own_task_the_way_back():
    undo = Undo.of(deployed(), MINE)
    assert undo == Undo(version=1, owner=MINE.labels())
    assert Undo(**json.loads(json.dumps(undo.to_dict()))) == undo
    assert Undo.of(deployed(), THEIRS) is None
    assert Undo.of(MINE.labels(), MINE) is None
