"""The real SDK clients of DLC, DSW and AIWorkspace, pointed at an emulator, and a few ways to wait."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

import requests
from alibabacloud_pai_dlc20201203 import models as dlc

from airflow_provider_pai.emulator import Emulator
from tests.conftest import sdk_config

SERVICES = {
    "dlc": "alibabacloud_pai_dlc20201203",
    "dsw": "alibabacloud_pai_dsw20220101",
    "aiworkspace": "alibabacloud_aiworkspace20210204",
}
ENDED = {"Succeeded", "Failed", "Stopped"}


def client(pai: Emulator, service: str) -> Any:
    """Return the SDK client of a service."""
    return importlib.import_module(f"{SERVICES[service]}.client").Client(sdk_config(pai))


def job_request(command: str, *, pods: int = 1, job_type: str = "PyTorchJob", **fields: Any) -> dlc.CreateJobRequest:
    """Build a small job; `fields` are wire names."""
    spec = {"Type": "Worker", "PodCount": pods, "EcsSpec": "ecs.g6.large", "Image": "registry/image:1"}
    body = {"DisplayName": "a-job", "JobType": job_type, "JobSpecs": [spec], "UserCommand": command, **fields}
    return dlc.CreateJobRequest().from_map(body)


def until(probe: Any, wanted: Any, timeout: float = 30.0) -> Any:
    """Call a probe until its answer passes the test; return that answer."""
    deadline = time.monotonic() + timeout
    while not wanted(answer := probe()):
        assert time.monotonic() < deadline, f"still {answer}"
        time.sleep(0.02)
    return answer


def wait_job(jobs: Any, job_id: str, statuses: set[str] = ENDED) -> Any:
    """Return the job once it is in one of the statuses."""
    return until(lambda: jobs.get_job(job_id, dlc.GetJobRequest()).body, lambda job: job.status in statuses)


def run_job(jobs: Any, request: dlc.CreateJobRequest) -> Any:
    """Create a job and return it once it has ended."""
    return wait_job(jobs, jobs.create_job(request).body.job_id)


def statuses(job: Any) -> list[str]:
    """Return the statuses that a job has gone through."""
    return [entry.status for entry in job.status_history]


def wait_for(file: Path) -> str:
    """Return a command that ends when a file is there."""
    return f"until test -e {file}; do sleep 0.05; done"


def wait_running(jobs: Any, job_id: str) -> Any:
    """Return the job once it is Running and so are its pods."""
    return until(
        lambda: jobs.get_job(job_id, dlc.GetJobRequest()).body,
        lambda job: job.status == "Running" and {pod.status for pod in job.pods} == {"Running"},
    )


def control(pai: Emulator, name: str, body: Any = None, method: str = "POST") -> Any:
    """Call the emulator's control endpoint and return its answer."""
    answer = requests.request(method, f"{pai.endpoints.endpoint_url}/_emulator/{name}", json=body, timeout=10)
    assert answer.ok, answer.text
    return answer.json()


def pod_logs(jobs: Any, pod_id: str, **query: Any) -> list[str]:
    """Return the log of one pod."""
    job_id = pod_id.split("-", 1)[0]
    logs: list[str] = jobs.get_pod_logs(job_id, pod_id, dlc.GetPodLogsRequest(**query)).body.logs
    return logs


def alive(pid: int) -> bool:
    """Tell whether a process exists and is not just waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def unknown_fields(given: Any, known: Any, path: str = "") -> list[str]:
    """List the fields of an answer that went lost on their way through the SDK's model."""
    if isinstance(given, dict):
        lost = [f"{path}.{key}" for key, value in given.items() if key not in known and value is not None]
        kept = [unknown_fields(value, known[key], f"{path}.{key}") for key, value in given.items() if key in known]
        return lost + [found for part in kept for found in part]
    if isinstance(given, list):
        parts = [unknown_fields(value, known[index], f"{path}[{index}]") for index, value in enumerate(given)]
        return [found for part in parts for found in part]
    return []


def data_source(bucket: Any, prefix: str, path: str, access: str = "RW") -> dict[str, str]:
    """Build a data source of a job."""
    uri = f"oss://{bucket.bucket_name}.oss-cn-hangzhou-internal.aliyuncs.com/{prefix}"
    return {"Uri": uri, "MountPath": path, "MountAccess": access}
