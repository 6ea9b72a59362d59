"""Instance seconds in the ledger against those on the emulator's meter, when tasks are killed, cleared and evicted.

Each task trains for a second or two and is disturbed several times before it may end: its worker dies by SIGKILL, its
pod is evicted, a person ends it (`on_kill`, then the process is gone), or clears it while its worker is lost. What
nobody has seen the end of is completed as `airflow pai cost` does. Then each job's seconds in the ledger are held
against the meter, which counts by itself.

    python benchmarks/cost.py --kills 100

prints one JSON line: {"kills", "tasks", "jobs", "metered": instance seconds, "recorded": the same by the ledger,
"before": those that tasks had recorded by themselves, "differ": jobs whose seconds are not alike, "causes": instance
seconds by cause}.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from airflow_provider_pai.cli.cost import complete, entries  # noqa: E402
from airflow_provider_pai.costs import sums  # noqa: E402
from airflow_provider_pai.emulator.connection import connection_to  # noqa: E402
from airflow_provider_pai.hooks.dlc import DlcHook  # noqa: E402
from airflow_provider_pai.ledger import Ledger  # noqa: E402
from airflow_provider_pai.ledger.task import TaskLedger  # noqa: E402
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator  # noqa: E402
from benchmarks.exactly_once import DONE, FileStore, import_sdk, in_a_process, step  # noqa: E402
from tests.task import Task  # noqa: E402

KINDS = ("lost", "evicted", "ended", "cleared")
"""The worker dies; the pod is evicted; a person ends the task; a person clears it while its worker is lost."""
KILLS_A_TASK = 4


def train() -> Any:
    return DlcSubmitJobOperator(
        task_id="task",
        framework="pytorch",
        workers=2,
        ecs_spec="ecs.g6.large",
        image="i",
        command="sleep 1.5",
        poll_interval=0.05,
        log_interval=0,
    )


@dataclass
class Life:
    """One task and what is to become of it."""

    number: int
    kills: int
    folder: Path
    dice: random.Random
    operators: list[Any] = field(default_factory=list)

    def live(self) -> None:
        """Bring the task to its end."""
        name, cycle, number = f"task-{self.number}", 50, 1
        killed = 0
        while True:
            task = Task(self._make, run_id=name, max_tries=cycle, try_number=number - 1, start_date=datetime.now(UTC))
            task.try_number = number
            task.store = FileStore(self.folder / f"{name}.json")
            kind = self.dice.choice(KINDS) if killed < self.kills else ""
            code = self._try(task, kind)
            number += 1
            killed += bool(kind)
            if kind == "cleared":
                cycle += 1
                task.store.clear()
            if code == DONE and not kind:
                return

    def _make(self) -> Any:
        self.operators.append(train())
        return self.operators[-1]

    def _try(self, task: Task, kind: str) -> int:
        moment = self.dice.uniform(0.3, 2.5)
        if kind == "evicted":
            threading.Timer(moment, self._evict, [task]).start()
        work = functools.partial(step, task, FileStore(self.folder / "none.json"))
        if kind == "ended":
            work = functools.partial(self._end, work, moment)
        return in_a_process(work, moment if kind in ("lost", "cleared") else None, aimed=False)

    def _end(self, work: Any, moment: float) -> int:
        """Be ended by a person after a while: `on_kill`, and the process is gone."""
        threading.Timer(moment, self._kill).start()
        return int(work())

    def _kill(self) -> None:
        while not (self.operators and self.operators[-1]._job_id):
            time.sleep(0.05)
        time.sleep(self.dice.uniform(0, 1))
        self.operators[-1].on_kill()
        os._exit(1)

    def _evict(self, task: Task) -> None:
        """Evict the task's job once it runs; it may have ended before."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            for job in DlcHook().list_jobs(tags={"airflow_run_id": task.run_id}):
                if job["Status"] == "Running":
                    control("preempt", "POST", {"job_id": job["JobId"]})
                    return
            time.sleep(0.1)


def control(what: str, method: str, body: Any = None) -> Any:
    """Ask the emulator's control endpoint."""
    with suppress(httpx.HTTPError):
        return httpx.request(method, f"{DlcHook().connection.endpoint_url}/_emulator/{what}", json=body).json()
    return None


def play(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the tasks, complete the ledger, and compare it with the meter."""
    shares = [min(KILLS_A_TASK, arguments.kills - spent) for spent in range(0, arguments.kills, KILLS_A_TASK)]
    lives = [
        Life(number, share, folder, random.Random(f"{arguments.seed} {number}")) for number, share in enumerate(shares)
    ]
    # Spawned: a forked process would share the connections over which this one has just asked.
    with ProcessPoolExecutor(arguments.parallel, multiprocessing.get_context("spawn"), import_sdk) as pool:
        list(pool.map(Life.live, lives))
    hook = DlcHook()
    while any(not hook.states.is_final(job["Status"]) for job in hook.list_jobs()):
        time.sleep(0.1)
    ledger = Ledger.open("audit")
    before = [each.usage for each in entries(ledger, "dag")]
    complete([hook], TaskLedger(hook, "audit", hook.log), list(entries(ledger, "dag")), "dag")
    after = {each.usage.id: each.usage for each in entries(ledger, "dag")}
    meter = {
        each["Id"]: each["Seconds"] * sum(nodes["Count"] for nodes in each["Nodes"]) for each in control("meter", "GET")
    }
    recorded = {name: sum(usage.instance_seconds.values()) for name, usage in after.items()}
    return {
        "kills": arguments.kills,
        "tasks": len(lives),
        "jobs": len(after),
        "metered": sum(meter.values()),
        "recorded": sum(recorded.values()),
        "before": sum(sum(usage.instance_seconds.values()) for usage in before),
        "differ": sum(meter.get(name, 0) != recorded.get(name, 0) for name in meter.keys() | recorded.keys()),
        "causes": sums((usage.cause or "succeeded", recorded[name]) for name, usage in after.items()),
    }


def main() -> None:
    """Play and print the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=4, help="tasks at a time")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "airflow_provider_pai.emulator", "--dwell", "0.05"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as emulator,
        tempfile.TemporaryDirectory() as folder,
    ):
        try:
            pai = json.loads(emulator.stdout.readline())  # type: ignore[union-attr]
            os.environ["AIRFLOW_CONN_PAI_DEFAULT"] = json.dumps(connection_to(pai, ledger_conn_id="audit"))
            os.environ["AIRFLOW_CONN_AUDIT"] = f"sqlite://{folder}/audit.sqlite"
            print(json.dumps(play(arguments, Path(folder))))
        finally:
            emulator.terminate()


if __name__ == "__main__":
    main()
