from __future__ import annotations

import asyncio
import json
import logging
import threading
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from airflow.triggers.base import BaseTrigger

from airflow_provider_pai.hooks import waiting
from airflow_provider_pai.hooks.dlc import DlcHook, jobs
from airflow_provider_pai.hooks.lines import LONGEST
from airflow_provider_pai.triggers import base
from airflow_provider_pai.triggers.job import PaiJobTrigger
from tests.task import fire

TASK = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}


def submit(command="sleep 60"):
    spec = {"Type": "Worker", "PodCount": 1, "Image": "i", "EcsSpec": "ecs.g6.large"}
    return DlcHook().submit({"DisplayName": "x", "JobType": "PyTorchJob", "UserCommand": command, "JobSpecs": [spec]})


def trigger(job_id, **changes):
    given = {
        "hook_path": "airflow_provider_pai.hooks.dlc.DlcHook",
        "hook_arguments": DlcHook().arguments,
        "job_id": job_id,
        "poll_interval": 0.02,
        "task": TASK,
    }
    return PaiJobTrigger(**{**given, **changes})


def status_after_stop(job_id):
    return DlcHook().wait(job_id, poll_interval=0.02, deadline=datetime.now(UTC) + timedelta(seconds=10)).status


@pytest.fixture(autouse=True)
def _connection(connection):
    pass


def test_arguments_survive_the_database():
    one = trigger("dlc1", deadline="2026-01-01T00:00:00+00:00", cancel_on_kill=False)
    path, arguments = one.serialize()
    assert path == "airflow_provider_pai.triggers.job.PaiJobTrigger"
    assert PaiJobTrigger(**json.loads(json.dumps(arguments))).serialize() == one.serialize()


def test_yields_the_ended_job():
    job_id = submit("echo hi")
    event = fire(trigger(job_id))
    assert (event["job_id"], event["job"]["status"]) == (job_id, "Succeeded")


def test_no_byte_of_a_log_is_touched_on_the_event_loop_and_what_it_gets_is_bounded(monkeypatch):
    touched, copied = set(), []

    class Copied(logging.Handler):
        def emit(self, record):
            copied.append((record.threadName, record.getMessage()))

    def told(owner, name):
        real = getattr(owner, name)

        def method(*given, **options):
            touched.add((name, threading.current_thread().name.partition("_")[0]))
            return real(*given, **options)

        monkeypatch.setattr(owner, name, method)

    told(DlcHook, "pod_logs")
    told(jobs, "advance")
    told(waiting, "readable")
    log = logging.Logger("tests.copied", logging.INFO)
    log.addHandler(Copied())
    monkeypatch.setattr("airflow_provider_pai.hooks.base.PaiHook.log", log, raising=False)
    job_id = submit("head -c 3000000 /dev/zero | tr '\\0' x; echo; seq 10000; exit 1")
    event = fire(trigger(job_id, log_interval=0.01))
    assert touched == {(name, "pai-log") for name in ("pod_logs", "advance", "readable")}
    lines = [line for thread, line in copied if thread.startswith("pai-log")]
    assert [line for thread, line in copied if (thread, line[0]) == ("MainThread", "[")] == []
    assert lines[-1].endswith("] 10000")
    assert any("lines are left out here" in line for line in lines)
    assert len(lines) < 2 * waiting.MAX_LINES
    assert max(map(len, lines)) < LONGEST + 200
    assert len(json.dumps(event)) < 2000


def test_transient_errors_are_waited_out(pai):
    job_id = submit("sleep 0.2")
    pai.account.faults.add(match="api ListJobs", status=503, times=3)
    assert fire(trigger(job_id))["job"]["status"] == "Succeeded"


def test_what_will_not_pass_is_handed_to_the_worker(pai, monkeypatch):
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    pai.account.faults.add(match="api (ListJobs|GetJob)", status=403, code="Forbidden.RAM")
    event = fire(trigger("dlc1"))
    assert event["job_id"] == "dlc1"
    assert "Forbidden.RAM" in event["error"]


def test_a_job_that_is_gone_is_an_error():
    assert "there is no dlc-none" in fire(trigger("dlc-none"))["error"]


def test_the_deadline_stops_the_job():
    job_id = submit()
    event = fire(trigger(job_id, deadline=datetime.now(UTC).isoformat()))
    assert event == {"job_id": job_id, "timed_out": True}
    assert status_after_stop(job_id) == "Stopped"


def test_a_job_that_has_ended_beats_the_deadline():
    job_id = submit("true")
    DlcHook().wait(job_id, poll_interval=0.02)
    assert "job" in fire(trigger(job_id, deadline="2020-01-01T00:00:00+00:00"))


