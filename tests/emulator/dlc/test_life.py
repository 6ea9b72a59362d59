"""The life of jobs through the real SDK: what runs, what is left."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from alibabacloud_pai_dlc20201203 import models as dlc
from alibabacloud_tea_openapi.exceptions import ClientException

from airflow_provider_pai.emulator import Emulator
from tests.emulator.pai_sdk import alive, client, data_source, job_request, pod_logs, run_job, until, wait_for, wait_job


def test_a_job_runs_through_the_documented_statuses(pai, jobs):
    job = run_job(jobs, job_request("echo hello", Settings={"Tags": {"team": "a"}}, Priority=3))
    history = [(entry.status, bool(entry.end_time)) for entry in job.status_history]
    assert history == [
        ("Creating", True),
        ("Queuing", True),
        ("EnvPreparing", True),
        ("Running", True),
        ("Succeeded", False),
    ]
    assert (job.status, job.reason_code, job.restart_times) == ("Succeeded", "JobSucceeded", "0/10")
    assert job.gmt_create_time <= job.gmt_running_time <= job.gmt_successed_time == job.gmt_finish_time
    assert (job.settings.tags, job.priority, job.workspace_id) == ({"team": "a"}, 3, pai.endpoints.workspace_id)
    assert (job.request_cpu, job.request_memory) == (2, 8)
    assert [(pod.pod_id, pod.type, pod.status) for pod in job.pods] == [
        (f"{job.job_id}-master-0", "Master", "Succeeded")
    ]
    assert pod_logs(jobs, job.pods[0].pod_id) == ["hello"]


def test_a_failing_pod_fails_the_job_with_its_exit_code(jobs):
    job = run_job(jobs, job_request("echo before; echo oops >&2; exit 3"))
    assert (job.status, job.reason_code) == ("Failed", "JobFailed")
    told = json.loads(job.reason_message)
    assert told["overview"] == f"PyTorchJob {job.job_id} failed because 1 Master replica(s) failed."
    assert [(part["pods"], part["reason"]) for part in told["content"]] == [({"Master": [0]}, "3")]
    assert job.gmt_failed_time == job.gmt_finish_time
    assert job.gmt_successed_time is None
    assert pod_logs(jobs, f"{job.job_id}-master-0") == ["before", "oops"]
    events = jobs.get_pod_events(job.job_id, f"{job.job_id}-master-0", dlc.GetPodEventsRequest()).body.events
    assert "exited with code 3" in events[-1]
    assert "Job is Failed" in jobs.get_job_events(job.job_id, dlc.GetJobEventsRequest()).body.events[-1]


RENDEZVOUS = """
import os, socket
address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
if rank == 0:
    with socket.create_server(address) as server:
        heard = sorted(server.accept()[0].recv(9).decode() for _ in range(size - 1))
    print("master heard", *heard)
else:
    while True:
        try:
            socket.create_connection(address).sendall(str(rank).encode())
            break
        except ConnectionRefusedError:
            pass
"""


def test_pods_meet_over_the_documented_environment(jobs):
    job = run_job(jobs, job_request(f"python -c '{RENDEZVOUS}'", pods=3))
    assert job.status == "Succeeded", job.reason_message
    assert [pod.pod_id.removeprefix(job.job_id) for pod in job.pods] == ["-master-0", "-worker-0", "-worker-1"]
    assert pod_logs(jobs, job.pods[0].pod_id) == ["master heard 1 2"]


COLLECTIVE = """
import os, numpy as np, xgboost as xgb
from xgboost.tracker import RabitTracker
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
port = int(os.environ["MASTER_PORT"])
if rank == 0:
    tracker = RabitTracker(host_ip=os.environ["MASTER_ADDR"], n_workers=size, port=port)
    tracker.start()
arguments = dict(dmlc_tracker_uri=os.environ["MASTER_ADDR"], dmlc_tracker_port=port, dmlc_retry=10)
with xgb.collective.CommunicatorContext(**arguments):
    print("sum", int(xgb.collective.allreduce(np.array([rank + 1]), xgb.collective.Op.SUM)[0]))
