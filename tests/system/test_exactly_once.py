"""One task, one job, in a real Airflow whose workers and triggerers are killed while the service stumbles."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import pytest

from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.testing.killing import frozen, kill, processes_below, replace_killed

# Thirty calls in a hundred get no proper answer: the first rule that hits decides.
STUMBLES = [
    {"match": "^api ", "probability": 0.1, "status": 503},
    {"match": "^api ", "probability": 0.11, "status": 429, "code": "Throttling.User"},
    {"match": "^api ", "probability": 0.125, "drop": "answer"},
]


def control(stack, method, what, json=None):
    answer = httpx.request(method, f"{stack.pai['endpoint_url']}/_emulator/{what}", json=json)
    answer.raise_for_status()
    return answer.json()


@contextmanager
def faults(stack, *rules, list_lag=0.0):
    control(stack, "POST", "faults", list(rules))
    control(stack, "POST", "settings", {"list_lag": list_lag})
    try:
        yield
    finally:
        control(stack, "DELETE", "faults")
        control(stack, "POST", "settings", {"list_lag": 0.0})


def running(one):
    """Return the run's task processes that are alive, by task and map index."""
    mine = processes_below(one.stack, "scheduler")
    tasks = one.api.task_instances(one.dag_id, one.run_id)
    return {
        (task["task_id"], task["map_index"]): mine[task["pid"]]
        for task in tasks
        if task["state"] == "running" and task["pid"] in mine
    }


def state(one):
    return one.api.run(one.dag_id, one.run_id)["state"]


def all_jobs(one):
    return list(one.dlc.list_jobs(tags={"airflow_run_id": one.run_id, "airflow_dag_id": one.dag_id}))


@pytest.fixture
def second_triggerer(stack, api):
    stack.start("triggerer", "second triggerer")
    yield "second triggerer"
    stack.stop("second triggerer")


@pytest.mark.timeout(300)
def test_kills_at_random_moments_and_a_service_that_stumbles(run, stack, second_triggerer):
    dice, kills, replaced = random.Random(), 0, 0
    with faults(stack, *STUMBLES, list_lag=2.0):
        one = run("swarm")
        deadline = time.monotonic() + 240
        while state(one) not in ("success", "failed"):
            assert time.monotonic() < deadline, one.api.task_instances(one.dag_id, one.run_id)
            alive = list(running(one).values())
            if alive and kills < 10:
                time.sleep(dice.uniform(0, 3))
                kills += kill(dice.choice(alive))
            elif alive and not replaced:
                replace_killed(stack, "triggerer")
                replaced += 1
            time.sleep(0.3)
    tasks = one.api.task_instances(one.dag_id, one.run_id)
    print(f"{kills} kills, tries {[task['try_number'] for task in tasks]}")
    assert {task["state"] for task in tasks} == {"success"}
    assert [job["Status"] for job in all_jobs(one)] == ["Succeeded"] * len(tasks)
    assert kills


def kill_when_called(one, task_id, action):
    """SIGKILL a task while the service has its call and has not answered yet."""
    with faults(one.stack, {"match": f"api {action}", "delay": 5, "times": 1}):
        one.until(f"{task_id} runs", lambda: (task_id, -1) in running(one), timeout=60)
        one.until(f"{task_id} calls {action}", lambda: control(one.stack, "GET", "faults")[0]["times"] == 0, timeout=60)
        assert kill(running(one)[task_id, -1])


def test_a_kill_before_the_answer_is_read_and_one_before_the_id_is_stored(run):
    one = run("windows")
    kill_when_called(one, "unread", "CreateJob")
    one.until("it succeeds", lambda: one.task("unread")["state"] == "success", timeout=60)
    kill_when_called(one, "unstored", "GetJob")
    one.until("it succeeds", lambda: one.task("unstored")["state"] == "success", timeout=60)
    for task_id in ("unread", "unstored"):
        assert one.task(task_id)["try_number"] == 2
        assert [job["Status"] for job in one.jobs(task_id)] == ["Succeeded"]


def links(one, task_id, map_index=-1):
    return one.api.request("GET", one.path(task_id, "links"), params={"map_index": map_index})["extra_links"]


def artifact_of(one):
    return one.api.xcom(one.dag_id, one.run_id, "trained")


