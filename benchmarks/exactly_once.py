"""Jobs per task when workers are killed by SIGKILL at random moments: ours and ResumableJobMixin.

Ours (`DlcSubmitJobOperator`, waiting in the worker and deferred) against an operator written plainly on Airflow's
ResumableJobMixin, on the same emulator. Each try of a task is a process of its own, and so is each run of its trigger;
they are killed at random moments, twice a task, then left to finish. Some are killed just when the service has accepted
the job. What survives them is what Airflow keeps on its server: the try's number, the deferral and the task's state
store. A duplicate is a job more than one a task; an orphan is one that still runs when every task has finished.

    python benchmarks/exactly_once.py --kills 100 [--faults]

prints one JSON line: {"kills", "faults", "ours": {"tasks", "jobs", "duplicates", "orphans"}, "ours_deferred": {…},
"resumable_mixin": {…}}. With `--faults` lists are two seconds behind, and of the calls one in ten is answered by 503,
one in ten throttled, and one in ten carried out without an answer.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
from airflow.providers.common.compat.module_loading import import_string  # noqa: E402
from airflow.providers.common.compat.sdk import BaseOperator, ResumableJobMixin, TaskDeferred  # noqa: E402

from airflow_provider_pai.emulator.connection import connection_to  # noqa: E402
from airflow_provider_pai.hooks.dlc import DlcHook  # noqa: E402
from airflow_provider_pai.hooks.dsw import DswHook  # noqa: E402
from airflow_provider_pai.identity import TaskIdentity  # noqa: E402
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator  # noqa: E402
from tests.task import Task, fire  # noqa: E402

KILLS_A_TASK = 2
# Share of the tries that die, if they get so far, between the service's acceptance of a job and the store of its id.
AIMED = 0.3
# A try takes about this long when it is left alone: submit, half a second of training, the finish.
TRY_SECONDS = 1.2
LIST_LAG = 2.0
# The first rule that hits a call decides: a tenth of the calls each.
FAULTS = (
    {"match": "^api ", "probability": 0.1, "status": 503},
    {"match": "^api ", "probability": 0.11, "status": 429, "code": "Throttling.User"},
    {"match": "^api ", "probability": 0.125, "drop": "answer"},
)
DONE, MORE = 0, 3
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


def ours(*, deferrable: bool) -> Any:
    return DlcSubmitJobOperator(task_id="task", deferrable=deferrable, poll_interval=0.05, log_interval=0, **JOB)


KINDS: dict[str, Callable[[], Any]] = {
    "ours": lambda: ours(deferrable=False),
    "ours_deferred": lambda: ours(deferrable=True),
    "resumable_mixin": lambda: PlainResumable(task_id="task"),
}


class FileStore(dict[str, Any]):
    """A task's state on disk: what was set is there, whatever happens to the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(json.loads(path.read_text()) if path.exists() else {})

    def update(self, values: Any) -> None:  # type: ignore[override]
        super().update(values)
        self._write()

    def clear(self) -> None:
        super().clear()
        self._write()

    def _write(self) -> None:
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(self))
        part.replace(self._path)


def die_once_accepted() -> None:
    """Let this process be killed when the service has the job and nobody here knows its id."""
    for hook_class in (DlcHook, DswHook):
        hook_class.submit = submit_and_die(hook_class.submit)


def submit_and_die(submit: Callable[[Any, Any], str]) -> Callable[[Any, Any], str]:
    def submit_and_die(self: Any, body: Any) -> str:
        submit(self, body)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")

    return submit_and_die


def step(task: Task, deferral: FileStore) -> int:
    """Run what Airflow would run next: the worker, the trigger, or the worker that goes on."""
    if "trigger" in deferral and "event" not in deferral:
        path, arguments = deferral["trigger"]
        deferral.update({"event": fire(import_string(path)(**arguments))})
        return MORE
    operator = task.make()
    try:
        if "event" in deferral:
            operator.resume_execution(deferral["method"], {"event": deferral["event"]}, task.context())
        else:
            operator.execute(task.context())
    except TaskDeferred as deferred:
        deferral.update({"trigger": deferred.trigger.serialize(), "method": deferred.method_name})
        return MORE
    return DONE


