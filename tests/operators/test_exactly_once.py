"""One task, one job: the moments at which a worker may be lost, killed or left without an answer."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta

import pytest

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.exceptions import PaiError, PaiJobFailedError, PaiPermissionError, PaiTransientError
from airflow_provider_pai.hooks import waiting
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.operators import jobs
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.remote import RemoteJob
from tests.clock import VirtualClock
from tests.conftest import airflow_connection
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


class WorkerLostError(BaseException):
    """Ends a worker as SIGKILL does: none of the operator's own handlers runs."""


def operator(**changes):
    given = {
        "task_id": "task",
        "framework": "pytorch",
        "ecs_spec": "ecs.g6.large",
        "image": "i",
        "command": "true",
        "poll_interval": 0.05,
        "log_interval": 0,
    }
    return DlcSubmitJobOperator(**{**given, **changes})


@pytest.fixture
def task(request):
    return lambda name="", **changes: Task(lambda: operator(**changes), run_id=f"{request.node.name}{name}")


def jobs_of(task):
    """Return the task's jobs as id to status, oldest generation first."""
    one = task.make()
    found = one.hook.find(one.identity(task.context()))
    return {job.job_id: job.status for job in sorted(found, key=lambda job: (job.cycle, job.generation))}


def until(told, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, told
        time.sleep(0.05)


def lose(task, step, monkeypatch):
    """Run a try whose worker is lost when it comes to a step of its operator or hook."""
    with monkeypatch.context() as patch:
        patch.setattr(*step)
        with pytest.raises(WorkerLostError):
            task.run()


def dies(*_, **__):
    raise WorkerLostError


def dies_after(function):
    def run(*arguments, **named):
        function(*arguments, **named)
        raise WorkerLostError

    return run


STEPS = {
    "before the submit": lambda: (DlcHook, "submit", dies),
    "after the submit": lambda: (DlcHook, "submit", dies_after(DlcHook.submit)),
    "before the store": lambda: (DlcSubmitJobOperator, "_remember", dies),
    "after the store": lambda: (DlcSubmitJobOperator, "_remember", dies_after(DlcSubmitJobOperator._remember)),
    "before the finish": lambda: (DlcSubmitJobOperator, "finish", dies),
    "after the finish": lambda: (DlcSubmitJobOperator, "finish", dies_after(DlcSubmitJobOperator.finish)),
}


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_lost_worker_costs_no_second_job(task, monkeypatch, step, deferrable):
    monkeypatch.setattr(jobs, "SETTLE_SECONDS", 0.5)
    run = task(deferrable=deferrable)
    lose(run, STEPS[step](), monkeypatch)
    run.run()
    assert list(jobs_of(run).values()) == ["Succeeded"]


def test_the_settling_time_counts_from_the_last_submit(task, monkeypatch, pai):
    """The first submits are refused; the worker is lost after the one that is carried out, while lists lag."""
    monkeypatch.setattr(jobs, "SETTLE_SECONDS", 1.0)
    pai.account.faults.add(match="api CreateJob", status=503, times=2)
    run = task()
    lose(run, STEPS["after the submit"](), monkeypatch)
    find, born = DlcHook.tagged, time.monotonic()
    monkeypatch.setattr(DlcHook, "tagged", lambda self, tags: find(self, tags) if time.monotonic() > born + 0.6 else [])
    run.run()
    assert list(jobs_of(run).values()) == ["Succeeded"]


def test_a_job_whose_answer_was_lost_and_that_failed_is_this_tries_job(task, monkeypatch, pai):
    monkeypatch.setattr(jobs, "SETTLE_SECONDS", 2.0)
    pai.account.faults.add(match="api CreateJob", drop="answer", times=1)
    run = task(command="exit 3")
    look = DlcSubmitJobOperator._look_for

    def look_late(*arguments):
        until("failed", lambda: list(jobs_of(run).values()) == ["Failed"])
        return look(*arguments)

    monkeypatch.setattr(DlcSubmitJobOperator, "_look_for", look_late)
    with pytest.raises(PaiJobFailedError):
        run.run()
    assert list(jobs_of(run).values()) == ["Failed"]
    with pytest.raises(PaiJobFailedError):
        run.run()
    assert list(jobs_of(run).values()) == ["Failed", "Failed"]


def test_a_failed_job_that_lists_did_not_show_at_first_is_followed_by_the_next_generation(task, monkeypatch):
    monkeypatch.setattr(jobs, "SETTLE_SECONDS", 2.0)
    run = task(command="exit 3")
    lose(run, STEPS["after the submit"](), monkeypatch)
    until("failed", lambda: list(jobs_of(run).values()) == ["Failed"])
    find, born = DlcHook.tagged, time.monotonic()
    monkeypatch.setattr(DlcHook, "tagged", lambda self, tags: find(self, tags) if time.monotonic() > born + 0.5 else [])
    with pytest.raises(PaiJobFailedError):
        run.run()
    one = run.make()
    assert sorted(job.generation for job in one.hook.find(one.identity(run.context()))) == [1, 2]


def test_a_retry_right_after_a_failed_job_makes_a_new_one_though_lists_still_show_it_running(monkeypatch):
    with Emulator(dwell=0.01, list_lag=1.0) as pai:
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai)))
        run = Task(lambda: operator(command="sleep 1.1; exit 1"), run_id="behind")
        for _ in range(2):
            with pytest.raises(PaiJobFailedError):
                run.run()
        until("two jobs", lambda: list(jobs_of(run).values()) == ["Failed", "Failed"], 5)


