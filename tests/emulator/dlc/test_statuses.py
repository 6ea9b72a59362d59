"""Every documented status of a job, and the ways to its end, through the real SDK."""

from __future__ import annotations

import time

import pytest
from alibabacloud_pai_dlc20201203 import models as dlc

from airflow_provider_pai.emulator import Emulator
from tests.emulator.pai_sdk import (
    alive,
    client,
    control,
    job_request,
    pod_logs,
    run_job,
    statuses,
    until,
    wait_for,
    wait_job,
    wait_running,
)

SPEC = {"Type": "Worker", "PodCount": 1, "EcsSpec": "ecs.g6.large", "Image": "i"}
SPOT = {"SpotSpec": {"SpotStrategy": "SpotWithPriceLimit", "SpotDiscountLimit": 0.5}}
LINGJUN = {"EcsSpec": "ml.gu7xf.8xlarge-gu108"}


def found(jobs, job_id):
    return jobs.get_job(job_id, dlc.GetJobRequest()).body


@pytest.mark.parametrize(
    ("spec", "bids", "resource", "payment"),
    [
        (LINGJUN | SPOT, True, "Lingjun", "Spot"),
        (LINGJUN | {"UseSpotInstance": True}, True, "Lingjun", "Spot"),
        (LINGJUN, False, "Lingjun", "PostPaid"),
        (SPOT, False, "ECS", "Spot"),
    ],
)
def test_only_spot_jobs_on_lingjun_bid(jobs, spec, bids, resource, payment):
    job = run_job(jobs, job_request("true", JobSpecs=[SPEC | spec]))
    bidding = ["Bidding"] if bids else []
    assert statuses(job) == ["Creating", "Queuing", *bidding, "EnvPreparing", "Running", "Succeeded"]
    assert job.resource_type == resource
    for kind in ("Spot", "PostPaid", "PrePaid"):
        listed = jobs.list_jobs(dlc.ListJobsRequest(job_ids=job.job_id, payment_type=kind)).body.jobs
        assert bool(listed) is (kind == payment)


def test_a_sanity_check_comes_before_running_if_it_is_asked_for(jobs):
    job = run_job(jobs, job_request("true", Settings={"EnableSanityCheck": True}))
    assert statuses(job) == ["Creating", "Queuing", "EnvPreparing", "SanityChecking", "Running", "Succeeded"]


@pytest.mark.parametrize(
    ("command", "policy", "held"),
    [
        ("true", None, True),
        ("true", "Always", True),
        ("true", "OnSucceed", True),
        ("true", "OnFailure", False),
        ("false", None, True),
        ("false", "OnFailure", True),
        ("false", "OnSucceed", False),
    ],
)
def test_a_result_is_held_as_the_settings_ask(short_minutes, command, policy, held):
    settings = {"JobReservedMinutes": 1, **({"JobReservedPolicy": policy} if policy else {})}
    job = run_job(short_minutes, job_request(command, Settings=settings))
    result = "Succeeded" if command == "true" else "Failed"
    assert statuses(job)[3:] == ["Running", *([f"{result}Reserving"] if held else []), result]
    assert job.reason_code == ("JobSucceeded" if command == "true" else "JobFailed")


@pytest.fixture(scope="module")
def short_minutes(tmp_path_factory):
    with Emulator(tmp_path_factory.mktemp("data"), dwell=0.01, grace=0.5, minute=0.05) as pai:
        yield client(pai, "dlc")


@pytest.mark.parametrize(("command", "result"), [("true", "Succeeded"), ("false", "Failed")])
def test_a_stop_lets_go_of_a_held_job_which_keeps_its_result(jobs, command, result):
    job_id = jobs.create_job(job_request(command, Settings={"JobReservedMinutes": 30})).body.job_id
    job = wait_job(jobs, job_id, {f"{result}Reserving"})
    assert (job.gmt_finish_time, job.pods[0].status) == (None, result)
    jobs.stop_job(job_id)
    assert wait_job(jobs, job_id).status == result


def test_what_never_ran_is_not_held(jobs):
    sources = [{"Uri": "oss://no-such-bucket-here/x/", "MountPath": "/mnt/x"}]
    job = run_job(jobs, job_request("true", DataSources=sources, Settings={"JobReservedMinutes": 30}))
    assert statuses(job)[-2:] == ["EnvPreparing", "Failed"]


