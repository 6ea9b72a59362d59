from __future__ import annotations

import json
import logging
import socket
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
from Tea import exceptions as sdk_exceptions

from airflow_provider_pai.exceptions import PaiConfigError, PaiTimeoutError, PaiTransientError
from airflow_provider_pai.hooks.aiworkspace import AIWorkspaceHook
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.jobs import JobHook
from airflow_provider_pai.hooks.pai import PaiConnectionHook
from airflow_provider_pai.remote import RemoteJob
from airflow_provider_pai.states import DLC_JOB
from tests.clock import VirtualClock
from tests.conftest import airflow_connection

pytestmark = pytest.mark.usefixtures("connection")


class Statuses(JobHook):
    """A hook whose job takes the given statuses, one a look."""

    states = DLC_JOB
    submit = tagged = request_stop = console_url = None

    def __init__(self, *statuses):
        super().__init__()
        self.statuses = list(statuses)
        self._log = logging.getLogger("tests.statuses")  # Airflow's own task logger does not propagate

    def get(self, job_id):
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return RemoteJob(job_id=job_id, status=status)


Statuses.__abstractmethods__ = frozenset()


def test_wait_tells_each_change_once(caplog):
    caplog.set_level(logging.INFO)
    hook = Statuses("Queuing", "Queuing", "Running", "Succeeded")
    assert hook.wait("j", poll_interval=0.001).status == "Succeeded"
    said = [record.getMessage() for record in caplog.records if "DLC job j" in record.getMessage()]
    assert [line.split(" ")[4].rstrip(",") for line in said] == ["Queuing", "Running", "Succeeded"]


def test_an_unknown_status_is_waited_out_with_a_warning(caplog):
    assert Statuses("Transmogrifying", "Succeeded").wait("j", poll_interval=0.001).status == "Succeeded"
    assert "'Transmogrifying' is not known" in caplog.text


def test_the_state_is_read_before_the_clock():
    past = datetime.now(UTC) - timedelta(hours=1)
    assert Statuses("Succeeded").wait("j", poll_interval=0.001, deadline=past).status == "Succeeded"
    with pytest.raises(PaiTimeoutError, match="was Running when its deadline"):
        Statuses("Running").wait("j", poll_interval=0.001, deadline=past)


def test_waits_and_retries_pass_the_hooks_own_time(caplog):
    caplog.set_level(logging.INFO)
    time = VirtualClock()
    hook = Statuses("Queuing", "Queuing", "Running")
    hook.clock = time.clock
    began, real = time.clock.now(), monotonic()
    with pytest.raises(PaiTimeoutError, match="was Running when its deadline"):
        hook.wait("j", poll_interval=600, deadline=datetime.fromtimestamp(began + 3600, UTC))
    assert time.clock.now() - began == 3600
    assert "Queuing until now for 20 minutes" in caplog.text

    def throttled():
        raise sdk_exceptions.TeaException({"code": "Throttling.User", "message": "slowly"})

    hook.retry_seconds = 1000
    with pytest.raises(PaiTransientError):
        hook.call("GetJob", throttled)
    assert time.clock.now() - began >= 4600
    assert monotonic() - real < 10


def test_a_code_source_is_made_once_and_found_again():
    hook = AIWorkspaceHook()
    first = hook.code_source("https://example.com/a.git", None, "/mnt/pai/code")
    assert hook.code_source("https://example.com/a.git", None, "/mnt/pai/code") == first
    assert hook.code_source("https://example.com/a.git", "dev", "/mnt/pai/code") != first


def test_a_code_source_needs_a_workspace_and_nothing_is_asked_without(pai, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai, workspace_id="")))
    asked = pai.account.faults.add(match="api .*CodeSource", status=500, times=1)
    for ask in (AIWorkspaceHook().ping, lambda: AIWorkspaceHook().code_source("https://e.com/a.git", None, "/mnt/c")):
        with pytest.raises(PaiConfigError, match=r"workspace_id: None .* give the connection its id"):
            ask()
    assert asked.times == 1


def test_the_test_button_names_what_answered():
    works, text = PaiConnectionHook().test_connection()
    assert works
    assert "ok: OSS, DLC, DSW, EAS, AIWorkspace, CloudMonitor: answered" in text


def test_the_test_button_names_the_missing_permission(pai):
    pai.account.faults.add(match="api ListInstances", status=403, code="Forbidden.RAM")
    works, text = PaiConnectionHook().test_connection()
    assert not works
    assert text.startswith("fault: DSW: ")
    assert "→ allow paidsw:ListInstances; " in text
    assert "ok: OSS, DLC, EAS, AIWorkspace, CloudMonitor: answered" in text


def test_the_test_button_tells_a_wrong_secret_once(pai, monkeypatch):
    wrong = {**airflow_connection(pai), "password": "wrong-secret"}
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(wrong))
    works, text = PaiConnectionHook().test_connection()
    assert not works
    assert text.count("the AccessKey Secret is wrong") == 1
    assert "permission" not in text


def test_the_test_button_waits_for_nobody(pai, monkeypatch):
    """A port that takes connections and never answers: each service hangs, all of them together once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        dead = airflow_connection(pai, endpoint_url=url, oss_endpoint=url)
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(dead))
        monkeypatch.setattr("airflow_provider_pai.hooks.pai.TEST_SECONDS", 0.5)
        works, text = PaiConnectionHook().test_connection()
    assert not works
    everything = "identity, OSS, DLC, DSW, EAS, AIWorkspace, CloudMonitor"
    assert text.startswith(f"fault: {everything}: no answer within 0.5 s")


def test_the_test_button_names_a_bad_field(pai, monkeypatch):
    broken = {**airflow_connection(pai, auth="magic")}
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(broken))
    works, text = PaiConnectionHook().test_connection()
    assert not works
    assert "auth: 'magic' is not allowed" in text


def test_events_and_logs_of_a_job():
    spec = {"Type": "Worker", "PodCount": 2, "Image": "i", "EcsSpec": "ecs.g6.large"}
    hook = DlcHook()
    job_id = hook.submit(
        {"DisplayName": "x", "JobType": "PyTorchJob", "UserCommand": "echo rank $RANK", "JobSpecs": [spec]}
    )
    job = hook.wait(job_id, poll_interval=0.02)
    assert hook.events(job_id)
    assert sorted(hook.log_tail(job).splitlines()) == [
        f"[{job_id}-master-0] rank 0",
        f"[{job_id}-worker-0] rank 1",
    ]
    hook.delete(job_id)