@pytest.mark.parametrize(
    ("deferred", "cancel", "stops"), [(False, True, True), (True, True, False), (False, False, False)]
)
def test_on_kill_stops_only_what_no_longer_waits(monkeypatch, deferred, cancel, stops):
    async def still_deferred(task, _trigger_id):
        assert task == TASK
        return deferred

    monkeypatch.setattr(base, "is_still_deferred", still_deferred)
    job_id = submit("sleep 0.4")
    asyncio.run(trigger(job_id, cancel_on_kill=cancel).on_kill())
    assert status_after_stop(job_id) == ("Stopped" if stops else "Succeeded")


@pytest.mark.parametrize(("failures", "stops"), [(2, True), (9, False)])
def test_a_kill_asks_airflow_again_whether_the_task_still_waits(monkeypatch, caplog, failures, stops):
    """Its API server starts anew meanwhile; without any answer a healthy job may not be stopped."""
    answers = iter([OSError("API server is gone")] * failures)

    def ask(_task, _trigger_id):
        if error := next(answers, None):
            raise error
        return False

    monkeypatch.setattr(base, "_is_deferred_by_api", ask)
    monkeypatch.setattr(base, "_is_deferred_in_database", ask)
    monkeypatch.setattr(base, "_ASK_AGAIN", (0.01, 0.01))
    monkeypatch.setattr(PaiJobTrigger, "log", logging.getLogger("tests.trigger"), raising=False)
    job_id = submit("sleep 0.4")
    with nullcontext() if stops else pytest.raises(OSError, match="API server is gone"):
        asyncio.run(trigger(job_id).on_kill())
    assert status_after_stop(job_id) == ("Stopped" if stops else "Succeeded")
    assert (f"{job_id} MAY GO ON and cost" in caplog.text) is not stops


async def test_a_second_cancellation_does_not_stop_the_stop(monkeypatch):
    """Airflow's triggerer cancels again, about once a second, while `on_kill` is still at work."""

    async def still_deferred(_task, _trigger_id):
        await asyncio.sleep(0.2)
        return False

    monkeypatch.setattr(base, "is_still_deferred", still_deferred)
    job_id = submit()
    kill = asyncio.create_task(trigger(job_id).on_kill())
    await asyncio.sleep(0.1)
    kill.cancel()
    with pytest.raises(asyncio.CancelledError):
        await kill
    assert await asyncio.to_thread(status_after_stop, job_id) == "Stopped"


def cancel(one):
    """Run a trigger and cancel it, as a triggerer does that shuts down, or whose task was ended."""

    async def cancelled():
        run = asyncio.create_task(anext(one.run()))
        await asyncio.sleep(0.3)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(cancelled())


@pytest.mark.skipif(not hasattr(BaseTrigger, "on_kill"), reason="this Airflow has no on_kill")
def test_a_cancellation_stops_nothing_where_there_is_on_kill(monkeypatch):
    monkeypatch.setattr(base, "is_still_deferred", None)
    job_id = submit()
    cancel(trigger(job_id))
    assert DlcHook().get(job_id).status == "Running"


@pytest.mark.parametrize(
    ("deferred", "cancel_on_kill", "stops"), [(False, True, True), (True, True, False), (False, False, False)]
)
def test_a_cancellation_is_a_kill_where_there_is_no_on_kill(monkeypatch, deferred, cancel_on_kill, stops):
    async def still_deferred(task, trigger_id):
        assert (task, trigger_id) == (TASK, None)
        return deferred

    monkeypatch.setattr(base, "_AIRFLOW_CALLS_ON_KILL", False)
    monkeypatch.setattr(base, "is_still_deferred", still_deferred)
    job_id = submit("sleep 1")
    cancel(trigger(job_id, cancel_on_kill=cancel_on_kill))
    assert status_after_stop(job_id) == ("Stopped" if stops else "Succeeded")


def test_a_cancellation_stays_one_when_the_database_does_not_answer(monkeypatch):
    async def no_answer(_task, _trigger_id):
        raise OSError("no database")

    monkeypatch.setattr(base, "_AIRFLOW_CALLS_ON_KILL", False)
    monkeypatch.setattr(base, "is_still_deferred", no_answer)
    job_id = submit()
    cancel(trigger(job_id))
    assert DlcHook().get(job_id).status == "Running"


async def test_triggers_that_start_apart_are_asked_for_together(pai):
    ids = [submit() for _ in range(5)]
    asked = []
    keep = pai.services.dlc.list
    pai.services.dlc.list = lambda query, *rest: (asked.append(query["JobIds"]), keep(query, *rest))[1]
    running = []
    try:
        for job_id in ids:
            running.append(asyncio.create_task(anext(trigger(job_id, poll_interval=1.0).run())))
            await asyncio.sleep(0.25)
        await asyncio.sleep(2)
    finally:
        pai.services.dlc.list = keep
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for job_id in ids:
            await asyncio.to_thread(DlcHook().request_stop, job_id)
    assert sorted(asked[-1].split(",")) == sorted(ids)