@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize("lag", [2, 15, 30])
def test_a_submit_that_lists_show_half_a_minute_late_is_made_once(monkeypatch, task, lag, store):
    """The answer is lost; before that or, where Airflow keeps nothing for a task, with its worker."""
    time, born, run = VirtualClock(), [], task()

    def submit(self, body):
        born.append((time.now, body["Settings"]["Tags"]))
        raise PaiTransientError("dlc", "CreateJob", "no answer") if store else WorkerLostError

    def job(at, tags):
        return RemoteJob(job_id=f"dlc{at}", status="Running", created=str(at), tags=tags)

    monkeypatch.setattr(DlcHook, "clock", time.clock)
    monkeypatch.setattr(DlcHook, "submit", submit)
    monkeypatch.setattr(DlcHook, "tagged", lambda *_: [job(*each) for each in born if time.now >= each[0] + lag])
    monkeypatch.setattr(DlcHook, "get", lambda *_: job(*born[0]))
    context = lambda: {**run.context(), **({} if store else {"task_state_store": None})}  # noqa: E731
    if not store:
        with pytest.raises(WorkerLostError):
            run.make().begin(context())
        run.try_number = 2
    assert run.make().begin(context()) == f"dlc{born[0][0]}"
    assert len(born) == 1


def test_a_run_that_was_deleted_and_made_again_trains_again(task):
    first, second = task(), task()
    old = first.run()["job_id"]
    new = second.run()["job_id"]
    assert new != old
    assert list(jobs_of(second).items()) == [(old, "Succeeded"), (new, "Succeeded")]


def test_a_change_of_retries_between_two_tries_changes_nothing(task, monkeypatch):
    run = task(command="sleep 0.5")
    lose(run, STEPS["after the store"](), monkeypatch)
    run.make = lambda: operator(command="sleep 0.5", retries=7)
    run.run()
    assert list(jobs_of(run).values()) == ["Succeeded"]


def test_two_deployments_on_one_workspace_never_touch_each_others_jobs(task, pai, monkeypatch):
    other = airflow_connection(pai, deployment="https://other.test")
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(other))
    mine, theirs = task(command="sleep 60"), task(command="true", pai_conn_id="other")
    lose(mine, STEPS["after the store"](), monkeypatch)
    theirs.run()
    theirs.max_tries = theirs.try_number + 1  # what a clear does
    theirs.run()
    assert list(jobs_of(theirs).values()) == ["Succeeded", "Succeeded"]
    ((job_id, status),) = jobs_of(mine).items()
    assert status in ("EnvPreparing", "Running")
    mine.make().hook.request_stop(job_id)


