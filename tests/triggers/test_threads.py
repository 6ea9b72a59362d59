"""A triggerer in which something stalls: its own calls of one kind wait, nobody else's; threads stay bounded."""

from __future__ import annotations

import asyncio
import gc
import json
import threading

import pytest
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_pai.exceptions import PaiPermissionError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.triggers import base
from airflow_provider_pai.triggers.job import PaiJobTrigger
from airflow_provider_pai.triggers.rollout import CanaryTrigger
from airflow_provider_pai.triggers.threads import AT_ONCE, THREADS, in_thread
from tests.conftest import airflow_connection

TASK = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
BODY = {
    "DisplayName": "x",
    "JobType": "PyTorchJob",
    "UserCommand": "sleep 60",
    "JobSpecs": [{"Type": "Worker", "PodCount": 1, "Image": "i", "EcsSpec": "ecs.g6.large"}],
}
LONG = 20
"""Seconds after which a test has failed; none that passes waits for it."""


class Stall:
    """Calls that hang until the test has ended."""

    def __init__(self):
        self.over = threading.Event()
        self.calls = 0
        self.highest = 0
        self._lock = threading.Lock()
        self._now = 0

    def __call__(self, *_):
        with self._lock:
            self.calls += 1
            self._now += 1
            self.highest = max(self.highest, self._now)
        self.over.wait(LONG)
        with self._lock:
            self._now -= 1

    async def until(self, calls):
        async with asyncio.timeout(LONG):
            while self.calls < calls:
                await asyncio.sleep(0.01)


@pytest.fixture
def stall():
    stall = Stall()
    yield stall
    stall.over.set()


async def test_an_endpoint_that_stalls_holds_up_its_own_calls_of_one_kind(stall):
    waiting = [asyncio.create_task(in_thread("log", "slow", stall)) for _ in range(3 * AT_ONCE)]
    await stall.until(AT_ONCE)
    assert await in_thread("log", "fast", int, "7") == 7
    assert await in_thread("kill", "slow", int, "7") == 7
    stall.over.set()
    await asyncio.gather(*waiting)
    assert stall.highest == AT_ONCE


async def test_one_that_is_cancelled_keeps_its_thread_and_its_place(stall):
    for _ in range(4):
        waiting = [asyncio.create_task(in_thread("poll", "slow", stall)) for _ in range(AT_ONCE)]
        await asyncio.sleep(0.02)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert stall.highest == AT_ONCE
    stall.over.set()
    assert await in_thread("poll", "slow", int, "7") == 7


async def test_however_many_endpoints_stall_threads_are_bounded(stall):
    before, stalled = set(threading.enumerate()), 2 * THREADS // AT_ONCE
    waiting = [asyncio.create_task(in_thread("tick", f"{n % stalled}", stall)) for n in range(2 * THREADS)]
    await stall.until(THREADS)
    own = set(threading.enumerate()) - before
    assert sum(thread.name.startswith("pai-tick") for thread in own) == THREADS
    assert await in_thread("kill", "0", int, "7") == 7
    stall.over.set()
    await asyncio.gather(*waiting)
    assert stall.highest == THREADS


async def test_a_call_sees_the_context_of_its_caller_and_raises_there():
    with pytest.raises(ValueError, match="invalid literal"):
        await in_thread("poll", "here", int, "x")


def test_threads_end_with_their_loop():
    thread = asyncio.run(in_thread("connection", "here", threading.current_thread))
    gc.collect()
    thread.join(LONG)
    assert not thread.is_alive()


# --- the triggers themselves, against two addresses of one account


@pytest.fixture
def other(pai, connection, monkeypatch):
    """A second connection, to an endpoint of its own."""
    url = pai.endpoints.endpoint_url.replace("127.0.0.1", "localhost")
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(airflow_connection(pai, endpoint_url=url)))
    return "other"


def job(conn_id, job_id, **changes):
    given = {
        "hook_path": "airflow_provider_pai.hooks.dlc.DlcHook",
        "hook_arguments": DlcHook(conn_id).arguments,
        "job_id": job_id,
        "poll_interval": 0.05,
        "task": TASK,
    }
    return PaiJobTrigger(**{**given, **changes})


def stall_where(monkeypatch, stall, owner, name, conn_id):
    """Let a method hang for hooks of one connection."""
    real = getattr(owner, name)

    def method(self, *arguments):
        if self.pai_conn_id == conn_id:
            stall()
        return real(self, *arguments)

    monkeypatch.setattr(owner, name, method)


def polls(monkeypatch, stall, conn_id):
    stall_where(monkeypatch, stall, DlcHook, "get_many", conn_id)
    return lambda number: job(conn_id, f"dlc-{number}").run()


def logs(monkeypatch, stall, conn_id):
    stall_where(monkeypatch, stall, DlcHook, "new_log_lines", conn_id)
    job_id = DlcHook(conn_id).submit(BODY)
    return lambda _: job(conn_id, job_id, log_interval=0.01).run()


def ticks(monkeypatch, stall, conn_id):
    driver = type("Driver", (), {"tick": stall})
    monkeypatch.setattr(CanaryTrigger, "make_driver", lambda *_: driver())
    arguments = {"hook_arguments": DlcHook(conn_id).arguments, "rollout": {}, "task": TASK}
    return lambda _: CanaryTrigger(**arguments).run()


def connections(monkeypatch, stall, conn_id):
    real = BaseHook.get_connection
    monkeypatch.setattr(
        BaseHook, "get_connection", staticmethod(lambda name: (name == conn_id and stall()) or real(name))
    )
    return lambda _: job(conn_id, "dlc-x").run()


@pytest.mark.parametrize(
    ("kind", "killed"),
    [(kind, "other") for kind in (polls, logs, ticks, connections)]
    + [(kind, "pai_default") for kind in (polls, logs, ticks)],
)
async def test_a_job_is_stopped_while_many_calls_stall(monkeypatch, stall, other, kind, killed):
    """Calls of one kind to `pai_default` hang: a kill on another endpoint goes through, and one on the same."""

    async def still_deferred(*_):
        return False

    monkeypatch.setattr(base, "is_still_deferred", still_deferred)
    job_id = DlcHook(killed).submit(BODY)
    wait = kind(monkeypatch, stall, "pai_default")
    waiting = [asyncio.create_task(anext(wait(number))) for number in range(60)]
    try:
        await stall.until(1 if kind is polls else 6)
        async with asyncio.timeout(LONG / 2):
            await job(killed, job_id).on_kill()
        assert not stall.over.is_set()
        assert DlcHook(killed).get(job_id).status in ("Stopping", "Stopped")
    finally:
        stall.over.set()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_an_event_loop_waits_for_no_connection_that_is_read_anew(monkeypatch, stall, connection):
    """Who starts to wait hands the hub what it has just read, while a thread of the hub asks a backend that stalls."""
    hook = DlcHook()
    monkeypatch.setattr(hook.credentials, "_read", stall)
    refusal = PaiPermissionError("dlc", "ListJobs", "expired")
    renewing = asyncio.create_task(in_thread("poll", hook.address, hook.credentials.renewed, hook.connection, refusal))
    await stall.until(1)
    hook.credentials.adopt(DlcHook().connection)
    assert not renewing.done()
    renewing.cancel()
