"""The trigger that waits for a service: what survives its triggerer, and what a kill undoes."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from airflow_provider_pai.clock import SYSTEM_CLOCK
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.eas.goals import Undo, Until
from airflow_provider_pai.triggers.eas import EasServiceTrigger
from tests.service import config
from tests.task import fire

pytestmark = pytest.mark.usefixtures("connection")

OWNER = {"airflow_task": "t", "airflow_cycle": "1"}
TASK = {"dag_id": "dag", "run_id": "run", "task_id": "task", "map_index": -1}


def trigger(name, **changes):
    given = {
        "hook_arguments": {"pai_conn_id": "pai_default"},
        "poll_interval": 0.02,
        "service": name,
        "task": TASK,
        "goal": Until(state="ready").to_dict(),
        "undo": Undo(version=0, owner=OWNER).to_dict(),
        **changes,
    }
    return EasServiceTrigger(**given)


def test_it_waits_for_every_instance(group):
    name = group.eas.create(config(group, instances=2))
    event = fire(trigger(name))
    assert (event["job_id"], event["job"]["facts"]["running"]) == (name, 2)
    assert fire(trigger(name, goal=Until(state="ready", instances=2).to_dict()))["job"]["status"] == "Running"


def test_server_errors_never_end_the_wait(group, pai):
    name = group.eas.create(config(group))
    pai.account.faults.add(match="api DescribeService ", status=503, code="ServiceUnavailable", probability=0.5)
    assert fire(trigger(name))["job"]["status"] == "Running"


@pytest.mark.parametrize("owner", [OWNER, {**OWNER, "airflow_cycle": "2"}])
@pytest.mark.parametrize("deferred", [True, False])
def test_a_kill_undoes_only_what_is_the_task_s(group, monkeypatch, deferred, owner):
    async def is_deferred(*_args):
        return deferred

    monkeypatch.setattr("airflow_provider_pai.triggers.base.is_still_deferred", is_deferred)
    name = group.eas.create(config(group, script="sleep 60"), owner)
    asyncio.run(trigger(name).on_kill())
    undone = not deferred and owner == OWNER
    assert (group.eas.get(name).status in ("Deleting", "Deleted")) == undone


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_the_deadline_is_the_worker_s_whatever_its_clock_and_the_triggerer_s_show(group, monkeypatch, skew):
    name = group.eas.create(config(group))
    monkeypatch.setattr(PaiHook, "clock", SYSTEM_CLOCK._replace(now=lambda: time.time() + skew))
    in_a_minute = (PaiHook.clock.utc() + timedelta(minutes=1)).isoformat()
    waits = trigger(name, deadline=group.eas.in_service_time(in_a_minute))
    monkeypatch.setattr(PaiHook, "clock", SYSTEM_CLOCK._replace(now=lambda: time.time() - skew))
    assert fire(waits)["job"]["status"] == "Running"


def test_the_deadline_undoes_and_tells_the_last_status(group):
    name = group.eas.create(config(group, script="sleep 60"), OWNER)
    event = fire(trigger(name, deadline="2020-01-01T00:00:00+00:00"))
    assert event["timed_out"] is True
    assert event["status"] in ("Creating", "Waiting")
    assert group.eas.get(name).status in ("Deleting", "Deleted")
    assert fire(trigger(name, undo=None, deadline="2020-01-01T00:00:00+00:00"))["timed_out"] is True