def backfilled(one, behavior):
    """Have Airflow's backfill make, or make again, the DAG's only run, and wait for its end."""
    day = datetime(2026, 1, 1, tzinfo=UTC)
    backfill = one.api.backfill(one.dag_id, day, day, {}, parallel=1, behavior=behavior)
    one.until("the backfill is done", lambda: one.api.backfill_done(backfill), timeout=90)
    (run,) = one.api.runs(one.dag_id)
    one.run_id = run["dag_run_id"]
    assert run["state"] == "success"


def test_a_clear_and_a_reprocessing_backfill_make_new_jobs_and_links_lead_to_each_its_own(prepared):
    one = prepared("again")
    OssHook().create_bucket("again")
    backfilled(one, "none")
    urls = [links(one, "in_worker"), links(one, "trained"), links(one, "mapped", 0), links(one, "mapped", 1)]
    jobs = [one.jobs(task_id)[0]["JobId"] for task_id in ("in_worker", "trained")]
    jobs += [job["JobId"] for index in ("0", "1") for job in one.jobs("mapped") if index_of(job) == index]
    assert [job in link["PAI DLC job"] for job, link in zip(jobs, urls, strict=True)] == [True] * 4
    artifacts = [artifact_of(one)]
    one.clear("trained")
    one.until("trained again", lambda: artifact_of(one) not in (None, *artifacts), timeout=60)
    artifacts.append(artifact_of(one))
    one.until("the run has ended", lambda: state(one) == "success")
    backfilled(one, "completed")
    artifacts.append(artifact_of(one))
    assert len({artifact["version"] for artifact in artifacts}) == 3
    assert len({artifact["uri"] for artifact in artifacts}) == 3
    assert [len(one.jobs(task_id)) for task_id in ("in_worker", "trained", "mapped")] == [2, 3, 4]
    assert {job["Status"] for job in all_jobs(one)} == {"Succeeded"}


def index_of(job):
    return job["Settings"]["Tags"]["airflow_map_index"]


def holder(one):
    return (one.task("waiting")["triggerer_job"] or {}).get("id")


@pytest.mark.timeout(300)
def test_lost_workers_and_a_triggerer_that_wakes_up_too_late(run, stack):
    one = run("lost")
    in_worker = ("retried", "last", "cleared")
    for task_id in (*in_worker, "waiting"):
        one.until(f"{task_id} has a job", lambda task_id=task_id: one.job_status(task_id) == "Running", timeout=60)
    one.until("a triggerer holds the trigger", lambda: holder(one) is not None)
    first = holder(one)
    for process in [running(one)[task_id, -1] for task_id in in_worker]:
        kill(process.parent())  # the executor's worker, which would have told of the task's end
        kill(process)
    stack.start("triggerer", "second triggerer")
    try:
        with frozen(list(processes_below(stack, "triggerer").values()), stack.database):
            one.until("the other holds it", lambda: holder(one) not in (None, first), timeout=90)
            after_lost_workers(one)
        time.sleep(8)  # the one that woke up finds out what it has lost
        assert [job["Status"] for job in one.jobs("waiting")] == ["Running"]
        one.mark("waiting", "failed")
        one.until("stopped", lambda: one.job_status("waiting") == "Stopped")
    finally:
        stack.stop("second triggerer")


def after_lost_workers(one):
    for task_id in ("last", "cleared"):
        one.until(f"{task_id} failed", lambda task_id=task_id: one.task(task_id)["state"] == "failed", timeout=90)
        assert one.job_status(task_id) == "Running"
    assert one.jobs("last")[0]["JobId"] in one.cli("pai", "jobs", "orphans")
    one.clear("cleared")
    one.until("a new job", lambda: len(one.jobs("cleared")) == 2, timeout=60)
    one.until("the old one is stopped", lambda: one.jobs("cleared")[0]["Status"] == "Stopped")
    one.cli("pai", "jobs", "orphans", "--stop")
    one.until("the orphan is stopped", lambda: one.job_status("last") == "Stopped")
    assert one.job_status("cleared") == "Running"
    one.mark("cleared", "failed")
    one.until("stopped", lambda: one.job_status("cleared") == "Stopped")
    one.until("retried", lambda: one.task("retried")["state"] == "success", timeout=90)
    assert one.task("retried")["try_number"] == 2
    assert [job["Status"] for job in one.jobs("retried")] == ["Succeeded"]
    one.until("failed twice", lambda: one.task("failing")["state"] == "failed", timeout=60)
    assert [job["Status"] for job in one.jobs("failing")] == ["Failed", "Failed"]
