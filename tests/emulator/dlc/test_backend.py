"""The DLC API through the real SDK: requests, lists, logs, answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from alibabacloud_pai_dlc20201203 import models as dlc
from alibabacloud_tea_openapi.exceptions import ClientException

from airflow_provider_pai.emulator import Emulator
from tests.emulator.pai_sdk import client, data_source, job_request, pod_logs, run_job, unknown_fields, until, wait_job


def listed(jobs, **query):
    return [job.job_id for job in jobs.list_jobs(dlc.ListJobsRequest(page_size=100, **query)).body.jobs]


def test_answers_have_only_fields_of_the_sdks_models(pai, jobs, bucket):
    vpc = {"VpcId": "vpc-1", "SecurityGroupId": "sg-1", "ExtendedCIDRs": ["10.0.0.0/8"]}
    request = job_request(
        "true",
        pods=2,
        Envs={"A": "1"},
        CustomEnvs=[{"Key": "B", "Value": "2"}],
        Description="d",
        UserVpc=vpc,
        DataSources=[data_source(bucket, "in/", "/mnt/in", "RO")],
        JobMaxRunningTimeMinutes=5,
    )
    job_id = run_job(jobs, request).job_id
    answer = pai.call(lambda: pai.services.dlc.get(job_id))
    item = pai.call(lambda: pai.services.dlc.list({"JobIds": job_id}, {}, 1, 10))
    for model, body in [(dlc.GetJobResponseBody, answer), (dlc.ListJobsResponseBody, item)]:
        known = model().from_map(body).to_map()
        assert not unknown_fields(body, known)
    assert answer["UserVpc"]["ExtendedCidrs"] == ["10.0.0.0/8"]


def test_times_are_those_of_the_accounts_clock(pai, jobs, monkeypatch):
    begun = datetime.now(UTC)
    monkeypatch.setattr(pai.account, "now", lambda: datetime.now(UTC) + timedelta(minutes=10))
    job = run_job(jobs, job_request("echo a"))
    assert datetime.fromisoformat(job.gmt_create_time) - begun > timedelta(minutes=9)
    assert job.duration < 60
    assert pod_logs(jobs, job.pods[0].pod_id) == ["a"]


# Prints a and b, then from the start of a second on that second (as the API's whole seconds cut it) and d.
TWO_SECONDS = "echo a; echo b; sleep 0.4; s=$(date +%s); until [ $(date +%s) != $s ]; do :; done; date +%s; printf d"


def test_logs_are_cut_by_time_and_number(jobs):
    job = run_job(jobs, job_request(TWO_SECONDS))
    pod_id = job.pods[0].pod_id
    a, b, second, d = pod_logs(jobs, pod_id)
    assert [a, b, d] == ["a", "b", "d"]
    assert pod_logs(jobs, pod_id, max_lines=2) == [second, "d"]
    cut = datetime.fromtimestamp(int(second), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert pod_logs(jobs, pod_id, end_time=cut) == ["a", "b"]
    assert pod_logs(jobs, pod_id, start_time=cut) == [second, "d"]
    with pytest.raises(ClientException, match="StartTime must be a time"):
        pod_logs(jobs, pod_id, start_time="yesterday")
    with pytest.raises(ClientException) as refusal:
        pod_logs(jobs, f"{job.job_id}-worker-7")
    assert refusal.value.status_code == 404


def test_lists_by_ids_tags_name_status_and_page(jobs):
    ids = [
        jobs.create_job(
            job_request("true", DisplayName=f"List-Me-{index}", Settings={"Tags": {"list": "me", "n": str(index)}})
        ).body.job_id
        for index in range(3)
    ]
    for job_id in ids:
        wait_job(jobs, job_id)
    assert listed(jobs, tags={"list": "me"}) == ids[::-1]
    assert listed(jobs, tags={"list": "me", "n": "1"}) == [ids[1]]
    assert listed(jobs, tags={"list": "you"}) == []
    assert listed(jobs, display_name="list-me", order="asc") == ids
    assert listed(jobs, job_ids=",".join(ids[:2]), sort_by="DisplayName", order="asc") == ids[:2]
    assert listed(jobs, job_ids=ids[0], status="Succeeded", job_type="PyTorchJob") == ids[:1]
    assert listed(jobs, job_ids=ids[0], status="Running") == []
    page = jobs.list_jobs(dlc.ListJobsRequest(tags={"list": "me"}, page_size=2, page_number=2)).body
    assert ([job.job_id for job in page.jobs], page.total_count) == (ids[:1], 3)
    assert page.jobs[0].settings.tags == {"list": "me", "n": "0"}


@pytest.mark.parametrize(
    "query", [{"page_size": 101}, {"page_number": 0}, {"sort_by": "Color"}, {"reason_search": "x"}]
)
def test_refuses_lists_it_cannot_give(jobs, query):
    with pytest.raises(ClientException) as refusal:
        jobs.list_jobs(dlc.ListJobsRequest(**query))
    assert refusal.value.code == "InvalidParameter"


def test_without_a_start_time_lists_show_seven_days(pai, jobs):
    job_id = run_job(jobs, job_request("true")).job_id

    def age():
        pai.services.dlc._jobs[job_id].document["CreatedAt"] -= 8 * 24 * 3600

    pai.call(age)
    assert listed(jobs, job_ids=job_id) == []
    start = (datetime.now(UTC) - timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert listed(jobs, job_ids=job_id, start_time=start) == [job_id]


def test_lists_may_lag(tmp_path):
    with Emulator(tmp_path, dwell=0.01, list_lag=0.5) as pai:
        jobs = client(pai, "dlc")
        job_id = jobs.create_job(job_request("true")).body.job_id
        assert listed(jobs) == []
        assert jobs.get_job(job_id, dlc.GetJobRequest()).body.job_id == job_id
        until(lambda: listed(jobs), lambda ids: ids == [job_id])


def test_only_ended_jobs_can_be_deleted(jobs):
    job_id = jobs.create_job(job_request("sleep 60")).body.job_id
    with pytest.raises(ClientException) as refusal:
        jobs.delete_job(job_id)
    assert refusal.value.code == "BadRequest"
    jobs.stop_job(job_id)
    wait_job(jobs, job_id)
    jobs.delete_job(job_id)
    with pytest.raises(ClientException) as refusal:
        jobs.get_job(job_id, dlc.GetJobRequest())
    assert (refusal.value.status_code, refusal.value.code) == (404, "NotFound")
    assert listed(jobs, job_ids=job_id) == []


def test_priority_changes_only_with_a_quota_and_before_running(tmp_path):
    with Emulator(tmp_path, dwell=0.5, grace=0.1) as pai:
        jobs = client(pai, "dlc")
        spec = {"Type": "Worker", "PodCount": 1, "Image": "i", "ResourceConfig": {"CPU": "4", "Memory": "16Gi"}}
        with_quota = job_request("true", ResourceId="quota1", JobSpecs=[spec])
        ids = [jobs.create_job(request).body.job_id for request in (with_quota, job_request("true"))]
        for job_id in ids:
            jobs.update_job(job_id, dlc.UpdateJobRequest(priority=7))
        found = [jobs.get_job(job_id, dlc.GetJobRequest()).body for job_id in ids]
    assert [job.priority for job in found] == [7, 1]
    assert found[0].request_cpu == 4


SPEC = {"Type": "Worker", "PodCount": 1, "EcsSpec": "ecs.g6.large", "Image": "i"}
SPOT = SPEC | {"SpotSpec": {"SpotStrategy": "SpotWithPriceLimit", "SpotDiscountLimit": 0.5}}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"UserCommand": ""}, "UserCommand is required"),
        ({"DisplayName": "a b"}, "DisplayName must have"),
        ({"DisplayName": "a" * 257}, "DisplayName must have"),
        ({"JobType": "pytorchjob"}, "JobType must be one of"),
        ({"JobSpecs": []}, "JobSpecs is required"),
        ({"JobSpecs": [{**SPEC, "Type": "PS"}]}, r"JobSpecs\[0\].Type of a PyTorchJob"),
        ({"JobSpecs": [{**SPEC, "PodCount": 0}]}, "PodCount must be"),
        ({"JobSpecs": [SPEC, SPEC]}, "Worker is there twice"),
        ({"JobSpecs": [{**SPEC, "Type": "Master", "PodCount": 2}]}, "PodCount of Master must be 1"),
        ({"JobSpecs": [{**SPEC, "EcsSpec": None}]}, "either EcsSpec or ResourceConfig"),
        ({"JobSpecs": [{**SPEC, "ResourceConfig": {"CPU": "1"}}]}, "either EcsSpec or ResourceConfig"),
        ({"JobSpecs": [{**SPEC, "EcsSpec": "large"}]}, "EcsSpec must be an instance type"),
        ({"JobSpecs": [{**SPEC, "RestartPolicy": "Sometimes"}]}, "RestartPolicy must be one of"),
        ({"JobSpecs": [{**SPEC, "SpotSpec": {"SpotStrategy": "Cheap"}}]}, "SpotStrategy must be one of"),
        (
            {"JobSpecs": [{**SPEC, "SpotSpec": {"SpotDiscountLimit": 0.5, "SpotPriceLimit": 1}}]},
            "only one of SpotDiscountLimit and SpotPriceLimit",
        ),
        ({"JobSpecs": [{**SPEC, "SpotSpec": {"SpotPriceLimit": "1"}}]}, "SpotPriceLimit must be a number"),
        ({"JobSpecs": [SPOT], "JobType": "MPIJob"}, "SpotSpec is for PyTorchJob there, not for MPIJob"),
        (
            {"JobSpecs": [{**SPOT, "EcsSpec": "ml.gu7xf.8xlarge-gu108"}], "JobType": "XGBoostJob"},
            "SpotSpec is for PyTorchJob, MPIJob there, not for XGBoostJob",
        ),
        ({"JobSpecs": [SPOT], "ResourceId": "quota1"}, "ResourceId names those of a quota"),
        (
            {"JobSpecs": [{**SPEC, "IsChief": True}, {**SPEC, "Type": "Master", "IsChief": True}]},
            "Only one of the JobSpecs may have IsChief",
        ),
        ({"UserVpc": {"VpcId": "v", "SwitchId": "s"}}, "ExtendedCIDRs is required when SwitchId"),
        ({"UserVpc": {"VpcId": "v", "DefaultRoute": "eth2"}}, "UserVpc.DefaultRoute must be one of eth0, eth1"),
        ({"DataSources": [{"MountPath": "/mnt/a"}]}, "either DataSourceId or Uri"),
        ({"DataSources": [{"MountPath": "/mnt/a", "Uri": "nas://x/"}]}, r"DataSources\[0\].Uri must look like"),
        ({"DataSources": [{"MountPath": "/mnt/../a", "Uri": "oss://bbb/a/"}]}, r"DataSources\[0\].MountPath must be"),
        (
            {"DataSources": [{"MountPath": "/mnt", "Uri": "oss://bbb/"}, {"MountPath": "/mnt/a", "Uri": "oss://bbb/"}]},
            "lie in one another",
        ),
        ({"CodeSource": {"CodeSourceId": "code-none"}}, "Code source code-none does not exist"),
        ({"Priority": 10}, "Priority must be a whole number from 1 to 9"),
        ({"JobMaxRunningTimeMinutes": 0.5}, "JobMaxRunningTimeMinutes must be a whole number"),
        ({"SuccessPolicy": "AllWorkers"}, "SuccessPolicy is for TFJob only"),
        ({"WorkspaceId": "1"}, "WorkspaceId '1' does not exist"),
        ({"Envs": {"A": 1}}, "Envs.A must be a text"),
        ({"Envs": {"A": "x" * 65_536}}, "65536 are allowed"),
    ],
)
def test_refuses_bad_jobs_before_they_exist(jobs, fields, message):
    before = jobs.list_jobs(dlc.ListJobsRequest(page_size=1)).body.total_count
    with pytest.raises(ClientException, match=message):
        jobs.create_job(
            job_request("true", **fields)
            if "UserCommand" not in fields
            else job_request(**{"command": fields["UserCommand"]})
        )
    assert jobs.list_jobs(dlc.ListJobsRequest(page_size=1)).body.total_count == before


def test_lists_instance_types(jobs):
    specs = jobs.list_ecs_specs(dlc.ListEcsSpecsRequest(accelerator_type="GPU", sort_by="GPU", page_size=2)).body
    assert [(spec.accelerator_type, spec.gpu) for spec in specs.ecs_specs] == [("GPU", 4), ("GPU", 4)]
    assert specs.total_count > 2


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_a_command_runs_in_the_shell_of_the_world(pai, jobs, shell):
    pai.account.change_world({"dlc_shell": shell})
    job = run_job(jobs, job_request("echo ${BASH_VERSION:+bash}${BASH_VERSION:-sh}"))
    (line,) = pod_logs(jobs, job.pods[0].pod_id)
    assert line.startswith(shell)


def test_lists_may_refuse_large_pages_and_long_times(pai, jobs):
    pai.account.change_world({"dlc_list_days": 7, "dlc_list_page": 50})
    days = lambda count: (datetime.now(UTC) - timedelta(days=count)).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: E731
    for query in ({"page_size": 51}, {"start_time": days(7)}, {"start_time": days(30), "end_time": days(20)}):
        with pytest.raises(ClientException, match=r"PageSize must be|at most 7 days before EndTime"):
            jobs.list_jobs(dlc.ListJobsRequest(**query))
    for query in ({"page_size": 50}, {"start_time": days(6)}, {"start_time": days(30), "end_time": days(23)}):
        jobs.list_jobs(dlc.ListJobsRequest(**query))
