"""Quotas with limited room: who waits, and who goes next."""

from __future__ import annotations

import uuid

import pytest
import requests
from alibabacloud_pai_dlc20201203 import models as dlc

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.emulator.__main__ import main, parser
from tests.emulator.pai_sdk import client, control, job_request, run_job, until, wait_for, wait_job, wait_running


@pytest.fixture
def quota(pai):
    """A quota of its own for each test, with room for one pod."""
    quota_id = f"quota{uuid.uuid4().hex[:8]}"
    control(pai, "quotas", {quota_id: {"pods": 1}})
    yield quota_id
    control(pai, "quotas", method="DELETE")


def submit(jobs, quota, command, *, pods=1, resources=None, **fields):
    spec = {"Type": "Worker", "PodCount": pods, "Image": "i", "ResourceConfig": resources or {"CPU": "1"}}
    return jobs.create_job(job_request(command, ResourceId=quota, JobSpecs=[spec], **fields)).body.job_id


def waiting(pai, quota, *ids):
    """Wait until exactly these jobs wait, in this order."""
    until(lambda: control(pai, "quotas", method="GET")[quota]["waiting"], lambda found: found == list(ids))


def status(jobs, job_id):
    return jobs.get_job(job_id, dlc.GetJobRequest()).body.status


def test_jobs_wait_and_go_by_priority_then_age(pai, jobs, quota, tmp_path):
    go, order = tmp_path / "go", tmp_path / "order"
    holder = submit(jobs, quota, wait_for(go))
    wait_running(jobs, holder)
    ids = []
    for name, priority in [("old", 1), ("young", 1), ("urgent", 5)]:
        ids.append(submit(jobs, quota, f"echo {name} >> {order}", Priority=priority))
    waiting(pai, quota, ids[2], ids[0], ids[1])
    assert {status(jobs, job_id) for job_id in ids} == {"Queuing"}
    assert control(pai, "quotas", method="GET")[quota]["used"]["pods"] == 1
    go.touch()
    assert {wait_job(jobs, job_id).status for job_id in [holder, *ids]} == {"Succeeded"}
    assert order.read_text().split() == ["urgent", "old", "young"]


def test_a_raised_priority_goes_first(pai, jobs, quota, tmp_path):
    go, order = tmp_path / "go", tmp_path / "order"
    wait_running(jobs, submit(jobs, quota, wait_for(go)))
    first, second = (submit(jobs, quota, f"echo {name} >> {order}") for name in ("first", "second"))
    waiting(pai, quota, first, second)
    jobs.update_job(second, dlc.UpdateJobRequest(priority=9))
    waiting(pai, quota, second, first)
    go.touch()
    assert {wait_job(jobs, job_id).status for job_id in (first, second)} == {"Succeeded"}
    assert order.read_text().split() == ["second", "first"]


def test_a_stopped_job_leaves_the_queue(pai, jobs, quota, tmp_path):
    wait_running(jobs, submit(jobs, quota, wait_for(tmp_path / "go")))
    first, second = submit(jobs, quota, "true"), submit(jobs, quota, "true")
    waiting(pai, quota, first, second)
    jobs.stop_job(first)
    job = wait_job(jobs, first)
    assert (job.status, job.gmt_running_time) == ("Stopped", None)
    waiting(pai, quota, second)
    (tmp_path / "go").touch()
    assert wait_job(jobs, second).status == "Succeeded"


def test_a_stopped_and_a_failed_job_give_their_room_back(pai, jobs, quota):
    holder = submit(jobs, quota, "sleep 60")
    wait_running(jobs, holder)
    failing, last = submit(jobs, quota, "false"), submit(jobs, quota, "true")
    waiting(pai, quota, failing, last)
    jobs.stop_job(holder)
    assert [wait_job(jobs, job_id).status for job_id in (holder, failing, last)] == ["Stopped", "Failed", "Succeeded"]


def test_a_held_result_holds_its_room(pai, jobs, quota):
    holder = submit(jobs, quota, "true", Settings={"JobReservedMinutes": 30})
    wait_job(jobs, holder, {"SucceededReserving"})
    job_id = submit(jobs, quota, "true")
    waiting(pai, quota, job_id)
    jobs.stop_job(holder)
    assert wait_job(jobs, job_id).status == "Succeeded"


def test_who_does_not_fit_holds_up_those_behind_and_nobody_else(pai, jobs, quota, tmp_path):
    control(pai, "quotas", {quota: {"pods": 4, "gpu": 2, "memory": 64}})
    one = {"GPU": "1", "CPU": "1", "Memory": "8Gi"}
    wait_running(jobs, submit(jobs, quota, wait_for(tmp_path / "go"), resources=one))
    big = submit(jobs, quota, "true", pods=2, resources=one)
    small = submit(jobs, quota, "true", resources=one)
    waiting(pai, quota, big, small)
    assert run_job(jobs, job_request("true")).status == "Succeeded"
    assert wait_job(jobs, submit(jobs, "unlimited", "true")).status == "Succeeded"
    control(pai, "quotas", {quota: {"gpu": 4}})
    assert {wait_job(jobs, job_id).status for job_id in (big, small)} == {"Succeeded"}
    (tmp_path / "go").touch()


def test_limits_come_with_the_emulator_and_can_be_lifted(tmp_path):
    with Emulator(tmp_path, dwell=0.01, quotas={"none": {"pods": 0}}) as pai:
        jobs = client(pai, "dlc")
        job_id = submit(jobs, "none", "true")
        waiting(pai, "none", job_id)
        assert control(pai, "quotas", method="DELETE") == {}
        assert wait_job(jobs, job_id).status == "Succeeded"


@pytest.mark.parametrize("wrong", [{"q": {"nodes": 1}}, {"q": {"gpu": "1"}}, {"q": {"gpu": -1}}, {"q": 1}, ["q"], None])
def test_wrong_limits_change_nothing(pai, wrong):
    before = control(pai, "quotas", method="GET")
    answer = requests.post(f"{pai.endpoints.endpoint_url}/_emulator/quotas", json=wrong, timeout=10)
    assert (answer.status_code, "error" in answer.json()) == (400, True)
    assert control(pai, "quotas", method="GET") == before


def test_the_command_takes_limits():
    options = parser().parse_args(["--quota", "a:pods=2,gpu=8", "--quota", "b:memory=0.5"])
    assert dict(options.quota) == {"a": {"pods": 2, "gpu": 8}, "b": {"memory": 0.5}}


@pytest.mark.parametrize("wrong", ["q", "q:pods", "q:nodes=1", "q:pods=x"])
def test_the_command_refuses_wrong_limits(wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--quota", wrong])
    assert ended.value.code == 2
    assert "--quota" in capsys.readouterr().err