"""


def test_xgboost_pods_reduce_together(jobs, bucket):
    bucket.put_object("code/collective.py", COLLECTIVE)
    request = job_request(
        "python /mnt/code/collective.py",
        pods=2,
        job_type="XGBoostJob",
        DataSources=[data_source(bucket, "code/", "/mnt/code", "RO")],
    )
    job = run_job(jobs, request)
    assert job.status == "Succeeded", [pod_logs(jobs, pod.pod_id) for pod in job.pods]
    assert [pod_logs(jobs, pod.pod_id)[-1] for pod in job.pods] == ["sum 3", "sum 3"]


def test_the_failure_of_one_pod_stops_the_others(jobs):
    spec = {"PodCount": 1, "EcsSpec": "ecs.g6.large", "Image": "i"}
    specs = [{**spec, "Type": "Master"}, {**spec, "Type": "Worker", "UserCommand": "exit 9"}]
    job = run_job(jobs, job_request("sleep 60", JobSpecs=specs))
    assert (job.status, '"pods":{"Worker":[0]},"reason":"9"' in job.reason_message) == ("Failed", True)


def test_the_master_decides_when_a_job_has_succeeded(jobs):
    spec = {"PodCount": 1, "EcsSpec": "ecs.g6.large", "Image": "i"}
    specs = [{**spec, "Type": "Worker", "UserCommand": "sleep 60"}, {**spec, "Type": "Master"}]
    assert run_job(jobs, job_request("true", JobSpecs=specs)).status == "Succeeded"


def test_tensorflow_pods_get_their_cluster(jobs):
    spec = {"EcsSpec": "ecs.g6.large", "Image": "i"}
    specs = [
        {**spec, "Type": "Worker", "PodCount": 2},
        {**spec, "Type": "PS", "PodCount": 1, "UserCommand": "sleep 60"},
        {**spec, "Type": "Chief", "PodCount": 1},
    ]
    job = run_job(jobs, job_request("echo $TF_CONFIG", job_type="TFJob", JobSpecs=specs))
    assert job.status == "Succeeded", job.reason_message
    config = json.loads(pod_logs(jobs, f"{job.job_id}-worker-1")[0])
    assert {role: len(hosts) for role, hosts in config["cluster"].items()} == {"chief": 1, "worker": 2, "ps": 1}
    assert (config["task"], config["environment"]) == ({"type": "worker", "index": 1}, "cloud")
    assert len({host for hosts in config["cluster"].values() for host in hosts}) == 4


def test_what_a_job_writes_is_on_oss_and_what_it_reads_stays(jobs, bucket):
    bucket.put_object("in/data.txt", b"old")
    read = "cat $INPUT/data.txt; chmod -R u+w $INPUT; echo new > $INPUT/data.txt"
    request = job_request(
        f'{read}; mkdir /mnt/out/m; printf model > "$OUT/m/model.bin"',
        Envs={"INPUT": "/mnt/in", "OUT": "/mnt/out/"},
        DataSources=[data_source(bucket, "in/", "/mnt/in/", "RO"), data_source(bucket, "out/v1/", "/mnt/out/")],
    )
    job = run_job(jobs, request)
    assert pod_logs(jobs, job.pods[0].pod_id) == ["old"]
    assert bucket.get_object("in/data.txt").read() == b"old"
    assert bucket.get_object("out/v1/m/model.bin").read() == b"model"
    assert [source.mount_path for source in job.data_sources] == ["/mnt/in/", "/mnt/out/"]


@pytest.mark.parametrize("appends", [False, True])
def test_a_file_on_a_mount_is_an_object_as_it_grows_only_with_EnableOssAppend(jobs, bucket, tmp_path, appends):
    go = tmp_path / "go"
    command = f"(echo 1; echo > /mnt/out/begun; {wait_for(go)}; echo 2) > /mnt/out/events"
    sources = [data_source(bucket, "out/", "/mnt/out")]
    request = job_request(command, DataSources=sources, Settings={"EnableOssAppend": appends})
    job_id = jobs.create_job(request).body.job_id
    until(lambda: bucket.object_exists("out/begun"), bool)
    assert bucket.object_exists("out/events") is appends
    go.touch()
    wait_job(jobs, job_id)
    assert bucket.get_object("out/events").read() == b"1\n2\n"


def test_an_unknown_bucket_fails_the_job_before_it_runs(jobs):
    sources = [{"Uri": "oss://no-such-bucket-here/x/", "MountPath": "/mnt/x"}]
    job = run_job(jobs, job_request("true", DataSources=sources))
    assert (job.status, job.reason_code) == ("Failed", "InvalidParameter")
    assert "NoSuchBucket" in job.reason_message
    assert job.gmt_running_time is None


def start_stubborn(jobs, tmp_path, **fields):
    """Start a job whose shell and background child ignore SIGTERM; return its id and their process ids."""
    out = tmp_path / "pids"
    command = f"trap '' TERM; setsid sleep 300 & echo $$ $! > {out}; while :; do sleep 0.1; done"
    job_id = jobs.create_job(job_request(command, **fields)).body.job_id
    until(lambda: out.exists() and out.read_text(), bool)
    return job_id, [int(pid) for pid in out.read_text().split()]


def test_a_stop_ends_a_job_that_ignores_it(jobs, tmp_path):
    job_id, pids = start_stubborn(jobs, tmp_path)
    assert all(map(alive, pids))
    jobs.stop_job(job_id)
    assert jobs.get_job(job_id, dlc.GetJobRequest()).body.status == "Stopping"
    jobs.stop_job(job_id)  # a second request changes nothing
    job = wait_job(jobs, job_id)
    assert (job.status, job.reason_code) == ("Stopped", "JobStoppedByUser")
    assert [entry.status for entry in job.status_history][-3:] == ["Running", "Stopping", "Stopped"]
    assert job.gmt_stopped_time
    assert not any(map(alive, pids))
    with pytest.raises(ClientException) as refusal:
        jobs.stop_job(job_id)
    assert (refusal.value.status_code, refusal.value.code) == (400, "BadRequest")


def test_a_job_can_be_stopped_at_once(jobs):
    job_id = jobs.create_job(job_request("sleep 60")).body.job_id
    jobs.stop_job(job_id)
    job = wait_job(jobs, job_id)
    assert (job.status, job.gmt_running_time) == ("Stopped", None)


def test_a_job_that_runs_too_long_is_stopped(tmp_path):
    with Emulator(tmp_path, dwell=0.01, grace=0.2, minute=0.1) as pai:
        job = run_job(client(pai, "dlc"), job_request("sleep 60", JobMaxRunningTimeMinutes=2))
    assert (job.status, job.reason_code) == ("Stopped", "JobMaxRunningTimeExceeded")


def test_a_restart_policy_starts_a_failed_pod_again(jobs, bucket):
    spec = {"Type": "Worker", "PodCount": 1, "EcsSpec": "ecs.g6.large", "Image": "i", "RestartPolicy": "OnFailure"}
    request = job_request(
        "echo try; test -f /mnt/out/seen || { touch /mnt/out/seen; exit 7; }",
        JobSpecs=[spec],
        DataSources=[data_source(bucket, "out/", "/mnt/out")],
    )
    job = run_job(jobs, request)
    assert (job.status, job.restart_times, len(job.restart_record)) == ("Succeeded", "1/10", 1)
    (pod,) = job.pods
    (old,) = pod.history_pods
    assert (old.status, pod.status) == ("Failed", "Succeeded")
    assert pod_logs(jobs, pod.pod_id, pod_uid=old.pod_uid) == ["try"]
    assert "Restarting" in [entry.status for entry in job.status_history]


def test_an_evicted_pod_fails_its_job(pai, jobs):
    job_id = jobs.create_job(job_request("sleep 60")).body.job_id
    wait_job(jobs, job_id, {"Running"})
    until(lambda: jobs.get_job(job_id, dlc.GetJobRequest()).body.pods[0].status, lambda status: status == "Running")
    pai.call(lambda: pai.services.dlc.evict(job_id, f"{job_id}-master-0"))
    job = wait_job(jobs, job_id)
    assert (job.status, job.reason_code, job.pods[0].sub_status) == ("Failed", "JobFailed", "Evicted")


def test_the_end_of_the_emulator_ends_its_pods_and_the_next_one_knows(tmp_path):
    data = tmp_path / "data"
    with Emulator(data, dwell=0.01, grace=0.2) as pai:
        jobs = client(pai, "dlc")
        done = run_job(jobs, job_request("echo kept")).job_id
        job_id, pids = start_stubborn(jobs, tmp_path)
    assert not any(map(alive, pids))
    with Emulator(data, dwell=0.01, grace=0.2) as pai:
        jobs = client(pai, "dlc")
        job = jobs.get_job(job_id, dlc.GetJobRequest()).body
        assert (job.status, job.reason_code, job.pods[0].status) == ("Failed", "EmulatorRestarted", "Failed")
        assert jobs.get_job(done, dlc.GetJobRequest()).body.status == "Succeeded"
        assert pod_logs(jobs, f"{done}-master-0") == ["kept"]
        assert run_job(jobs, job_request("true")).status == "Succeeded"


def test_a_killed_emulator_leaves_no_pods(tmp_path):
    command = [
        sys.executable,
        "-m",
        "airflow_provider_pai.emulator",
        "--data",
        str(tmp_path / "data"),
        "--dwell",
        "0.01",
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    remote = SimpleNamespace(endpoints=SimpleNamespace(**json.loads(server.stdout.readline())))
    _, pids = start_stubborn(client(remote, "dlc"), tmp_path, Settings={"TerminationGracePeriodSeconds": 1})
    assert all(map(alive, pids))
    server.kill()
    server.wait()
    deadline = time.monotonic() + 5
    while any(map(alive, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
