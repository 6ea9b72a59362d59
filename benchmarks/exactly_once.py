"""Kill workers with SIGKILL at random moments: how many jobs does each finished task leave?

Ours (`DlcSubmitJobOperator`) against an operator written plainly on Airflow's ResumableJobMixin, on the same emulator.
Each try of a task is a process of its own that is killed at a random moment, twice a task, then left to finish; some
are killed just when the service has accepted the job. What
survives it is what Airflow keeps on its server: the try's number and the task's state store. A duplicate is a job more
than one a task; an orphan is one that still runs when every task has finished.

    python benchmarks/exactly_once.py --kills 100

prints one JSON line: {"kills", "ours": {"tasks", "jobs", "duplicates", "orphans"}, "resumable_mixin": {…}}.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
from airflow.providers.common.compat.sdk import BaseOperator, ResumableJobMixin  # noqa: E402

from airflow_provider_pai.hooks.dlc import DlcHook  # noqa: E402
from airflow_provider_pai.identity import TaskIdentity  # noqa: E402
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator  # noqa: E402
from tests.task import Task  # noqa: E402

KILLS_A_TASK = 2
# Share of the tries that die, if they get so far, between the service's acceptance of a job and the store of its id.
AIMED = 0.3
# A try takes about this long when it is left alone: submit, half a second of training, the finish.
TRY_SECONDS = 0.8
JOB = {"framework": "pytorch", "ecs_spec": "ecs.g6.large", "image": "i", "command": "sleep 0.4"}


class PlainResumable(ResumableJobMixin, BaseOperator):  # type: ignore[misc]
    """The shortest operator on Airflow's own crash-safe contract."""

    def execute(self, context: Any) -> Any:
        return self.execute_resumable(context)

    def submit_job(self, context: Any) -> str:
        ours = DlcSubmitJobOperator(task_id="task", **JOB)
        return DlcHook().submit(ours.build(context, TaskIdentity.from_context(context, "bench"), 1))

    def get_job_status(self, external_id: Any, context: Any) -> str:
        return DlcHook().get(external_id).status

    def is_job_active(self, status: str) -> bool:
        return not DlcHook.states.is_final(status)

    def is_job_succeeded(self, status: str) -> bool:
        return status == "Succeeded"

    def poll_until_complete(self, external_id: Any, context: Any) -> None:
        DlcHook().wait(external_id, poll_interval=0.05)

    def get_job_result(self, external_id: Any, context: Any) -> Any:
        return external_id


KINDS: dict[str, Callable[[], Any]] = {
    "ours": lambda: DlcSubmitJobOperator(task_id="task", poll_interval=0.05, log_interval=0, **JOB),
    "resumable_mixin": lambda: PlainResumable(task_id="task"),
}


class FileStore(dict[str, Any]):
    """A task's state store on disk: what was set is there, whatever happens to the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(json.loads(path.read_text()) if path.exists() else {})

    def update(self, values: Any) -> None:  # type: ignore[override]
        super().update(values)
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(self))
        part.replace(self._path)


def die_once_accepted() -> None:
    """Let this process be killed when the service has the job and nobody here knows its id."""
    submit = DlcHook.submit

    def submit_and_die(self: DlcHook, body: Any) -> str:
        submit(self, body)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")

    DlcHook.submit = submit_and_die


def try_once(task: Task, kill_after: float | None, *, aimed: bool) -> bool:
    """Run one try in a process of its own; tell whether it ended by itself."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
        if aimed:
            die_once_accepted()
        try:
            task.run()
            code = 0
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and status:
        raise RuntimeError(f"the task of {task.run_id} failed")
    return status == 0


def play(kind: str, kills: int, folder: Path) -> dict[str, int]:
    """Run tasks until so many kills have been spent and count what they leave."""
    before = {job["JobId"] for job in DlcHook().list_jobs()}
    tasks = 0
    while kills > 0:
        store, number, left = folder / f"{kind}-{tasks}.json", 0, min(KILLS_A_TASK, kills)
        done = False
        while not done:
            task = Task(KINDS[kind], run_id=f"{kind}-{tasks}", max_tries=99, try_number=number)
            task.store = FileStore(store)
            moment = random.uniform(0, TRY_SECONDS) if left > 0 else None
            done = try_once(task, moment, aimed=left > 0 and random.random() < AIMED)
            killed = not done
            left, kills, number = left - killed, kills - killed, number + 1
        tasks += 1
    jobs = [job for job in DlcHook().list_jobs() if job["JobId"] not in before]
    running = [job for job in jobs if not DlcHook.states.is_final(job["Status"])]
    finished = [job for job in jobs if job["Status"] == "Succeeded"]
    return {"tasks": tasks, "jobs": len(finished), "duplicates": len(jobs) - tasks, "orphans": len(running)}


def main() -> None:
    """Run both kinds and print the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    command = [sys.executable, "-m", "airflow_provider_pai.emulator", "--dwell", "0.01"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as emulator,
        tempfile.TemporaryDirectory() as folder,
    ):
        try:
            pai = json.loads(emulator.stdout.readline())
            extra = {name: pai[name] for name in ("region", "workspace_id", "endpoint_url", "oss_endpoint")}
            connection = {"conn_type": "pai", "login": pai["access_key_id"], "password": pai["access_key_secret"]}
            os.environ["AIRFLOW_CONN_PAI_DEFAULT"] = json.dumps({**connection, "extra": extra})
            found = {kind: play(kind, arguments.kills, Path(folder)) for kind in KINDS}
            print(json.dumps({"kills": arguments.kills, **found}))
        finally:
            emulator.terminate()


if __name__ == "__main__":
    main()