def test_a_held_result_survives_the_emulator(tmp_path):
    with Emulator(tmp_path, dwell=0.01) as pai:
        jobs = client(pai, "dlc")
        job_id = jobs.create_job(job_request("true", Settings={"JobReservedMinutes": 30})).body.job_id
        wait_job(jobs, job_id, {"SucceededReserving"})
    with Emulator(tmp_path, dwell=0.01) as pai:
        job = found(client(pai, "dlc"), job_id)
    assert (job.status, job.reason_code, bool(job.gmt_finish_time)) == ("Succeeded", "JobSucceeded", True)


def test_a_pod_has_its_own_grace_to_save_its_work(jobs, tmp_path):
    saved = f"trap '{wait_for(tmp_path / 'go')}; echo saved; exit 1' TERM"
    request = job_request(
        f"{saved}; echo up; while :; do sleep 0.05; done", Settings={"TerminationGracePeriodSeconds": 60}
    )
    job_id = jobs.create_job(request).body.job_id
    pod_id = f"{job_id}-master-0"
    wait_running(jobs, job_id)
    until(lambda: pod_logs(jobs, pod_id), lambda lines: lines == ["up"])
    jobs.stop_job(job_id)
    time.sleep(1)  # longer than the emulator's own grace
    assert found(jobs, job_id).status == "Stopping"
    (tmp_path / "go").touch()
    assert wait_job(jobs, job_id).status == "Stopped"
    assert pod_logs(jobs, pod_id)[-1] == "saved"


@pytest.mark.parametrize("end", ["true", "false"])
def test_nothing_that_a_job_started_outlives_it(jobs, tmp_path, end):
    file = tmp_path / "pid"
    job = run_job(jobs, job_request(f"setsid sleep 300 & echo $! > {file}; {end}"))
    assert job.status == ("Succeeded" if end == "true" else "Failed")
    assert not alive(int(file.read_text()))


@pytest.mark.parametrize(
    ("policy", "command", "restarts"),
    [
        ("Never", "kill -9 $$", 0),
        ("ExitCode", "exit 1", 0),
        ("ExitCode", "kill -9 $$", 1),
        ("OnFailure", "exit 1", 1),
        ("Always", "exit 1", 1),
    ],
)
def test_the_restart_policy_decides_who_starts_again(jobs, tmp_path, policy, command, restarts):
    once = f"test -e {tmp_path / 'seen'} || {{ touch {tmp_path / 'seen'}; {command}; }}"
    job = run_job(jobs, job_request(once, JobSpecs=[SPEC | {"RestartPolicy": policy}]))
    assert job.status == ("Succeeded" if restarts else "Failed")
    assert (job.restart_times, len(job.pods[0].history_pods or [])) == (f"{restarts}/10", restarts)
    assert statuses(job).count("Restarting") == restarts


def test_a_pod_that_always_fails_is_given_up(jobs):
    job = run_job(jobs, job_request("exit 1", JobSpecs=[SPEC | {"RestartPolicy": "Always"}]))
    assert (job.status, job.restart_times, len(job.restart_record)) == ("Failed", "10/10", 10)


def test_restarting_is_the_sub_status_too(tmp_path):
    spec = SPEC | {"RestartPolicy": "Always"}
    with Emulator(tmp_path, dwell=0.01, grace=0.1) as pai:
        jobs = client(pai, "dlc")
        job_id = jobs.create_job(job_request("sleep 60", JobSpecs=[spec])).body.job_id
        wait_running(jobs, job_id)
        control(pai, "settings", {"dwell": 600})
        control(pai, "preempt", {"job_id": job_id})
        job = wait_job(jobs, job_id, {"Restarting"})
    assert (job.sub_status, job.pods[0].status) == ("Restarting", "Pending")


@pytest.mark.parametrize(("policy", "waits"), [("ChiefWorker", False), ("AllWorkers", True), (None, True)])
def test_the_success_policy_says_whether_a_tensorflow_job_waits_for_its_workers(jobs, tmp_path, policy, waits):
    specs = [SPEC | {"Type": "Chief", "UserCommand": "true"}, SPEC | {"UserCommand": wait_for(tmp_path / "go")}]
    fields = {"SuccessPolicy": policy} if policy else {}
    job_id = jobs.create_job(job_request("true", job_type="TFJob", JobSpecs=specs, **fields)).body.job_id
    chief = lambda: next(pod for pod in found(jobs, job_id).pods if pod.type == "Chief").status  # noqa: E731
    until(chief, lambda status: status == "Succeeded")
    if waits:
        assert found(jobs, job_id).status == "Running"
        (tmp_path / "go").touch()
    assert wait_job(jobs, job_id).status == "Succeeded"