def test_mapped_tasks_keep_to_their_own_jobs(task, monkeypatch):
    runs = [task(command="sleep 0.5") for _ in range(3)]
    for index, run in enumerate(runs):
        run.map_index = index
        lose(run, STEPS["after the submit"](), monkeypatch)
    links = set()
    for run in runs:
        result = run.run()
        assert jobs_of(run) == {result["job_id"]: "Succeeded"}
        assert result["job_id"] in run.xcoms["pai_dlc_job_url"]
        links.add(run.xcoms["pai_dlc_job_url"])
    assert len(links) == 3


def last_try(run):
    run.max_tries = 0
    return run


@pytest.mark.parametrize("action", ["GetJob", "ListJobs"])
def test_a_last_try_that_fails_after_its_submit_stops_the_job(task, pai, monkeypatch, action):
    """What fails is not the job: a permission to look at it is missing."""
    monkeypatch.setattr(jobs, "_KILL_LOOK_SECONDS", 0.5)
    run = last_try(task(command="sleep 60"))
    submit = DlcHook.submit

    def forbid(self, body):
        job_id = submit(self, body)
        pai.account.faults.add(match=f"api {action}", status=403, code="Forbidden.RAM")
        return job_id

    monkeypatch.setattr(DlcHook, "submit", forbid)
    with pytest.raises(PaiPermissionError):
        run.run()
    pai.account.faults.clear()
    until("stopped", lambda: list(jobs_of(run).values()) == ["Stopped"])


def test_a_last_try_that_meets_the_triggers_error_stops_the_job(task, pai, monkeypatch):
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    run = last_try(task(command="sleep 60", deferrable=True))
    trigger = DlcSubmitJobOperator.trigger

    def forbid(self, context, job_id):
        pai.account.faults.add(match="api (GetJob|ListJobs)", status=403, code="Forbidden.RAM")
        return trigger(self, context, job_id)

    monkeypatch.setattr(DlcSubmitJobOperator, "trigger", forbid)
    with pytest.raises(PaiPermissionError):
        run.run()
    pai.account.faults.clear()
    until("stopped", lambda: list(jobs_of(run).values()) == ["Stopped"])


def killed_while_submitting(run, pai, delay):
    """Kill a task as Airflow 3 does, while CreateJob is under way: `on_kill` runs, then the task goes on."""
    rule = pai.account.faults.add(match="api CreateJob", delay=delay, times=1)
    one, ends = run.make(), []
    run.make = lambda: one

    def work():
        try:
            run.run()
        except PaiError as error:
            ends.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    until("CreateJob is under way", lambda: rule.times == 0)
    one.on_kill()
    return one, worker, ends


@pytest.mark.parametrize("delay", [0.5, 2.0])
def test_a_kill_while_the_submit_is_under_way_stops_its_job(task, pai, monkeypatch, delay):
    """The answer comes after `on_kill` looked in vain, or after it has found the job."""
    monkeypatch.setattr(jobs, "_KILL_LOOK_SECONDS", 1.0)
    run = task(command="sleep 60")
    _, worker, ends = killed_while_submitting(run, pai, delay)
    worker.join(20)
    assert [type(error) for error in ends] == [PaiJobFailedError]
    until("stopped", lambda: list(jobs_of(run).values()) == ["Stopped"])


def test_a_task_that_was_killed_submits_nothing(task):
    run = task()
    one = run.make()
    one.on_kill()
    with pytest.raises(PaiError, match="killed before its submit"):
        one.execute(run.context())
    assert jobs_of(run) == {}


def test_the_service_ends_a_job_that_nobody_is_left_to_stop(monkeypatch):
    """The worker is lost on its last try and there is no triggerer."""
    with Emulator(dwell=0.01, grace=0.2, minute=0.5) as pai:
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai)))
        run = last_try(Task(lambda: operator(command="sleep 60", max_running_time=timedelta(minutes=1)), run_id="lost"))
        lose(run, STEPS["after the submit"](), monkeypatch)
        until("ended by the service", lambda: set(jobs_of(run).values()) <= {"Failed", "Stopped"})
