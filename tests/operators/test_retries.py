"""Retries by cause: the same mistake is not paid for twice, whatever way a task takes to its end."""

from __future__ import annotations

import json
from functools import partial

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, task

from airflow_provider_pai.causes import Cause, Diagnosis
from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.exceptions import (
    PaiConfigError,
    PaiJobFailedError,
    PaiLastFailureError,
    PaiLastFunctionError,
)
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.operators.dsw import DswRunCommandOperator
from tests.conftest import airflow_connection, oss_bucket
from tests.failures import FAILURES, SETTINGS, Failure, operator, play, raises, try_on
from tests.task import Task


@pytest.fixture(scope="module")
def own():
    with Emulator(**SETTINGS) as pai:
        pai.account.change_world({"dlc_too_large": "fails"})
        yield pai


@pytest.fixture
def account(own, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(own)))
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    return own


@pytest.mark.parametrize("name", FAILURES)
def test_as_many_jobs_are_made_as_the_cause_is_worth(account, name):
    failure = FAILURES[name]
    for deferrable in (False, True):
        told = play(account, f"{name}-{deferrable}", failure, deferrable=deferrable)
        cause = "config" if isinstance(told.error, PaiConfigError) else told.error.cause
        assert (told.jobs, cause) == (failure.jobs, failure.cause), told.error
        assert isinstance(told.error, AirflowFailException) is (told.jobs < 3)
        assert str(told.error).startswith(f"{cause}: ") or failure.jobs == 0
        assert ("not retried" in str(told.error).splitlines()[0]) is (0 < told.jobs < 3)


def test_retry_on_says_otherwise(account):
    code, node, config = (FAILURES[name] for name in ("an import that fails", "a broken node", "bad input"))
    for retry_on, failure, jobs in (
        ("always", code, 3),
        ("always", FAILURES["a person's stop"], 3),
        ("infrastructure", code, 1),
        ("infrastructure", node, 3),
        ("infrastructure", FAILURES["a server that does not answer"], 3),
        ("always", config, 0),
    ):
        assert play(account, f"{retry_on}-{failure}", failure, retry_on=retry_on).jobs == jobs
    with pytest.raises(PaiConfigError, match="retry_on: 'never' is not allowed; one of auto, infrastructure, always"):
        operator(code, retry_on="never")


def test_only_the_same_failure_is_the_last_and_numbers_do_not_count(account, monkeypatch):
    """Another one before it, of the code or a preemption, does not hide it."""
    bad, other = raises("ValueError: row 17 of batch 0x7f3a is bad"), raises("KeyError: label")
    again = raises("ValueError: row 9 of batch 0x1c00 is bad")
    made, submit = [], DlcHook.submit
    monkeypatch.setattr(DlcHook, "submit", lambda self, body: made.append(1) or submit(self, body))
    for lines, jobs in (([bad, again], 2), ([bad, other, again], 3), ([bad, "exit 128", again], 3), ([bad, other], 3)):
        made.clear()

        def make(lines=lines):
            return operator(Failure("code", 0, {"command": lines[min(len(made), len(lines) - 1)]}))

        error = try_on(Task(make, run_id=str(lines), max_tries=5))
        assert len(made) == jobs
        assert "has failed just so" in str(error)


def test_a_cleared_task_begins_anew(account):
    run = Task(lambda: operator(FAILURES["an import that fails"]), run_id="cleared", max_tries=2)
    for tries in (2, 4):
        assert isinstance(try_on(run), PaiLastFailureError)
        assert run.try_number == tries
        run.max_tries = run.try_number + 2  # what a clear does


def test_a_job_that_has_ended_before_it_is_looked_at_fails_alike(account):
    failure = FAILURES["an import that fails"]

    def make():
        one = operator(failure, deferrable=True)
        remember = one._remember

        def wait_then_remember(context, job_id):
            one.hook.wait(job_id, poll_interval=0.02)
            remember(context, job_id)

        one._remember = wait_then_remember
        return one

    run = Task(make, run_id="early", max_tries=2)
    assert (type(try_on(run)), run.try_number) == (PaiLastFailureError, 2)


def test_what_a_killed_task_stops_is_no_persons_stop(account):
    run = Task(lambda: operator(FAILURES["a time limit"], command="sleep 60"), run_id="killed", max_tries=2)
    one = run.make()
    run.make = lambda: one
    remember = one._remember

    def kill(context, job_id):
        remember(context, job_id)
        one.on_kill()

    one._remember = kill
    with pytest.raises(PaiJobFailedError) as caught:
        run.run()
    assert (type(caught.value), caught.value.cause) == (PaiJobFailedError, "stopped")


def test_a_failure_of_which_nothing_can_be_read_is_retried(account):
    account.account.faults.add(match="api GetPodLogs", status=403, code="Forbidden.RAM")
    told = play(account, "unread", FAILURES["an import that fails"])
    account.account.faults.clear()
    assert (told.jobs, told.error.cause) == (3, "unknown")


def test_a_failure_that_pai_knows_no_more_is_no_reason(account):
    run = Task(lambda: operator(FAILURES["too little memory"]), run_id="deleted", max_tries=2)
    for _ in range(2):
        with pytest.raises(PaiJobFailedError) as caught:
            run.run()
        DlcHook().delete(caught.value.job_id)
    assert type(caught.value) is PaiJobFailedError


def test_a_run_on_an_instance_is_not_paid_for_twice_either(account):
    oss_bucket(account, "dsw-runs").create_bucket()
    given = {"ecs_spec": "ecs.g6.large", "image": "i", "run_uri": "oss://dsw-runs/r", "poll_interval": 0.02}
    for deferrable in (False, True):
        command = {"command": raises("ValueError: bad"), "deferrable": deferrable}
        make = partial(DswRunCommandOperator, task_id="task", **command, **given)
        run = Task(make, run_id=f"dsw-{deferrable}", max_tries=2)
        error = try_on(run)
        assert (run.try_number, type(error)) == (2, PaiLastFailureError)
        assert error.diagnosis == Diagnosis(Cause.CODE, 1, "ValueError: bad")


def test_a_function_that_raises_the_same_again_is_not_called_a_third_time(account):
    oss_bucket(account, "function-calls").create_bucket()
    given = {"ecs_spec": "ecs.g6.large", "image": "i", "poll_interval": 0.02, "log_interval": 0}

    def make():
        @task.pai_dlc(task_id="task", staging_uri="oss://function-calls/c", **given)
        def train() -> int:
            raise ValueError("bad")

        return train().operator

    run = Task(make, run_id="function", max_tries=2)
    error = try_on(run)
    assert (run.try_number, type(error), error.remote_type) == (2, PaiLastFunctionError, "ValueError")
    assert error.diagnosis == Diagnosis(Cause.CODE, 1, "ValueError: bad")
