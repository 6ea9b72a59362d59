"""A rollout in the triggerer: killed, moved, fenced off, throttled."""

from __future__ import annotations

import asyncio
import json
import random
import time

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred, redact

from airflow_provider_pai.canary.group import UNDER_WAY
from airflow_provider_pai.exceptions import RolloutRolledBackError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator
from airflow_provider_pai.rollouts.spec import RolloutSpec
from airflow_provider_pai.triggers import base as base_module
from airflow_provider_pai.triggers.rollout import CanaryTrigger
from tests.group import People, ServiceGroup
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


async def test_the_secrets_of_the_service_are_masked_where_it_runs(group):
    trigger = deferred(group, group.model(21))
    trigger.rollout["config"]["token"] = "a-token-that-no-worker-masked"
    await cancelled_at_step(group, trigger)
    assert redact("401: a-token-that-no-worker-masked") == "401: ***"


async def test_a_trigger_that_moves_leaves_everything_and_one_that_is_ended_takes_its_candidate_along(
    group, monkeypatch
):
    trigger = deferred(group, group.model(21))
    await cancelled_at_step(group, trigger)
    before, candidate = group.state(), trigger.rollout["goal"]["service"]
    await killed(trigger, monkeypatch, still_deferred=True)
    assert group.state() == before
    await killed(trigger, monkeypatch, still_deferred=False)
    assert group.state()[candidate][1:] == (0, False)
    labels = group.labels(candidate)
    assert (labels["airflow_phase"], labels["airflow_note"]) == ("rolled_back", "the task was ended by hand")
    stable = next(name for name in group.state() if name != candidate)
    assert group.state()[stable][1:] == (100, True)


async def killed(trigger, monkeypatch, *, still_deferred):
    async def is_still_deferred(_task, _trigger_id):
        return still_deferred

    monkeypatch.setattr(base_module, "is_still_deferred", is_still_deferred)
    await trigger.on_kill()


def test_an_error_that_stays_reaches_the_worker(group, pai):
    trigger = deferred(group, group.model(21))
    pai.account.faults.add(match="^api ReleaseService", status=403, code="Forbidden.RAM")
    with People(group):
        event = fire(trigger)
    assert "Forbidden.RAM" in event["error"]


def test_a_metrics_source_that_never_answers_ends_the_rollout_with_its_words(group):
    trigger = deferred(group, group.model(21))
    trigger.rollout["metrics"] = {"kind": "sql", "conn_id": "nowhere", "sql": "select 1 as requests"}
    end = fire(trigger)["end"]
    assert (end["outcome"], "nowhere" in end["reason"]) == ("rolled_back", True), end


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


def test_killed_anywhere_resumed_anywhere(group, monkeypatch):
    """One story with real traffic; in virtual time there are a hundred (tests/canary/test_resume.py)."""
    model, deaths = group.model(21, fail=0.5), 0
    task = Task(
        lambda: EasCanaryDeployOperator(**group.arguments(model, deferrable=False)), run_id="second", max_tries=99
    )
    with monkeypatch.context() as patch, People(group) as people:
        mortal(random.Random(2), patch)
        while True:
            try:
                task.run()
            except DiedError:
                deaths += 1
            except RolloutRolledBackError:
                break
    assert deaths > 3
    members = group.eas.group(group.name).members
    assert len(members) == 2
    assert sum(member.weight for member in members if member.grouping) == 100
    assert not [member for member in members if member.progress.phase in UNDER_WAY]
    assert people.lost == []
    assert {version for version, status in people.counts if status != 200} <= {model["version"]}


def test_a_worker_goes_on_where_a_triggerer_of_an_older_version_can_t_make_the_trigger(group):
    second = group.arguments(group.model(21), deferrable=True)
    task = Task(lambda: EasCanaryDeployOperator(**second), run_id="second", try_number=1)
    with pytest.raises(TaskDeferred):
        task.make().execute(task.context())
    with People(group):
        end = task.make().resume_execution("__fail__", {"error": "Trigger failure"}, task.context())
    assert (end["outcome"], len(group.eas.group(group.name).members)) == ("promoted", 2)
