"""A real Airflow 2.11 (scheduler with the SequentialExecutor, triggerer) over an emulated account.

Tasks are marked and cleared as the webserver does it: through Airflow's Python API, on the same database.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_pai.emulator.connection import connection_to
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.testing.killing import kill
from airflow_provider_pai.testing.processes import Component, stop_all

HERE = Path(__file__).parent
# What this process's Airflow has read already: all its processes share the home and its database.
HOME = Path(os.environ["AIRFLOW_HOME"])

collect_ignore_glob = ["test_*.py"] if AIRFLOW_V_3_0_PLUS else []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.system)
            item.add_marker(pytest.mark.timeout(300))


class Airflow:
    """Airflow's processes."""

    def __init__(self, connection: dict[str, Any]) -> None:
        self.running: dict[str, Component] = {}
        settings = {
            "core__executor": "SequentialExecutor",
            "core__dags_folder": HERE / "dags",
            "core__load_examples": "False",
            "scheduler__scheduler_idle_sleep_time": "0.5",
            "scheduler__job_heartbeat_sec": "2",
            # How long a triggerer may be silent before another one takes its triggers.
            "triggerer__job_heartbeat_sec": "2",
            "triggerer__triggerer_health_check_threshold": "6",
        }
        self.environment = {
            **os.environ,
            **{f"AIRFLOW__{name.upper()}": str(value) for name, value in settings.items()},
            "AIRFLOW_HOME": str(HOME),
            "AIRFLOW_CONN_PAI_DEFAULT": json.dumps(connection),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def command(self, *command: str) -> str:
        """Run a command in Airflow's environment and return what it prints."""
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout

    def start(self, name: str, call_it: str = "") -> None:
        """Start one part; it serves nothing on the network."""
        command = ["airflow", name, "--skip-serve-logs"]
        called = call_it or name
        self.running[called] = Component(called, command, environment=self.environment, logs=HOME, grace=20)

    def stop(self, name: str) -> None:
        """End one part, and wait until it and everything below it is gone."""
        stop_all([self.running.pop(name)])

    def kill(self, name: str) -> None:
        """SIGKILL one part and everything below it."""
        for process in self.below(name):
            kill(process)
        self.stop(name)

    def below(self, name: str) -> list[psutil.Process]:
        """Return one part's processes."""
        return psutil.Process(self.running[name].pid).children(recursive=True)

    def log(self, name: str) -> str:
        return (HOME / f"{name}.log").read_text(errors="replace")


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The Airflow connection to an account emulated in a process of its own."""
    command = [sys.executable, "-m", "airflow_provider_pai.emulator", "--port", "0", "--data"]
    data = str(tmp_path_factory.mktemp("pai"))
    with subprocess.Popen([*command, data], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield connection_to(json.loads(process.stdout.readline()), deployment="https://airflow.test")
        process.terminate()


@pytest.fixture(scope="session")
def airflow(account: dict[str, Any]) -> Iterator[Airflow]:
    airflow = Airflow(account)
    airflow.command("airflow", "db", "migrate")
    try:
        airflow.start("scheduler")
        airflow.start("triggerer")
        yield airflow
    finally:
        stop_all(list(airflow.running.values()))


class Run:
    """One DAG run, driven through Airflow's Python API and looked at through DLC's."""

    def __init__(self, airflow: Airflow, dag_id: str, run_id: str) -> None:
        self.airflow, self.dag_id, self.run_id, self.dlc = airflow, dag_id, run_id, DlcHook()

    @property
    def dag(self) -> Any:
        from airflow.models.serialized_dag import SerializedDagModel

        return SerializedDagModel.get_dag(self.dag_id)

    def task(self, task_id: str) -> Any:
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session

        key = {"dag_id": self.dag_id, "run_id": self.run_id, "task_id": task_id}
        with create_session() as session:
            task = session.query(TaskInstance).filter_by(**key).one()
            session.expunge_all()
        return task

    def state(self, task_id: str) -> str:
        return str(self.task(task_id).state)

    def jobs(self, task_id: str) -> list[dict[str, Any]]:
        """Return the task's jobs, oldest first."""
        tags = {"airflow_dag_id": self.dag_id, "airflow_run_id": self.run_id, "airflow_task_id": task_id}
        return sorted(self.dlc.list_jobs(tags=tags), key=lambda job: job["GmtCreateTime"])

    def job_statuses(self, task_id: str) -> list[str]:
        return [job["Status"] for job in self.jobs(task_id)]

    def mark(self, task_id: str, state: str) -> None:
        """Mark a task as the webserver does."""
        self.dag.set_task_instance_state(task_id=task_id, run_id=self.run_id, state=state, commit=True)

    def clear(self, task_id: str) -> None:
        """Clear a task as the webserver does."""
        from airflow.models.taskinstance import clear_task_instances
        from airflow.utils.session import create_session

        with create_session() as session:
            clear_task_instances([session.merge(self.task(task_id))], session, dag=self.dag)

    def until(self, told: str, condition: Callable[[], bool], seconds: float) -> float:
        """Wait for a condition and return how long it took."""
        started = time.monotonic()
        while not condition():
            if time.monotonic() - started > seconds:
                states = {task_id: (self.state(task_id), self.job_statuses(task_id)) for task_id in self.dag.task_ids}
                tails = [self.airflow.log(name)[-3000:] for name in ("scheduler", "triggerer")]
                raise AssertionError(f"not within {seconds} s: {told}; {states}\n" + "\n".join(tails))
            time.sleep(0.3)
        took = time.monotonic() - started
        print(f"{told}: {took:.1f} s")
        return took


@pytest.fixture(scope="session")
def start(airflow: Airflow, account: dict[str, Any]) -> Iterator[Callable[[str], Run]]:
    """Trigger a DAG and return its run."""
    patch = pytest.MonkeyPatch()
    patch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(account))

    def start(dag_id: str) -> Run:
        from airflow.api.common.trigger_dag import trigger_dag
        from airflow.models.dag import DagModel
        from airflow.models.serialized_dag import SerializedDagModel

        deadline = time.monotonic() + 90
        while not (SerializedDagModel.has_dag(dag_id) and DagModel.get_dagmodel(dag_id)):
            assert time.monotonic() < deadline, airflow.log("scheduler")
            time.sleep(0.5)
        DagModel.get_dagmodel(dag_id).set_is_paused(False)
        return Run(airflow, dag_id, trigger_dag(dag_id).run_id)

    yield start
    patch.undo()
