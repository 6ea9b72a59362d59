"""Jobs of DLC in the worlds that no document excludes: lists, stops, time limits, late logs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_pai.causes import Cause
from airflow_provider_pai.clock import Clock
from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.exceptions import PaiAnswerError, PaiApiError, PaiNotFoundError
from airflow_provider_pai.hooks.dlc import DlcHook, TensorBoardHook
from tests.conftest import airflow_connection

pytestmark = pytest.mark.usefixtures("connection")


def body(command="true", **fields):
    spec = {"Type": "Worker", "PodCount": 1, "EcsSpec": "ecs.g6.large", "Image": "i"}
    return {"DisplayName": "a", "JobType": "PyTorchJob", "JobSpecs": [spec], "UserCommand": command, **fields}


@pytest.fixture
def account(monkeypatch, request):
    """An account of its own."""
    with Emulator(**{"dwell": 0.01, "grace": 0.2, **getattr(request, "param", {})}) as pai:
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai)))
        yield pai


@pytest.mark.parametrize("days", [0, 30, 7])
def test_a_job_of_weeks_ago_is_found_by_its_tags_and_by_its_id(account, days):
    account.account.change_world({"dlc_list_days": days, "dlc_list_page": 50})
    hook = DlcHook()
    old, young = (hook.submit(body(Settings={"Tags": {"a": name}})) for name in ("old", "young"))
    hook.wait(old, poll_interval=0.02)

    def age():
        account.services.dlc._jobs[old].document["CreatedAt"] -= timedelta(days=80).total_seconds()

    account.call(age)
    assert [job.job_id for job in hook.tagged({"a": "old"})] == [old]
    assert [job["JobId"] for job in hook.list_jobs()] == [young, old]
    assert hook.get_many([old, young]).keys() == {old, young}
    assert TensorBoardHook().named("none") is None


@pytest.mark.parametrize("account", [{"dwell": 0.3}], indirect=True)
def test_a_stop_that_is_refused_while_a_job_is_prepared_is_asked_for_again(account):
    account.account.change_world({"dlc_stop_creating": "refused"})
    hook = DlcHook()
    job_id = hook.submit(body("sleep 60"))
    hook.retry_seconds = 0
    with pytest.raises(
        PaiApiError, match=f"{job_id} is (Creating|Queuing) and can't be ended yet: .* cannot be stopped"
    ) as caught:
        hook.request_stop(job_id)
    assert type(caught.value) is PaiApiError
    DlcHook().request_stop(job_id)
    assert hook.get(job_id).status in ("Stopping", "Stopped")
    hook.request_stop(job_id)


@pytest.mark.parametrize("account", [{"dwell": 0.01}], indirect=True)
def test_a_job_that_is_gone_since_an_answer_was_lost_is_deleted(account):
    hook = DlcHook()
    job_id = hook.submit(body("true"))
    hook.wait(job_id, poll_interval=0.02)
    account.account.faults.add(match="api DeleteJob", drop="answer", times=1)
    hook.delete(job_id)
    with pytest.raises(PaiNotFoundError):
        hook.get(job_id)


@pytest.mark.parametrize("account", [{"minute": 0.5}], indirect=True)
@pytest.mark.parametrize("status", ["Stopped", "Failed"])
def test_a_job_that_met_its_time_limit_says_so_whatever_its_status(account, status):
    account.account.change_world({"dlc_time_limit": status})
    hook = DlcHook()
    job = hook.wait(hook.submit(body("echo last; sleep 60", JobMaxRunningTimeMinutes=1)), poll_interval=0.05)
    failure = hook.failure(job)
    assert (failure.status, failure.reason.partition(":")[0]) == (status, "its time limit of 1 minute has passed")
    assert "last" in failure.log_tail
    untold = job._replace(reason_code=None, reason=None)  # the emulator's code is its own
    assert hook.failure(untold).cause is hook.diagnosis(untold).cause is Cause.TIMEOUT
    assert hook.usage(untold).cause == Cause.TIMEOUT


@pytest.mark.parametrize("account", [{"minute": 0.5, "list_lag": 3}], indirect=True)
def test_a_time_limit_is_told_though_lists_do_not_show_the_job_yet(account):
    hook = DlcHook()
    job = hook.wait(hook.submit(body("sleep 60", JobMaxRunningTimeMinutes=1)), poll_interval=0.05)
    assert list(hook.list_jobs()) == []
    assert "its time limit of 1 minute has passed" in hook.failure(job).reason


def test_a_job_that_failed_or_was_stopped_before_its_limit_does_not(account):
    hook = DlcHook()
    failed = hook.wait(hook.submit(body("exit 3", JobMaxRunningTimeMinutes=60)), poll_interval=0.02)
    assert "time limit" not in str(hook.failure(failed))
    job_id = hook.submit(body("sleep 60"))
    hook.request_stop(job_id)
    assert "JobStoppedByUser" in str(hook.failure(hook.wait(job_id, poll_interval=0.02)))


def test_lines_that_come_minutes_late_are_copied_once(monkeypatch):
    """Each line shows four minutes after it was written."""
    now = datetime(2026, 11, 28, 12, tzinfo=UTC)
    hook, copied = DlcHook(), []
    begun = now

    def moment() -> float:
        return now.timestamp()

    def pod_logs(job_id, pod_id, *, max_lines, start_time):
        since = datetime.fromisoformat(start_time) if start_time else begun
        written = [begun + timedelta(minutes=number) for number in range(60)]
        return [f"line {at:%M}" for at in written if since <= at <= now - timedelta(minutes=4)]

    monkeypatch.setattr(hook, "clock", Clock(now=moment, monotonic=begun.timestamp))
    monkeypatch.setattr(hook, "pod_logs", pod_logs)
    monkeypatch.setattr(hook, "describe", lambda job_id: {"Pods": [{"PodId": "master"}]})
    cursor = {}
    for _ in range(80):
        copied += hook.new_log_lines("dlc1", cursor)
        now += timedelta(seconds=30)
    assert copied == [f"[master] line {number:02}" for number in range(36)]


def test_one_job_that_can_t_be_read_is_nobody_else_s_trouble(account):
    hook = DlcHook()
    hook.retry_seconds = 0
    broken, *others = (hook.submit(body()) for _ in range(3))
    job = account.services.dlc._jobs[broken]
    item, describe = job.item, job.describe
    job.item = lambda: {**item(), "JobId": 7}
    found = hook.get_many([broken, *others])
    assert {job_id: found[job_id].job_id for job_id in found} == {each: each for each in (broken, *others)}
    job.describe = lambda *_: {**describe(), "Status": ["Running"]}
    found = hook.get_many([broken, *others])
    assert [found[job_id].job_id for job_id in others] == others
    assert isinstance(found[broken], PaiAnswerError)
    with pytest.raises(PaiAnswerError, match=r"ListJobs: .*JobId is a whole number, not a text"):
        list(hook.list_jobs())
