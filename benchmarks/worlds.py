"""Small campaigns in every cloud that is still possible: each switch of the emulator thrown alone, and all together.

What no document tells of the cloud is a switch of the emulator (docs/emulator.md, Worlds). In each world an emulator of
its own carries

- jobs: a DLC job waited for in the worker, a deferred one and a DSW run, whose processes are killed five times
  (benchmarks/exactly_once.py), and a job that reaches its time limit;
- rollouts under load: two bad models, two good ones, and a good one whose processes are killed (benchmarks/canary.py).

    python benchmarks/worlds.py [--only eas_merge=top …] [--at-once 2]

prints one JSON line: {"worlds", "wrong": {world: why}, "total": {…}, "each": {world: {"tasks", "duplicates", "orphans",
"bad_promoted", "good_rolled_back", "requests", "failed", "inconsistent", "refused"}}}. A world that can't be served is
refused: the error's text, and nothing may be left behind. How each rollout ended goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from airflow_provider_pai.emulator.connection import connection_to  # noqa: E402
from airflow_provider_pai.emulator.world import World  # noqa: E402
from airflow_provider_pai.exceptions import PaiError, PaiJobFailedError  # noqa: E402
from airflow_provider_pai.hooks.dlc import DlcHook  # noqa: E402
from airflow_provider_pai.hooks.dsw import DswRunHook  # noqa: E402
from airflow_provider_pai.hooks.eas import EasHook  # noqa: E402
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator  # noqa: E402
from airflow_provider_pai.operators.dsw import DswRunCommandOperator  # noqa: E402
from benchmarks import canary, exactly_once  # noqa: E402
from tests.task import Task  # noqa: E402

Json = dict[str, Any]

RUN = {"image": "i", "command": "sleep 0.3", "ecs_spec": "ecs.g6.large", "run_uri": f"oss://{canary.BUCKET}/runs/"}
exactly_once.KINDS["dsw"] = lambda: DswRunCommandOperator(
    task_id="task", deferrable=True, poll_interval=0.1, log_interval=0, **RUN
)
KILLS = {"ours": 2, "ours_deferred": 2, "dsw": 1}
PLAN = {"min_duration": 2, "min_requests": 20, "interval": 0.5}
ROLLOUTS = (
    canary.Scenario("bad errors_20", 0, fault={"error_rate": 0.2}),
    canary.Scenario("bad crash_50", 0, fault={"crash_after": 50}),
    canary.Scenario("good", 0),
    canary.Scenario("good", 1, rate=40),
    canary.Scenario("killed", 0, kills=2, rate=60),
)
LONGEST = 600
"""Seconds that a world may take."""
COUNTS = ("tasks", "duplicates", "orphans", "bad_promoted", "good_rolled_back", "requests", "failed", "inconsistent")
MUST_BE_NONE = COUNTS[1:5] + COUNTS[6:]


@dataclass(frozen=True)
class Case:
    """One world: the emulator's switches and settings, how the connection is configured, and whether it is served."""

    name: str
    switches: Json = field(default_factory=dict)
    settings: Json = field(default_factory=dict)
    extra: Json = field(default_factory=dict)
    served: bool = True


# A position that is served when the connection says so, and those that no configuration can serve.
CONFIGURED: dict[tuple[str, Any], Json] = {
    ("eas_group_key", "metadata.service_group"): {"eas_group_key": "metadata.service_group"},
}
UNSERVED = {("eas_group_key", "ignored")}


def cases() -> Iterator[Case]:
    """Yield the worlds: the default, each position alone, lists and weights that are behind, all together."""
    yield Case("default")
    others = {each.name: each.metadata["allowed"][1:] for each in fields(World)}
    for name, positions in others.items():
        for position in positions:
            one = (name, position)
            yield Case(f"{name}={position}", dict([one]), {}, CONFIGURED.get(one, {}), one not in UNSERVED)
    for lag in (2, 30):
        yield Case(f"list_lag={lag}", settings={"list_lag": lag})
    yield Case("weight_lag=1", settings={"weight_lag": 1})
    together = {name: positions[0] for name, positions in others.items()}
    extra = {key: value for one in together.items() for key, value in CONFIGURED.get(one, {}).items()}
    # Not later than a service takes to start: where a new member has traffic at once, nobody could take it out in time.
    yield Case("together", together, {"list_lag": 2, "weight_lag": 0.1}, extra)


def live(plan: exactly_once.Plan) -> int:
    """Live through a task; in this module, so that the process that does it knows its kinds."""
    return exactly_once.live(plan)


def meet_the_limit(_: Any = None) -> str:
    """Run a job past its time limit, and return what is wrong with how that is told."""
    task = Task(
        lambda: DlcSubmitJobOperator(
            task_id="task", poll_interval=0.1, max_running_time=60, **{**exactly_once.JOB, "command": "sleep 60"}
        ),
        run_id="limit",
    )
    try:
        task.run()
    except PaiJobFailedError as error:
        return "" if "time limit" in str(error) else f"the time limit is told as {error}"
    return "the time limit did not end the job"


