from __future__ import annotations

import asyncio
import threading

import pytest

from airflow_provider_pai.exceptions import PaiNotFoundError, PaiTransientError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.remote import RemoteJob
from airflow_provider_pai.triggers import hub
from airflow_provider_pai.triggers.hub import hub_of, next_tick

BODY = {
    "DisplayName": "x",
    "JobType": "PyTorchJob",
    "UserCommand": "true",
    "JobSpecs": [{"Type": "Worker", "PodCount": 1, "Image": "i", "EcsSpec": "ecs.g6.large"}],
}


@pytest.fixture
def hook(connection):
    return DlcHook()


@pytest.fixture(autouse=True)
def short_window(monkeypatch):
    monkeypatch.setattr(hub, "WINDOW", 0.02)


def count(hook, monkeypatch):
    asked = []
    real = hook.get_many

    def get_many(job_ids):
        asked.append(list(job_ids))
        return real(job_ids)

    monkeypatch.setattr(hook, "get_many", get_many)
    return asked


async def test_what_falls_due_together_is_asked_together(hook, monkeypatch):
    ids = [hook.submit(BODY) for _ in range(5)]
    asked = count(hook, monkeypatch)
    jobs = await asyncio.gather(*(hub_of(hook).get(job_id) for job_id in [*ids, ids[0]]))
    assert [job.job_id for job in jobs] == [*ids, ids[0]]
    assert [sorted(batch) for batch in asked] == [sorted(ids)]


async def test_one_hub_for_all_hooks_on_the_same_account(connection):
    one, other = DlcHook(), DlcHook()
    assert hub_of(one) is hub_of(other)
    assert hub_of(DlcHook(workspace_id="2")) is not hub_of(one)


async def test_a_missing_job_fails_only_who_asked_for_it(hook):
    there = hook.submit(BODY)
    found, missing = await asyncio.gather(hub_of(hook).get(there), hub_of(hook).get("dlc-none"), return_exceptions=True)
    assert found.job_id == there
    assert isinstance(missing, PaiNotFoundError)


async def test_an_error_reaches_everyone_and_the_next_question_starts_anew(hook, monkeypatch):
    job = RemoteJob(job_id="a", status="Running")
    answers = [PaiTransientError("dlc", "ListJobs", "busy"), {"a": job, "b": job}]

    def get_many(_ids):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(hook, "get_many", get_many)
    monkeypatch.setattr(hub, "_hubs", type(hub._hubs)())
    failed = await asyncio.gather(*(hub_of(hook).get(i) for i in "ab"), return_exceptions=True)
    assert [type(error) for error in failed] == [PaiTransientError] * 2
    assert await hub_of(hook).get("a") == job


async def test_one_who_stops_asking_does_not_disturb_the_others(hook):
    job_id = hook.submit(BODY)
    first = asyncio.ensure_future(hub_of(hook).get(job_id))
    second = asyncio.ensure_future(hub_of(hook).get(job_id))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).job_id == job_id


def ids_of(pages):
    return [f"dlc{number}" for number in range(pages * hub.PAGE)]


def answer_by_page(hook, monkeypatch, **special):
    """Let `get_many` answer at once, but do what is told for pages that begin with certain jobs."""
    asked = []

    def get_many(job_ids):
        asked.append(list(job_ids))
        special.get(job_ids[0], lambda: None)()
        return {job_id: RemoteJob(job_id=job_id, status="Running") for job_id in job_ids}

    monkeypatch.setattr(hook, "get_many", get_many)
    monkeypatch.setattr(hub, "_hubs", type(hub._hubs)())
    return asked


async def test_one_call_for_each_page_of_fifty(hook, monkeypatch):
    asked = answer_by_page(hook, monkeypatch)
    due = asyncio.get_running_loop().time() + 0.1
    await asyncio.gather(*(hub_of(hook).get(job_id, due) for job_id in ids_of(3)))
    assert [len(page) for page in asked] == [50, 50, 50]


async def test_a_slow_page_holds_up_the_others_for_a_bounded_time(hook, monkeypatch):
    monkeypatch.setattr(hub, "PATIENCE", 0.05)
    release = threading.Event()
    answer_by_page(hook, monkeypatch, dlc0=lambda: release.wait(10))
    waiting = [asyncio.ensure_future(hub_of(hook).get(job_id)) for job_id in ids_of(3)]
    try:
        answered, _ = await asyncio.wait(waiting[hub.PAGE :], timeout=5)
        assert len(answered) == 2 * hub.PAGE
        assert not any(task.done() for task in waiting[: hub.PAGE])
    finally:
        release.set()
    assert len(await asyncio.gather(*waiting)) == 3 * hub.PAGE


async def test_a_failing_page_fails_only_who_asked_with_it(hook, monkeypatch):
    def fail():
        raise PaiTransientError("dlc", "ListJobs", "busy")

    answer_by_page(hook, monkeypatch, dlc50=fail)
    due = asyncio.get_running_loop().time() + 0.5
    answers = await asyncio.gather(*(hub_of(hook).get(job_id, due) for job_id in ids_of(3)), return_exceptions=True)
    failed = [number for number, answer in enumerate(answers) if isinstance(answer, PaiTransientError)]
    assert failed == list(range(50, 100))


async def test_questions_for_one_tick_make_one_round_whenever_they_were_put(hook, monkeypatch):
    asked = answer_by_page(hook, monkeypatch)
    due = asyncio.get_running_loop().time() + 0.5
    waiting = []
    for job_id in "abc":
        waiting.append(asyncio.ensure_future(hub_of(hook).get(job_id, due)))
        await asyncio.sleep(0.03)
    await asyncio.gather(*waiting)
    assert asked == [["a", "b", "c"]]
    assert asyncio.get_running_loop().time() >= due


async def test_ticks_are_shared_and_never_later_than_asked(monkeypatch):
    loop = asyncio.get_running_loop()
    for now, seconds, tick in ((100.0, 10, 110), (103.0, 10, 110), (109.9, 10, 110), (103.0, 25, 120), (103.0, 1, 104)):
        monkeypatch.setattr(loop, "time", lambda now=now: now)
        assert next_tick(seconds, 10) == tick
    monkeypatch.undo()