def in_a_process(work: Callable[[], int], kill_after: float | None, *, aimed: bool) -> int:
    """Run a step in a process of its own; return its exit code, negative where it was killed."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
        if aimed:
            die_once_accepted()
        try:
            code = work()
        except Exception:  # noqa: BLE001 - told, then counted as a failed try
            traceback.print_exc()
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@dataclass(frozen=True)
class Plan:
    """One task: how it is called, and how it is to be disturbed."""

    kind: str
    number: int
    kills: int
    faults: bool
    folder: Path
    seed: int


def live(plan: Plan) -> int:
    """Bring one task to its end, through as many tries as it takes; return how many kills it has survived."""
    dice = random.Random(f"{plan.seed} {plan.kind} {plan.number}")
    name = f"{plan.kind}-{plan.number}"
    number, killed = 1, 0
    while True:
        # Read anew each time: it is the process of a step that writes them.
        deferral = FileStore(plan.folder / f"{name}-deferral.json")
        task = Task(KINDS[plan.kind], run_id=name, max_tries=99, try_number=number, start_date=datetime.now(UTC))
        task.store = FileStore(plan.folder / f"{name}-state.json")
        left = killed < plan.kills
        aimed = left and dice.random() < AIMED
        moment = dice.uniform(0, TRY_SECONDS * (4 if plan.faults else 1)) if left and not aimed else None
        code = in_a_process(functools.partial(step, task, deferral), moment, aimed=aimed)
        killed += code < 0
        if code == DONE:
            return killed
        if code > 0 and code != MORE and not plan.faults:
            raise RuntimeError(f"the task of {name} failed")
        # A trigger that died is run again; a worker that died is another try.
        in_trigger = "trigger" in deferral and "event" not in deferral
        if code != MORE and not in_trigger:
            deferral.clear()
            number += 1


def import_sdk() -> None:
    """Import once what would take most of each try's time."""
    _ = DlcHook().client


def control(what: str, method: str, body: Any = None) -> None:
    """Tell the emulator how to behave."""
    httpx.request(method, f"{DlcHook().connection.endpoint_url}/_emulator/{what}", json=body).raise_for_status()


@contextmanager
def stumbling(faults: bool) -> Iterator[None]:
    """Let the service stumble meanwhile."""
    if faults:
        control("faults", "POST", FAULTS)
        control("settings", "POST", {"list_lag": LIST_LAG})
    yield
    if faults:
        control("faults", "DELETE")
        control("settings", "POST", {"list_lag": 0})


def play(kind: str, arguments: argparse.Namespace, folder: Path) -> dict[str, int]:
    """Run tasks, some at a time, until so many kills have been spent, and count what they leave."""
    before = {job["JobId"] for job in DlcHook().list_jobs()}
    tasks, kills = 0, arguments.kills
    # Spawned: a forked process would share the connections over which this one has just asked.
    fresh = multiprocessing.get_context("spawn")
    with stumbling(arguments.faults), ProcessPoolExecutor(arguments.parallel, fresh, import_sdk) as pool:
        while kills > 0:
            shares = [min(KILLS_A_TASK, kills - spent) for spent in range(0, kills, KILLS_A_TASK)]
            plans = [
                Plan(kind, tasks + number, share, arguments.faults, folder, arguments.seed)
                for number, share in enumerate(shares)
            ]
            kills -= sum(pool.map(live, plans))
            tasks += len(plans)
    jobs = [job for job in DlcHook().list_jobs() if job["JobId"] not in before]
    running = [job for job in jobs if not DlcHook.states.is_final(job["Status"])]
    finished = [job for job in jobs if job["Status"] == "Succeeded"]
    return {"tasks": tasks, "jobs": len(finished), "duplicates": len(jobs) - tasks, "orphans": len(running)}


def main() -> None:
    """Run all kinds and print the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", action="store_true", help="lists that lag, 30 %% of calls without a proper answer")
    parser.add_argument("--parallel", type=int, default=4, help="tasks at a time")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "airflow_provider_pai.emulator", "--dwell", "0.01"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as emulator,
        tempfile.TemporaryDirectory() as folder,
    ):
        try:
            pai = json.loads(emulator.stdout.readline())
            os.environ["AIRFLOW_CONN_PAI_DEFAULT"] = json.dumps(connection_to(pai))
            found = {kind: play(kind, arguments, Path(folder)) for kind in KINDS}
            print(json.dumps({"kills": arguments.kills, "faults": arguments.faults, **found}))
        finally:
            emulator.terminate()


if __name__ == "__main__":
    main()