def carry_jobs(pool: ProcessPoolExecutor) -> Json:
    """Run the jobs and count what they leave."""
    with tempfile.TemporaryDirectory() as folder:
        plans = [exactly_once.Plan(kind, 0, kills, False, Path(folder), 1) for kind, kills in KILLS.items()]
        limit = pool.submit(meet_the_limit)
        list(pool.map(live, plans))
        misread = limit.result()
    exactly_once.control("settings", "POST", {"list_lag": 0})
    jobs = [(DlcHook.states, job["Status"]) for job in DlcHook().list_jobs()]
    runs = [(DswRunHook.states, run["Status"]) for run in DswRunHook().list_instances()]
    active = [status for states, status in (*jobs, *runs) if status in ("Running", "Queuing", "Creating", "Starting")]
    tasks = len(plans) + 1
    counts = {"tasks": tasks, "duplicates": len(jobs) + len(runs) - tasks, "orphans": len(active)}
    return counts | ({"misread": misread} if misread else {})


def roll_out(pool: ProcessPoolExecutor) -> Json:
    """Run the rollouts and count what went wrong."""
    material = canary.rehearse()
    scenarios = [canary.Scenario(**{**vars(one), "plan": PLAN, "steps": (30, 100)}) for one in ROLLOUTS]
    ends = list(pool.map(partial(canary.play, material), scenarios))
    for end in ends:
        canary.say(end)
    bad = [end for end in ends if end["kind"].startswith("bad")]
    good = [end for end in ends if not end["kind"].startswith("bad")]
    return {
        "bad_promoted": sum(end["outcome"] == "promoted" for end in bad),
        "good_rolled_back": sum(end["outcome"] != "promoted" for end in good),
        "requests": sum(end["requests"] for end in ends),
        "failed": sum(end["outside"] for end in bad) + sum(sum(end["harmed"].values()) for end in good),
        "inconsistent": sum(bool(end["inconsistent"]) for end in ends),
    }


def campaign(case: Case) -> Json:
    """Run both campaigns in the world that the connection leads to."""
    exactly_once.control("settings", "POST", {"minute": 1.5, **case.settings})
    found: Json = dict.fromkeys(COUNTS, 0)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        canary.OssHook().create_bucket(canary.BUCKET)
        found |= carry_jobs(pool)
        exactly_once.control("settings", "POST", case.settings)
        try:
            found |= roll_out(pool)
        except PaiError as error:
            found["refused"] = str(error)
    if "refused" in found:
        # Others were under way when the first was refused; what is on its way out is not left behind.
        services = EasHook().list_services()
        found["orphans"] += sum(service["Status"] not in EasHook.states.deleting for service in services)
    return found


def in_its_world(case: Case) -> Json:
    """Start the emulator of a world, and this script on it in a process of its own; return what that found."""
    thrown = [f"--world={name}={position}" for name, position in case.switches.items()]
    command = [sys.executable, "-m", "airflow_provider_pai.emulator", "--dwell", "0.05", *thrown]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as emulator:
        try:
            pai = json.loads(emulator.stdout.readline())
            variables = {
                "AIRFLOW_CONN_PAI_DEFAULT": json.dumps(connection_to(pai, **case.extra)),
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            }
            done = subprocess.run(
                [sys.executable, __file__, "--inside", case.name],
                env=os.environ | variables,
                stdout=subprocess.PIPE,
                text=True,
                check=False,
                timeout=LONGEST,
            )
            # Hooks log errors to standard output, too.
            *_, last = done.stdout.splitlines() or ['{"crashed": "no result"}']
            found: Json = json.loads(last)
        except subprocess.TimeoutExpired:
            found = {"crashed": f"no result after {LONGEST} s"}
        finally:
            emulator.terminate()
    canary.say({"world": case.name, "wrong": wrong(case, found), "found": found})
    return found


def wrong(case: Case, found: Json) -> str:
    """Return what should not be in what a world's campaigns found."""
    if "crashed" in found:
        return found["crashed"]
    reasons = [f"{found[name]} {name}" for name in MUST_BE_NONE if found[name]]
    if case.served and found.get("refused"):
        reasons.append(f"refused: {found['refused']}")
    if not case.served and not found.get("refused"):
        reasons.append("not refused")
    return "; ".join([*reasons, *filter(None, [found.get("misread")])])


def inside(name: str) -> None:
    """Print what the campaigns found."""
    case = next(case for case in cases() if case.name == name)
    try:
        print(json.dumps(campaign(case)))
    except Exception as error:  # noqa: BLE001 - a world that ends so is told as wrong
        traceback.print_exc()
        print(json.dumps({"crashed": f"{type(error).__name__}: {error}"}))


def play(only: list[str], at_once: int) -> Json:
    """Carry the campaigns of these worlds and return what is printed."""
    wanted = [case for case in cases() if case.name.startswith(tuple(only))]
    with ThreadPoolExecutor(at_once) as pool:
        each = {case.name: found for case, found in zip(wanted, pool.map(in_its_world, wanted), strict=True)}
    reasons = {case.name: reason for case in wanted if (reason := wrong(case, each[case.name]))}
    total = {name: sum(found.get(name, 0) for found in each.values()) for name in COUNTS}
    return {"worlds": len(each), "wrong": reasons, "total": total, "each": each}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[""], help="these worlds, by the beginnings of their names")
    parser.add_argument("--at-once", type=int, default=2, help="worlds at the same time")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(options.inside)
    else:
        print(json.dumps(play(options.only, options.at_once)))


if __name__ == "__main__":
    main()
