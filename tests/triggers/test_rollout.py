"""A rollout in the triggerer: killed, moved, fenced off, throttled."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
import time
from dataclasses import replace

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_pai.canary.group import UNDER_WAY
from airflow_provider_pai.exceptions import RolloutRolledBackError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.identity import TaskName
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator
from airflow_provider_pai.rollouts.lease import Holder, Lease
from airflow_provider_pai.rollouts.rollout import RolloutDriver
from airflow_provider_pai.rollouts.spec import RolloutSpec
from airflow_provider_pai.triggers import base as base_module
from airflow_provider_pai.triggers.rollout import CanaryTrigger
from airflow_provider_pai.uri import OssUri
from tests.group import PLAN, People, ServiceGroup
from tests.task import Task, fire

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def group(bucket, connection):
    group = ServiceGroup(bucket.bucket_name)
    Task(lambda: EasCanaryDeployOperator(**group.arguments(group.model(20))), run_id="first").run()
    yield group
    group.clean_up()


def deferred(group, model, **changes) -> CanaryTrigger:
    """Return the trigger that a deployment hands over to."""
    operator = EasCanaryDeployOperator(**group.arguments(model, deferrable=True, **changes))
    task = Task(lambda: operator, run_id="second", try_number=1)
    with pytest.raises(TaskDeferred) as handed_over:
        operator.execute(task.context())
    return handed_over.value.trigger


def until_step(group, name, seconds=20):
    end = time.monotonic() + seconds
    while group.labels(name).get("airflow_phase") != "step":
        assert time.monotonic() < end, group.labels(name)
        time.sleep(0.05)


async def cancelled_at_step(group, trigger):
    """Run a trigger until its candidate has traffic, then cancel it, as a triggerer does."""
    running = asyncio.create_task(anext(trigger.run()))
    await asyncio.to_thread(until_step, group, trigger.rollout["goal"]["service"])
    await asyncio.sleep(0.5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_survives_the_way_through_the_database(group):
    trigger = deferred(group, group.model(21))
    path, arguments = trigger.serialize()
    assert path == "airflow_provider_pai.triggers.rollout.CanaryTrigger"
    text = json.dumps(arguments)
    again = CanaryTrigger(**json.loads(text))
    assert again.serialize() == trigger.serialize()
    spec = RolloutSpec.from_dict(arguments["rollout"])
    assert RolloutSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert group.eas.group_endpoint(group.name).token not in text
    assert group.eas.connection.access_key_secret not in text


async def test_a_task_that_was_ended_takes_its_candidate_along(group, monkeypatch):
    trigger = deferred(group, group.model(21))
    await cancelled_at_step(group, trigger)
    await deferred_state(monkeypatch, False)
    await trigger.on_kill()
    candidate = trigger.rollout["goal"]["service"]
    assert group.state()[candidate][1:] == (0, False)
    labels = group.labels(candidate)
    assert (labels["airflow_phase"], labels["airflow_note"]) == ("rolled_back", "the task was ended by hand")
    stable = next(name for name in group.state() if name != candidate)
    assert group.state()[stable][1:] == (100, True)


async def test_a_trigger_that_only_moves_leaves_everything(group, monkeypatch):
    trigger = deferred(group, group.model(21))
    await cancelled_at_step(group, trigger)
    await deferred_state(monkeypatch, True)
    before = group.state()
    await trigger.on_kill()
    assert group.state() == before


async def deferred_state(monkeypatch, answer):
    async def is_still_deferred(_task, _trigger_id):
        return answer

    monkeypatch.setattr(base_module, "is_still_deferred", is_still_deferred)


def test_the_next_triggerer_goes_on(group):
    trigger = deferred(group, group.model(21))
    with People(group) as people:
        asyncio.run(cancelled_at_step(group, trigger))
        event = fire(trigger)
    assert event["end"]["outcome"] == "promoted"
    assert (people.lost, {status for _, status in people.counts}) == ([], {200})


def test_whoever_waits_is_told_the_holder(group, caplog):
    caplog.set_level(logging.INFO)
    trigger = deferred(group, group.model(21))
    lease_uri = OssUri.parse(trigger.rollout["lease_uri"])
    assert str(lease_uri) == f"oss://{group.bucket}/.pai/rollouts/{group.name}/"
    other = Lease(group.oss, lease_uri, Holder(key="other", name=TaskName("other_dag", "r9", "deploy", -1)))
    spec = RolloutSpec.from_dict(trigger.rollout)
    patient = RolloutDriver(replace(spec, holder=replace(spec.holder, key="patient")), EasHook(), logging.getLogger())
    driver = RolloutDriver(spec, EasHook(), logging.getLogger("rollout"))
    while not driver.tick().pause:
        pass
    assert patient.tick().pause == PLAN["interval"]
    assert "waiting: the rollout of dag.task of run second" in caplog.text
    assert other.take() is not None


@pytest.mark.parametrize(("choice", "outcome"), [("fail", "stopped"), ("skip", "skipped")])
def test_whoever_would_not_wait_ends_before_anything_is_made(group, choice, outcome):
    spec = RolloutSpec.from_dict(deferred(group, group.model(21)).rollout)
    first = RolloutDriver(spec, EasHook(), logging.getLogger("rollout"))
    while not first.tick().pause:
        pass
    spec = replace(
        spec,
        plan=replace(spec.plan, on_conflict=choice),
        goal=replace(spec.goal, service=f"{group.name}_another"),
        holder=replace(spec.holder, key="another"),
    )
    end = RolloutDriver(spec, EasHook(), logging.getLogger("rollout")).tick().end
    assert (end["outcome"], "dag.task of run second has the lease" in end["reason"]) == (outcome, True)
    assert spec.goal.service not in group.state()


def test_a_rollout_that_is_killed_gives_the_group_back(group):
    spec = RolloutSpec.from_dict(deferred(group, group.model(21)).rollout)
    driver = RolloutDriver(spec, EasHook(), logging.getLogger("rollout"))
    while not driver.tick().pause:
        pass
    driver.kill("ended by hand", 4)
    assert group.state()[spec.goal.service][1:] == (0, False)
    other = Lease(
        group.oss, OssUri.parse(spec.lease_uri), Holder(key="other", name=TaskName("dag", "other", "task", -1))
    )
    assert other.take() is None


def test_a_process_that_lost_its_lease_changes_nothing(group, monkeypatch):
    spec = RolloutSpec.from_dict(deferred(group, group.model(21)).rollout)
    zombie = RolloutDriver(spec, EasHook(), logging.getLogger())
    zombie.tick()
    RolloutDriver(spec, EasHook(), logging.getLogger()).tick()
    before = group.traffic()
    calls = []
    monkeypatch.setattr(RolloutDriver, "_act", lambda *args: calls.append(args))
    assert zombie.tick().pause == PLAN["interval"]
    assert (calls, group.traffic()) == ([], before)


def test_throttling_and_lost_answers_do_not_fail_a_rollout(group, pai):
    trigger = deferred(group, group.model(21))
    pai.account.faults.add(match="^api ", probability=0.1, status=503)
    pai.account.faults.add(match="^api (Create|Release|Update)", probability=0.2, drop="answer")
    with People(group) as people:
        event = fire(trigger)
    assert event["end"]["outcome"] == "promoted"
    assert (people.lost, {status for _, status in people.counts}) == ([], {200})


def test_an_error_that_stays_reaches_the_worker(group, pai):
    trigger = deferred(group, group.model(21))
    pai.account.faults.add(match="^api ReleaseService", status=403, code="Forbidden.RAM")
    with People(group):
        event = fire(trigger)
    assert "Forbidden.RAM" in event["error"]


class DiedError(BaseException):
    """Ends a process as SIGKILL does."""


def mortal(dice, monkeypatch):
    """Let each change of EAS be the last one that this process makes, now before it and now after."""

    def wrap(name):
        real = getattr(EasHook, name)

        def call(self, *args, **kwargs):
            if dice.random() < 0.15:
                raise DiedError
            result = real(self, *args, **kwargs)
            if dice.random() < 0.15:
                raise DiedError
            return result

        monkeypatch.setattr(EasHook, name, call)

    for name in ("create", "label", "release", "set_traffic_mode", "stop", "delete"):
        wrap(name)


@pytest.mark.parametrize(("seed", "fail"), [(1, 0.0), (2, 0.5)])
def test_killed_anywhere_resumed_anywhere(group, monkeypatch, seed, fail):
    model, deaths = group.model(21, fail=fail), 0
    task = Task(
        lambda: EasCanaryDeployOperator(**group.arguments(model, deferrable=False)), run_id="second", max_tries=99
    )
    with monkeypatch.context() as patch, People(group) as people:
        mortal(random.Random(seed), patch)
        while True:
            try:
                outcome = task.run()["outcome"]
                break
            except DiedError:
                deaths += 1
            except RolloutRolledBackError:
                outcome = "rolled_back"
                break
    assert deaths > 3
    assert outcome == ("rolled_back" if fail else "promoted")
    members = group.eas.group(group.name).members
    assert len(members) == 2
    assert sum(member.weight for member in members if member.grouping) == 100
    assert not [member for member in members if member.progress.phase in UNDER_WAY]
    assert people.lost == []
    assert {version for version, status in people.counts if status != 200} <= {model["version"]}


def test_two_rollouts_of_one_group_take_turns(group):
    ends = {}

    def run(day):
        model = group.model(day)
        make = lambda: EasCanaryDeployOperator(**group.arguments(model, deferrable=False))  # noqa: E731
        ends[day] = Task(make, run_id=f"day {day}").run()

    earlier = threading.Thread(target=run, args=(21,))
    with People(group) as people:
        earlier.start()
        time.sleep(1.5)
        run(22)
        earlier.join()
    assert [ends[day]["outcome"] for day in (21, 22)] == ["promoted", "promoted"]
    assert ends[22]["previous"] == ends[21]["service"]
    assert people.lost == []
