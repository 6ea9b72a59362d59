"""Control endpoint: what it changes while the emulator runs, times, lists that lag, preempted pods."""

from __future__ import annotations

import pytest
import requests
from alibabacloud_pai_dlc20201203 import models as dlc

from airflow_provider_pai.emulator import Emulator
from tests.emulator.pai_sdk import (
    client,
    control,
    job_request,
    pod_logs,
    run_job,
    statuses,
    until,
    wait_job,
    wait_running,
)

SPOT = {
    "Type": "Worker",
    "PodCount": 2,
    "EcsSpec": "ecs.g6.large",
    "Image": "i",
    "SpotSpec": {"SpotStrategy": "SpotWithPriceLimit", "SpotPriceLimit": 0.1},
}


@pytest.fixture(scope="module")
def jobs(pai):
    return client(pai, "dlc")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """An emulator whose settings may be changed."""
    with Emulator(tmp_path_factory.mktemp("data"), dwell=0.01, grace=0.2) as emulator:
        yield emulator


def listed(jobs, **query):
    return [(job.job_id, job.status) for job in jobs.list_jobs(dlc.ListJobsRequest(**query)).body.jobs]


def test_lists_do_not_show_young_jobs_while_they_lag(own):
    jobs = client(own, "dlc")
    assert control(own, "settings", {"list_lag": 3600})["list_lag"] == 3600
    job_id = run_job(jobs, job_request("true")).job_id
    assert listed(jobs, job_ids=job_id) == []
    control(own, "settings", {"list_lag": 0})
    assert listed(jobs, job_ids=job_id) == [(job_id, "Succeeded")]


def age(pai, job_id, seconds):
    """Make a job older, so that a long lag shows it."""

    def change():
        pai.services.dlc.job(job_id).document["CreatedAt"] -= seconds

    pai.call(change)


def test_statuses_in_lists_lag(own):
    jobs = client(own, "dlc")
    job_id = jobs.create_job(job_request("sleep 60", Settings={"Tags": {"lag": "1"}})).body.job_id
    wait_running(jobs, job_id)
    age(own, job_id, 7200)
    control(own, "settings", {"list_lag": 3600})
    jobs.stop_job(job_id)
    assert wait_job(jobs, job_id).status == "Stopped"
    (item,) = jobs.list_jobs(dlc.ListJobsRequest(tags={"lag": "1"})).body.jobs
    assert (item.status, item.gmt_stopped_time, item.pods[0].status) == ("Running", None, "Running")
    assert statuses(item)[-1] == "Running"
    assert listed(jobs, tags={"lag": "1"}, status="Running") == [(job_id, "Running")]
    assert listed(jobs, tags={"lag": "1"}, status="Stopped") == []
    control(own, "settings", {"list_lag": 0})
    assert listed(jobs, tags={"lag": "1"}) == [(job_id, "Stopped")]


@pytest.mark.parametrize(
    "wrong", [{"region": "x"}, {"dwell": -1}, {"dwell": "1"}, {"grace": True}, {"drain": 1}, ["dwell"], None]
)
def test_wrong_settings_change_nothing(own, wrong):
    before = control(own, "settings", method="GET")
    assert set(before) == {"dwell", "grace", "list_lag", "weight_lag", "gateway_lag", "minute", "drain"}
    answer = requests.post(f"{own.endpoints.endpoint_url}/_emulator/settings", json=wrong, timeout=10)
    assert (answer.status_code, "error" in answer.json()) == (400, True)
    assert control(own, "settings", method="GET") == before


def test_a_preempted_spot_job_fails_whatever_its_restart_policy_and_its_grace(pai, jobs):
    command = "trap 'echo saving; sleep 60; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    settings = {"TerminationGracePeriodSeconds": 60}
    spec = SPOT | {"RestartPolicy": "Always"}
    job_id = jobs.create_job(job_request(command, JobSpecs=[spec], Settings=settings)).body.job_id
    pods = [f"{job_id}-master-0", f"{job_id}-worker-0"]
    wait_running(jobs, job_id)
    for pod in pods:
        until(lambda pod=pod: pod_logs(jobs, pod), lambda lines: lines == ["up"])
    assert control(pai, "preempt", {"job_id": job_id}) == {"evicted": pods}
    job = wait_job(jobs, job_id)
    assert (job.status, job.reason_code) == ("Failed", "JobFailed")
    assert {(pod.status, pod.sub_status) for pod in job.pods} == {("Failed", "Evicted")}
    assert (job.restart_times, statuses(job)[-2:]) == ("0/10", ["Running", "Failed"])
    again = requests.post(f"{pai.endpoints.endpoint_url}/_emulator/preempt", json={"job_id": job_id}, timeout=10)
    assert (again.status_code, "is running" in again.json()["error"]) == (400, True)


def test_a_preempted_pod_starts_again_under_its_restart_policy(pai, jobs):
    spec = {name: value for name, value in SPOT.items() if name != "SpotSpec"} | {"RestartPolicy": "OnFailure"}
    job_id = jobs.create_job(job_request("sleep 60", JobSpecs=[spec])).body.job_id
    wait_running(jobs, job_id)
    worker = f"{job_id}-worker-0"
    assert control(pai, "preempt", {"job_id": job_id, "pod_id": worker}) == {"evicted": [worker]}
    job = wait_restarted(jobs, job_id)
    master, pod = job.pods
    assert (job.restart_times, job.restart_record[0].restart_level_type) == ("1/10", "Pod")
    assert [(old.status, old.sub_status) for old in pod.history_pods] == [("Failed", "Evicted")]
    assert (pod.status, pod.sub_status, master.history_pods or []) == ("Running", "Normal", [])
    jobs.stop_job(job_id)


def wait_restarted(jobs, job_id):
    return until(
        lambda: jobs.get_job(job_id, dlc.GetJobRequest()).body,
        lambda job: job.restart_times == "1/10" and job.status == "Running" and job.pods[1].status == "Running",
    )


@pytest.mark.parametrize(("body", "code"), [({"job_id": "dlcnone"}, 404), ({}, 404), (None, 400), (["x"], 400)])
def test_preempts_only_what_there_is(pai, body, code):
    answer = requests.post(f"{pai.endpoints.endpoint_url}/_emulator/preempt", json=body, timeout=10)
    assert (answer.status_code, "error" in answer.json()) == (code, True)
