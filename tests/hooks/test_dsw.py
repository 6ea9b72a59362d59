"""DSW's hooks: what a refusal is, wherever it stands."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest

from airflow_provider_pai.causes import Cause
from airflow_provider_pai.exceptions import PaiApiError, PaiNotFoundError
from airflow_provider_pai.hooks.dsw import DswHook, DswRunHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.remote import LOG_NAME, RUN_DIR, RUN_URI, TIME_LIMIT, RemoteJob
from airflow_provider_pai.states import DSW_INSTANCE, Verdict

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture(params=["status", "body"])
def refusal(request, world):
    world(dsw_refusal=request.param)


def instance():
    """Make an instance and return its id once it runs."""
    body = {"InstanceName": f"n_{uuid.uuid4().hex[:8]}", "EcsSpec": "ecs.g6.large", "ImageId": "cpu"}
    hook = DswHook()
    instance_id = hook.submit(body)
    hook.wait(instance_id, poll_interval=0.02)
    return instance_id


def rest(instance_id):
    hook = DswHook()
    hook.stop(instance_id)
    hook.wait(instance_id, poll_interval=0.02, until=lambda job: DSW_INSTANCE.judge(job.status) is Verdict.FAILED)


@pytest.mark.usefixtures("refusal")
@pytest.mark.parametrize("hook_class", [DswHook, DswRunHook])
def test_a_wait_for_an_instance_that_is_gone_ends_at_once(hook_class):
    with pytest.raises(PaiNotFoundError, match="dsw-none does not exist"):
        hook_class().wait("dsw-none", poll_interval=3600)


@pytest.mark.usefixtures("refusal")
def test_stop_and_delete_of_an_instance_that_is_gone_are_no_errors():
    DswHook().request_stop("dsw-none")
    DswHook().delete("dsw-none")


@pytest.mark.usefixtures("refusal")
def test_a_step_that_does_not_fit_the_state_is_refused_once_and_for_all(monkeypatch):
    running = instance()
    calls = []
    real = DswHook.ask

    def ask(self, action, function, *shape, **options):
        def counted():
            calls.append(action)
            return function()

        return real(self, action, counted, *shape, **options)

    monkeypatch.setattr(DswHook, "ask", ask)
    with pytest.raises(PaiApiError, match="only a stopped one") as caught:
        DswHook().delete(running)
    assert type(caught.value) is PaiApiError
    assert caught.value.status == 400
    assert calls == ["DeleteInstance", "GetInstance"]
    rest(running)
    calls.clear()
    DswHook().request_stop(running)
    assert calls == ["StopInstance", "GetInstance"]


@pytest.mark.usefixtures("refusal")
def test_a_start_whose_answer_was_lost_is_a_start_and_one_that_is_up_needs_none(pai):
    stopped = instance()
    rest(stopped)
    pai.account.faults.add(match="api StartInstance", drop="answer", times=1)
    DswHook().start(stopped)
    DswHook().wait(stopped, poll_interval=0.02)
    DswHook().start(stopped)
    with pytest.raises(PaiNotFoundError):
        DswHook().start("dsw-none")


@pytest.fixture
def run_log(bucket):
    """Returns a hook, and a function that lets the log of a run be these bytes."""
    hook, run = DswRunHook(), f"oss://{bucket.bucket_name}/run"
    return hook, run, lambda data: hook.oss.put(f"{run}/{LOG_NAME}", data)


def test_of_a_log_of_any_size_each_line_is_copied_once_and_what_is_left_out_is_told(run_log, monkeypatch):
    hook, run, log_is = run_log
    monkeypatch.setattr("airflow_provider_pai.hooks.dsw.runs._LOG_BYTES", 1000)
    cursor = {"run_uri": run}
    look = lambda: hook.new_log_lines("dsw", cursor)  # noqa: E731
    assert look() == []
    log = "一行\r\nhalf".encode()
    log_is(log)
    assert look() == ["一行"]
    assert look() == []
    log += b" and half\n\xff\xfe is no UTF-8\nx"
    log_is(log)
    assert look() == ["half and half", "\ufffd\ufffd is no UTF-8"]
    log += b"x" * 5000 + b"\nlast\nno end"
    log_is(log)
    told, cut, last = look()
    assert re.fullmatch(r"… 40\d\d bytes are left out here", told)
    assert (set(cut), last) == ({"x"}, "last")
    assert look() == []


def test_of_a_long_log_its_end_alone_is_read(run_log, monkeypatch):
    hook, run, log_is = run_log
    log_is(b"x" * 3_000_000 + b"\nwhy it failed\n")
    sizes, real = [], OssHook.get
    monkeypatch.setattr(OssHook, "get", lambda *given, **how: sizes.append(how["size"]) or real(*given, **how))
    job = RemoteJob(job_id="dsw", status="RunFailed", facts={"run_uri": run})
    assert hook.log_tail(job).endswith("x\nwhy it failed")
    assert sizes == [1 << 20]
    assert len(hook.log_tail(job)) < 1000
    assert hook.log_tail(job._replace(facts={"run_uri": f"{run}/none"})) == ""


@pytest.mark.parametrize(("limit", "cause"), [(1, Cause.TIMEOUT), (3600, Cause.STOPPED)])
def test_a_run_that_its_timer_ended_says_so_and_one_that_somebody_stopped_does_not(bucket, limit, cause):
    hook, run = DswRunHook(), f"oss://{bucket.bucket_name}/{limit}/"
    variables = {RUN_URI: run, RUN_DIR: "/mnt/pai/run", TIME_LIMIT: str(limit)}
    command = {"OnStart": {"Content": "sleep 60"}}
    body = {"InstanceName": f"t_{limit}", "EcsSpec": "ecs.g6.large", "ImageId": "cpu", "UserCommand": command}
    mount = {"Uri": hook.oss.mount_uri(run), "MountPath": "/mnt/pai/run", "MountAccess": "RW"}
    instance_id = hook.submit({**body, "EnvironmentVariables": variables, "Datasets": [mount]})
    hook.stop_at(instance_id, hook.service_clock.utc() + timedelta(seconds=1))
    failed = hook.wait(instance_id, poll_interval=0.05)
    told = "its time limit of 1 second has passed"
    assert (hook.failure(failed).reason.partition(":")[0] == told) is (cause is Cause.TIMEOUT)
    assert hook.diagnosis(failed).cause is cause
    assert hook.usage(failed).cause == cause
