"""The one lifecycle, of an operator that only notes what is asked of it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, TaskDeferred

from airflow_provider_pai.exceptions import PaiError, PaiPermissionError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.operators.deferring import DeferringOperator
from airflow_provider_pai.triggers.base import PollTrigger
from tests.task import Task, WorkerLostError


class Echo(PollTrigger["EasHook"]):
    """Yields what it is told to."""

    def __init__(self, *, event: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(hook_arguments={}, poll_interval=1, **kwargs)
        self.event = event

    @property
    def hook_class(self) -> type[EasHook]:
        return EasHook

    def arguments(self) -> dict[str, Any]:
        return {"event": self.event}

    async def connected(self) -> Any:
        return None

    async def poll(self, hook: Any) -> dict[str, Any]:
        return self.event


class Noting(DeferringOperator["EasHook"]):
    """Notes each step, and fails where it is told to."""

    about = "Note each step"
    came = "Noted {result}"
    calls: list[str]
    fails: str = ""
    ended = False
    event: dict[str, Any]

    @property
    def hook_class(self) -> type[EasHook]:
        return EasHook

    def _note(self, step: str, error: type[BaseException] = PaiError) -> None:
        self.calls.append(step)
        if self.fails == step:
            raise error(f"{step} failed\nand much more")

    def begin(self, context):
        self._note("begin")
        return "work"

    def look(self, work):
        self._note("look")
        return "outcome" if self.ended else None

    def trigger(self, context, work):
        self._note("trigger")
        return Echo(event=self.event)

    def wait_here(self, context, work):
        self._note("wait_here")
        return "outcome"

    def outcome(self, context, event):
        self._note("outcome")
        return event["outcome"]

    def finish(self, context, outcome):
        self._note("finish")
        return {"finished": outcome}

    def give_up(self, why):
        self.calls.append(f"give up: {why}")


@pytest.fixture
def calls() -> list[str]:
    return []


def task(calls, *, max_tries=1, fails="", ended=False, event=None, **arguments) -> Task:
    def make():
        one = Noting(task_id="task", **arguments)
        one.calls, one.fails, one.ended, one.event = calls, fails, ended, event or {"outcome": "outcome"}
        return one

    return Task(make, max_tries=max_tries)


def test_every_way_ends_in_one_finish(calls):
    ways = {}
    for way, arguments in {
        "here": {"deferrable": False},
        "deferred": {"deferrable": True},
        "ended before": {"deferrable": True, "ended": True},
    }.items():
        calls.clear()
        assert task(calls, **arguments).run() == {"finished": "outcome"}
        ways[way] = " ".join(calls)
    assert ways == {
        "here": "begin wait_here finish",
        "deferred": "begin look trigger outcome finish",
        "ended before": "begin look finish",
    }


def test_a_task_that_comes_back_says_how_long_it_was_deferred(calls, caplog, monkeypatch):
    monkeypatch.setattr(Noting, "log", logging.getLogger("tests.noting"), raising=False)
    caplog.set_level("INFO")
    task(calls, deferrable=True).run()
    assert "Back in a worker, deferred for 0." in caplog.text


@pytest.mark.parametrize(
    ("deferrable", "step"), [(False, "begin"), (False, "wait_here"), (True, "look"), (True, "outcome")]
)
def test_only_the_last_try_gives_up(calls, deferrable, step):
    run = task(calls, max_tries=1, fails=step, deferrable=deferrable)
    for given_up in ([], [f"give up: {step} failed"]):
        calls.clear()
        with pytest.raises(PaiError, match=f"{step} failed"):
            run.run()
        assert [call for call in calls if call.startswith("give up")] == given_up


def test_what_has_ended_is_not_given_up_when_its_finish_fails(calls):
    with pytest.raises(PaiError):
        task(calls, max_tries=0, fails="finish").run()
    assert calls == ["begin", "wait_here", "finish"]


def test_a_lost_worker_gives_nothing_up(calls, monkeypatch):
    monkeypatch.setattr(Noting, "wait_here", lambda self, *_: self._note("wait_here", WorkerLostError))
    with pytest.raises(WorkerLostError):
        task(calls, max_tries=0, fails="wait_here").run()
    assert calls == ["begin", "wait_here"]


@pytest.mark.parametrize("last", [False, True])
def test_a_failure_of_the_trigger_itself_gives_up_on_the_last_try(calls, last):
    run = task(calls, max_tries=0 if last else 5, deferrable=True)
    run.try_number = 1
    with pytest.raises(Exception, match="boom") as caught:
        run.make().resume_execution("__fail__", {"error": "boom"}, run.context())
    assert calls == ([f"give up: {str(caught.value).partition(chr(10))[0]}"] if last else [])


def resumed(calls, kwargs, method="execute_complete", **changes):
    """Resume a task on its last try, with what Airflow gives it; return its end."""
    run = task(calls, max_tries=0, deferrable=True, **changes)
    run.try_number = 1
    return run.make().resume_execution(method, kwargs, run.context())


@pytest.fixture
def under_way(monkeypatch):
    """A task whose work goes on, as any process can see."""
    monkeypatch.setattr(Noting, "under_way", lambda self, _context: "work")


def test_work_that_goes_on_though_its_trigger_has_failed_is_waited_for(calls, under_way):
    assert resumed(calls, {"error": "Trigger failure"}, "__fail__") == {"finished": "outcome"}
    assert calls == ["wait_here", "finish"]


@pytest.mark.parametrize(
    "text", ["Trigger timeout", "Trigger/execution timeout", "TriggerFailureReason.TRIGGER_TIMEOUT"]
)
def test_a_time_out_gives_up_what_goes_on(calls, under_way, text):
    with pytest.raises(AirflowException):
        resumed(calls, {"error": text}, "__fail__")
    assert len(calls) == 1
    assert calls[0].startswith("give up")


@pytest.mark.parametrize("event", [{"job_id": "other", "job": {}}, {"status": "success"}, {}, None, "text"])
@pytest.mark.parametrize("ago", [timedelta(hours=1), timedelta()], ids=["an hour", "a moment"])
def test_an_event_of_another_trigger_is_not_believed(calls, event, ago):
    """SQLite gives the ids of triggers again, and an event goes to whoever waits for the id."""
    since = datetime.now(UTC) - ago
    given = {"event": event, "since": since.isoformat(), "subject": {"job_id": "mine"}}
    if ago:
        with pytest.raises(TaskDeferred):
            resumed(calls, given)
        assert calls == ["look", "trigger"]
    else:
        resumed(calls, given)
        assert calls == ["wait_here", "finish"]


def test_what_can_not_be_given_up_is_told_beside_the_failure(calls, monkeypatch, caplog):
    def refused(_self, _why):
        raise PaiPermissionError("dlc", "StopJob", "expired", "InvalidSecurityToken.Expired", 400)

    monkeypatch.setattr(Noting, "log", logging.getLogger("tests.noting"), raising=False)
    monkeypatch.setattr(Noting, "give_up", refused)
    with pytest.raises(PaiError, match="begin failed"):
        task(calls, max_tries=0, fails="begin").run()
    assert "MAY GO ON and cost; a person is needed: dlc StopJob: expired" in caplog.text


def test_a_kill_gives_up_and_is_heeded_by_what_began_meanwhile(calls, connection):
    one = task(calls).make()
    one.on_kill()
    one.heed_kill()
    assert calls == ["give up: the task was ended by hand"] * 2
    assert one.hook.retry_seconds <= 5


def test_a_task_that_is_killed_before_it_resumes_knows_that_another_process_began(calls, connection):
    run = task(calls, deferrable=True)
    run.try_number = 1
    with pytest.raises(TaskDeferred):
        run.make().execute(run.context())
    again, context = run.make(), run.context()
    context["ti"].next_method = "execute_complete"
    again.pre_execute(context)  # Airflow 2.11 times it out before execute_complete
    again.on_kill()
    assert again._resumed is context
    assert calls[-1] == "give up: the task was ended by hand"
