"""A real Airflow (api-server, scheduler, dag-processor, triggerer) over an emulated account, for the whole run."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.testing.airflow_api import AirflowApi
from airflow_provider_pai.testing.stack import Stack

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "example_dags"

# What Airflow notices after minutes by default, it notices within seconds here.
QUICK = {
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "12",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("system")
    (folder / "dags").mkdir()
    for path in (*(HERE / "dags").glob("*.py"), *EXAMPLES.glob("pai_*.py")):
        (folder / "dags" / path.name).symlink_to(path)
    with Stack(print, folder=folder / "stack", dags=folder / "dags", variables=QUICK) as stack:
        stack.start_emulator()
        yield stack


@pytest.fixture(autouse=True)
def nothing_has_ended(stack: Stack) -> None:
    """Tell of a component that ended in an earlier test, with its log, instead of waiting for it in vain."""
    stack.check()


@pytest.fixture(scope="session")
def api(stack: Stack) -> AirflowApi:
    return stack.start_airflow(lambda: None)


@pytest.fixture
def dlc(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> DlcHook:
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(stack.connection))
    return DlcHook()


class Run:
    """One DAG run, driven through Airflow's REST API and looked at through DLC's."""

    def __init__(self, stack: Stack, api: AirflowApi, dlc: DlcHook, dag_id: str, run_id: str) -> None:
        self.stack, self.api, self.dlc, self.dag_id, self.run_id = stack, api, dlc, dag_id, run_id

    def task(self, task_id: str) -> dict[str, Any]:
        tasks = self.api.task_instances(self.dag_id, self.run_id)
        return next(task for task in tasks if task["task_id"] == task_id)

    def jobs(self, task_id: str) -> list[dict[str, Any]]:
        """Return the task's jobs, oldest first."""
        tags = {"airflow_dag_id": self.dag_id, "airflow_run_id": self.run_id, "airflow_task_id": task_id}
        return sorted(self.dlc.list_jobs(tags=tags), key=lambda job: job["GmtCreateTime"])

    def job_status(self, task_id: str) -> str:
        jobs = self.jobs(task_id)
        return jobs[-1]["Status"] if jobs else "none"

    def until(self, told: str, condition: Callable[[], bool], timeout: float = 30) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                self.stack.check()
                tasks = {t["task_id"]: t["state"] for t in self.api.task_instances(self.dag_id, self.run_id)}
                jobs = [(j["DisplayName"], j["Status"]) for j in self.dlc.list_jobs()]
                raise AssertionError(f"not within {timeout} s: {told}; tasks {tasks}; jobs {jobs}")
            time.sleep(0.3)

    def path(self, task_id: str, rest: str = "") -> str:
        """Return the REST path of a task instance, or of something below it."""
        return f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{task_id}/{rest}".rstrip("/")

    def cli(self, *command: str) -> str:
        """Run an Airflow command with the stack's environment and return what it prints."""
        return self.stack.command("airflow", *command)

    def mark(self, task_id: str, state: str) -> None:
        path = self.path(task_id)
        self.api.request("PATCH", path, json={"new_state": state})

    def clear(self, task_id: str) -> None:
        body = {"dry_run": False, "task_ids": [task_id], "dag_run_id": self.run_id, "only_failed": False}
        self.api.request("POST", f"/dags/{self.dag_id}/clearTaskInstances", json=body)


@functools.cache
def unpause(api: AirflowApi, dag_id: str) -> None:
    api.wait_for_dag(dag_id)
    api.set_paused(dag_id, False)


@pytest.fixture
def prepared(stack: Stack, api: AirflowApi, dlc: DlcHook) -> Callable[[str], Run]:
    """Un-pause a DAG and return a run of it that something else will make."""

    def prepare(dag_id: str) -> Run:
        unpause(api, dag_id)
        return Run(stack, api, dlc, dag_id, f"test-{time.time_ns()}")

    return prepare


@pytest.fixture
def run(prepared: Callable[[str], Run]) -> Callable[..., Run]:
    """Trigger a DAG with params and return its run."""

    def start(dag_id: str, **params: Any) -> Run:
        one = prepared(dag_id)
        body = {"dag_run_id": one.run_id, "logical_date": None, "conf": params}
        one.api.request("POST", f"/dags/{dag_id}/dagRuns", json=body)
        return one

    return start
