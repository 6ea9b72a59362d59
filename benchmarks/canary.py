"""Canary rollouts of good and bad models under constant load: promotions, harmed requests, leftovers of kills.

An emulator in a process of its own serves real models (benchmarks/canary_model.py) as processes behind its gateway;
each rollout has a group of its own whose endpoint is asked all the while (benchmarks/canary_load.py).

- bad: eight kinds of candidates. Harmed is a request without the right answer; `harmed_outside_share` counts those that
  were not the candidate's. Seconds to rollback: from the first harmed request to the end of the task.
- good: ten in forty with 12 requests a second, fifteen where production and candidate fail 1 % of the requests.
- killed: good and bad ones, worker or triggerer ended by SIGKILL three times at random moments, then left to finish.
- poison: a candidate that is well and makes production fail; skew: good and bad ones, each process with a clock of its
  own, an hour fast or slow; scaled: production gets instances, an autoscaler or a restart in the middle; late: the
  gateway follows weights after 2 s, and so long is a step.
- deleted: a person deletes the candidate in the middle, once the whole group; labels: a person removes, cuts or spoils
  all of ours in the middle, and goes back to the model before afterwards; buckets: two nights' models from two buckets
  at the same time, some into a new group; frozen: a process stops (SIGSTOP) for longer than its lease, and goes on when
  the next night's rollout, or another process of its own, has ended.
- clean: a healthy model under 200 requests a second, old service deleted; half of them with a gateway that applies
  weights half a second late and does not drain.

    python benchmarks/canary.py [--full] [--at-once 2] [--only 'bad hang' 'killed 0' …]

prints one JSON line: {"bad": {"runs", "promoted", "harmed_outside_share", "rollback_s_p50", "rollback_s_p95", "kinds"},
"good": {"runs", "rolled_back"}, "killed": {"runs", "inconsistent"}, "poison", "skew", "scaled", "late",
"deleted", "labels", "buckets" and "frozen": {"runs", "wrong", "inconsistent", "failed"}, "clean": {"requests",
"failed"}}; without `--full` it is a fifth. Of "deleted", production's own requests count as failed: where a person
leaves nobody in the traffic, nobody answers. How each rollout ended goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-"))
import requests  # noqa: E402
from airflow.providers.common.compat.module_loading import import_string  # noqa: E402
from airflow.providers.common.compat.sdk import TaskDeferred  # noqa: E402

from airflow_provider_pai.artifact import DataInterval, ModelArtifact  # noqa: E402
from airflow_provider_pai.canary.group import UNDER_WAY, Phase  # noqa: E402
from airflow_provider_pai.clock import SYSTEM_CLOCK  # noqa: E402
from airflow_provider_pai.emulator.connection import connection_to  # noqa: E402
from airflow_provider_pai.hooks.base import PaiHook  # noqa: E402
from airflow_provider_pai.hooks.eas import EasHook  # noqa: E402
from airflow_provider_pai.hooks.oss import OssHook  # noqa: E402
from airflow_provider_pai.hooks.oss.home import bucket_home, rollout_folder  # noqa: E402
from airflow_provider_pai.labels import Key, is_ours  # noqa: E402
from airflow_provider_pai.manifests import write_artifact  # noqa: E402
from airflow_provider_pai.metrics.base import make_source  # noqa: E402
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator, EasRollbackOperator  # noqa: E402
from airflow_provider_pai.rollouts import rollout_driver  # noqa: E402
from benchmarks.canary_model import predict, train  # noqa: E402
from tests.task import Task, fire  # noqa: E402

Json = dict[str, Any]

BUCKET, OTHER_BUCKET = "canaries", "canaries-too"
PLAN = {
    "interval": 1,
    "min_duration": 3,
    "max_duration": 120,
    "min_requests": 30,
    "drain": 1,
    "ready_timeout": 8,
    "max_error_rate_delta": 0.005,
    "hard_error_rate": 0.15,
}
METRICS = {"kind": "cloudmonitor", "period": 1, "delay": 0}
BAD: dict[str, list[Json]] = {
    "errors_2": [{"error_rate": 0.02}],
    "errors_20": [{"error_rate": 0.2}],
    "slow_3": [{"slow": 3}],
    # The first kind is known before it has traffic.
    "wrong": [{"wrong_after": 60}, {"wrong_after": 0}],
    "crash_50": [{"crash_after": 50}],
    "never_ready": [{"never_ready": True}],
    "hang": [{"hang_after": 20}],
    "memory": [{"grow": 3 << 20}],
}
GOOD: list[Json] = [
    {"rate": 12},
    {},
    {"fault": {"error_rate": 0.01}},
    {},
    {"fault": {"error_rate": 0.01}},
    {"rate": 12},
    {},
    {"fault": {"error_rate": 0.01}},
]
DELETED: list[Json] = [
    {"meddle": "delete", "at": 20},
    {"meddle": "delete", "at": 0},
    {"meddle": "delete all", "at": 50},
    {"meddle": "delete", "at": 100},
    {"meddle": "delete", "at": 50},
]
LABELS: list[Json] = [
    {"meddle": "lose"},
    {"meddle": "cut", "fault": {"slow": 3}},
    {"meddle": "confuse", "at": 50},
    {"meddle": "lose", "at": 100, "whose": ("production",)},
    {"meddle": "confuse", "at": 0, "whose": ("candidate",), "fault": {"slow": 3}},
]
KILLS, KILL_WITHIN = 3, 9.0
POISON = str(Path(tempfile.gettempdir()) / "{group}.poison")
LATE = {"weight_lag": 2.0, "drain": True}
HOUR = 3600
TIMEOUT = 4.0
SHARED = ("poisons", "suffers")
VERDICTS = ("poison", "skew", "scaled", "late", "deleted", "labels", "buckets", "frozen")
SERVED = ("deployed", "promoted")
OURS = (*SERVED, "rolled_back", "timed_out", "skipped", "stopped")
# Services that two rollouts may leave, else one leaves two.
MOST = {"buckets": 3, "frozen": 3}
# What a person leaves of a label.
SPOILT: dict[str, Callable[[str], str]] = {"cut": lambda text: text[: len(text) // 2], "confuse": lambda _: "\u00b2?"}
# Seconds of a lease whose holder freezes, and in which a candidate has come to its share.
LEASE, MIDDLE = 8.0, 90.0
# Answers in a row, a tenth of a second apart, before a group counts as served: longer than any lag of the gateway.
STEADY = 25


@dataclass(frozen=True)
class Scenario:
    """One rollout: a group that serves a good model, a candidate, a load."""

    kind: str
    index: int
    fault: Json = field(default_factory=dict)
    """Of the candidate."""
    stable_fault: Json = field(default_factory=dict)
    rate: float = 80
    kills: int = 0
    skew: int = 0
    """Seconds by which each process's clock is off, one ahead, the next behind."""
    meddle: str = ""
    """What is done in the middle: to production `scale`, `autoscale` or `restart`; `delete` the candidate or `delete
    all`; to labels `lose`, `cut` or `confuse`."""
    whose: tuple[str, ...] = ("candidate", "production")
    """Labels that are meddled with."""
    at: int = 20
    """Percent of the traffic that the candidate has in the middle."""
    first: bool = False
    """Its group is new: nothing serves."""
    plan: Json = field(default_factory=dict)
    steps: tuple[int, ...] = (20, 50, 100)
    auto: bool = False
    """Its group follows instance counts when the rollout begins, as one made by hand does."""

    @property
    def name(self) -> str:
        return f"{self.kind} {self.index}"

    @property
    def right(self) -> str:
        """How it ought to end."""
        if self.meddle.startswith("delete"):
            return "stopped"
        if "never_ready" in self.fault:
            return "timed_out"  # nothing is known of the model, and a retry goes on
        return "rolled_back" if self.fault else "promoted"


def scenarios(full: bool) -> Iterator[Scenario]:
    share = 5 if full else 1
    for index in range(share):
        for kind, faults in BAD.items():
            yield Scenario(f"bad {kind}", index, fault=faults[index % len(faults)])
        for number, given in enumerate(GOOD):
            fault = given.get("fault", {})
            yield Scenario("good", index * len(GOOD) + number, fault, fault, given.get("rate", 80))
        for number in range(10):
            fault = {"error_rate": 0.2} if number % 3 == 2 else {}
            yield Scenario("killed", index * 10 + number, fault, kills=KILLS, rate=60)
        yield Scenario("poison", index, {"poisons": POISON}, {"suffers": POISON})
        fault = {"error_rate": 0.2} if index % 2 else {}
        yield Scenario("skew", index, fault, kills=1, skew=HOUR if index % 3 else -HOUR, rate=60)
        yield Scenario("scaled", index, meddle=("scale", "autoscale", "restart")[index % 3])
        yield Scenario("deleted", index, **DELETED[index], rate=60)
        yield Scenario("labels", index, **LABELS[index], rate=60)
        yield Scenario("buckets", index, first=index in (1, 2, 4), rate=60)
        yield Scenario("frozen", index, at=(20, 0, 50, 100, 20)[index], rate=60)


def clean_scenarios(full: bool) -> Iterator[tuple[Json, Scenario]]:
    """Yield the gateway's settings and a rollout."""
    for index in range(5 if full else 1):
        yield LATE, Scenario("late", index, rate=60, plan={"min_duration": 2})
        for late in ({"weight_lag": 0.0, "drain": True}, {"weight_lag": 0.5, "drain": False}):
            number = 2 * index + (not late["drain"])
            yield late, Scenario("clean", number, rate=200, plan={"keep_versions": 0}, auto=not late["drain"])


class Stage:
    """What one rollout needs in the emulated account."""

    def __init__(self, scenario: Scenario, material: Json) -> None:
        self.scenario, self._material = scenario, material
        self.group = f"g{uuid.uuid4().hex[:8]}"
        self.oss, self.eas = OssHook(), EasHook()
        self.meddled = False

    def model(self, day: int, fault: Json, bucket: str = BUCKET) -> Json:
        """Put a model on OSS; return its artifact."""
        version = f"202611{day:02d}T1800Z-{uuid.uuid4().hex[:8]}"
        uri = f"oss://{bucket}/models/{version}/"
        fault = {name: value.format(group=self.group) if name in SHARED else value for name, value in fault.items()}
        content = {"version": version, "centroids": self._material["centroids"], "fault": fault}
        self.oss.put(f"{uri}model.json", json.dumps(content))
        interval = DataInterval(start=f"2026-11-{day - 1:02d}T18:00:00Z", end=f"2026-11-{day:02d}T18:00:00Z")
        return write_artifact(
            self.oss, ModelArtifact(name="digits", version=version, uri=uri, data_interval=interval)
        ).to_dict()

    def operator(self, artifact: Json, *, deferrable: bool = False, **plan: Any) -> EasCanaryDeployOperator:
        golden = [{"path": "/predict", "json": {"pixels": p}, "expect": {"digit": d}} for p, d in self._golden]
        container = {
            "image": "registry.example.com/python:3.11",
            "port": 8000,
            "script": "python /mnt/code/canary_model.py {model} 8000",
            "startup_check": {"http_get": {"path": "/health", "port": 8000}, "period_seconds": 0.1},
        }
        return EasCanaryDeployOperator(
            task_id="task",
            artifact=artifact,
            group=self.group,
            steps=list(self.scenario.steps),
            metrics=METRICS,
            deferrable=deferrable,
            plan={**PLAN, **self.scenario.plan, **plan},
            probe={"requests": golden, "timeout": 1},
            service={
                "metadata": {"cpu": 1, "memory": 200},
                "containers": [container],
                "storage": [{"mount_path": "/mnt/code", "oss": {"path": f"oss://{BUCKET}/code/", "readOnly": True}}],
            },
        )

    @property
    def _golden(self) -> list[Any]:
        return self._material["questions"][:5]

    def until_served(self) -> None:
        """Return when the group has answered for a while: the gateway learns late of services and weights."""
        while not self.traffic():
            time.sleep(0.2)
        endpoint, [pixels, _] = self.eas.group_endpoint(self.group), self._material["questions"][0]
        good = 0
        while good < STEADY:
            sent = {"json": {"pixels": pixels}, "headers": {"Authorization": endpoint.token}, "timeout": 5}
            good = good + 1 if requests.post(f"{endpoint.url}/predict", **sent).ok else 0
            time.sleep(0.1)

    @contextmanager
    def load(self) -> Iterator[Json]:
        """Ask the group all the while, as soon as it is served; what came of it is there at the end."""
        found: Json = {}
        command = [sys.executable, str(ROOT / "benchmarks" / "canary_load.py")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            beginning = threading.Thread(target=self._ask, args=(process.stdin,), daemon=True)
            beginning.start()
            if not self.scenario.first:
                beginning.join()
            try:
                yield found
            finally:
                beginning.join(60)
                found |= json.loads(process.communicate()[0])

    def _ask(self, load: IO[str]) -> None:
        self.until_served()
        endpoint = self.eas.group_endpoint(self.group)
        told = {
            "url": endpoint.url,
            "token": endpoint.token,
            "rate": self.scenario.rate,
            "timeout": TIMEOUT,
            "questions": self._material["questions"],
        }
        load.write(json.dumps(told) + "\n")
        load.flush()

    def traffic(self) -> dict[str, int]:
        return {one.name: one.weight if one.grouping else 0 for one in self.eas.group(self.group).members}

    def until(self, stable: str, percent: int) -> str:
        """Return the candidate's name when it is ready and has its share.

        :raises TimeoutError: it never has.
        """
        until = time.monotonic() + MIDDLE
        while time.monotonic() < until:
            for one in self.eas.group(self.group).members:
                begun = one.progress is not None and one.progress.phase is not Phase.PREPARE
                if one.name != stable and begun and (one.weight if one.grouping else 0) >= percent:
                    return one.name
            time.sleep(0.2)
        raise TimeoutError(f"no candidate of {self.group} has come to {percent} %")

    def meddle(self, stable: str) -> None:
        """Do to the services what people and autoscalers do, once the candidate has its share."""
        candidate = self.until(stable, self.scenario.at)
        match self.scenario.meddle:
            case "scale":
                self.eas.update(stable, {"metadata": {"instance": 2}})
            case "autoscale":
                strategies = [{"metricName": "qps", "threshold": 1000}]
                self.eas.set_autoscaler(stable, {"min": 2, "max": 3, "scaleStrategies": strategies})
            case "restart":
                path = f"/api/v2/services/{self.eas.connection.region}/{stable}/restart"
                self.eas.request("RestartService", "2021-07-01", "PUT", path)
            case "delete":
                self.eas.delete(candidate)
            case "delete all":
                self.clean_up()
            case spoilt:
                names = {"candidate": candidate, "production": stable}
                for who in self.scenario.whose:
                    self.spoil(names[who], SPOILT.get(spoilt))
        self.meddled = True

    def spoil(self, name: str, how: Callable[[str], str] | None) -> None:
        """Do to all labels of ours on a service what a person does to them; None: remove them."""
        from alibabacloud_eas20210701.models import DeleteServiceLabelRequest

        ours = {key: text for key, text in self.eas.group(self.group, name).member(name).labels.items() if is_ours(key)}
        if how is None:
            request = DeleteServiceLabelRequest(keys=sorted(ours))
            self.eas.client.delete_service_label(self.eas.connection.region, name, request)
        else:
            self.eas.label(name, {key: how(text) for key, text in ours.items()})

    def clean_up(self) -> None:
        for member in self.eas.group(self.group).members:
            self.eas.delete(member.name)


def play(material: Json, scenario: Scenario) -> Json:
    """Deploy a good model, roll the candidate out over it under load, and say what came of it."""
    random.seed(f"{scenario.kind} {scenario.index}")
    stage = Stage(scenario, material)
    began = time.time()
    try:
        good = stage.model(20, scenario.stable_fault)
        stable = "" if scenario.first else first_rollout(stage, good)
        candidate = stage.model(21, scenario.fault)
        with stage.load() as load:
            time.sleep(1.5)
            if scenario.meddle:
                threading.Thread(target=stage.meddle, args=(stable,), daemon=True).start()
            started = time.time()
            end = DRIVERS.get(scenario.kind, roll_out)(stage, candidate, stable)
            ended = time.time()
            time.sleep(1.5)
        harmed = outside(stage, stable, good["version"], load, began, end)
        return {
            "kind": scenario.kind,
            "index": scenario.index,
            "right": scenario.right,
            "poison": "poisons" in scenario.fault,
            "rate": scenario.rate,
            **end,
            "seconds": round(ended - started, 1),
            "requests": load["requests"],
            "harmed": load["harmed"],
            "inconsistent": inconsistent(stage, stable, end),
            "rollback_s": None if load["first"] is None else round(ended - load["first"], 2),
            "outside": harmed,
        }
    finally:
        stage.clean_up()


def first_rollout(stage: Stage, artifact: Json) -> str:
    """Let the group serve a model, and return its service."""
    stable: str = Task(partial(stage.operator, artifact, power=0), run_id="stable").run()["service"]
    if stage.scenario.auto:
        stage.eas.set_traffic_mode(stage.group, "auto")
        stage.eas.release(stable, weight=0, grouping=True)
        time.sleep(1)
    return stable


def roll_out(stage: Stage, artifact: Json, stable: str = "", run_id: str = "candidate") -> Json:
    """Be the worker to the end."""
    task = Task(lambda: stage.operator(artifact), run_id=run_id)
    try:
        return told(task.run())
    except Exception as error:  # noqa: BLE001 - the benchmark tells what none of ours is
        return told(task.xcoms.get("return_value") or no_end(repr(error)))


def no_end(why: str) -> Json:
    return {"outcome": "none", "reason": why, "service": None, "steps": []}


def told(end: Json) -> Json:
    return {name: end[name] for name in ("outcome", "reason", "service")} | {
        "percent": max([step["percent"] for step in end["steps"]], default=0)
    }


def roll_out_killed(stage: Stage, artifact: Json, stable: str) -> Json:
    """Let each process of the task be killed after a while, but the last; what survives is what Airflow keeps."""
    deferrable, kept = stage.scenario.index % 2 == 0, new_file()
    for number in range(100):
        child = begin(stage, artifact, kept, number=number, deferrable=deferrable)
        if number < stage.scenario.kills:
            time.sleep(random.uniform(0.1, KILL_WITHIN))
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        state = json.loads(kept.read_text() or "{}")
        if state.get("end", {}).get("outcome", "timed_out") != "timed_out":
            return {**told(state["end"]), "deferrable": deferrable}
    return told(no_end("never ended"))


def go_back(stage: Stage, artifact: Json, stable: str) -> Json:
    """Roll out while a person spoils labels, then go back to the model before, or find that it serves."""
    end = roll_out(stage, artifact)
    to, right = ("previous", "rolled_back") if end["outcome"] == "promoted" else ("promoted", "unchanged")
    arguments = {"task_id": "task", "group": stage.group, "to": to, "drain": 1, "poll_interval": 0.2}
    try:
        back = Task(lambda: EasRollbackOperator(**arguments), run_id="back").run()
    except Exception as error:  # noqa: BLE001 - as above
        back = no_end(repr(error))
    wrong = f"the way back ended as {back['outcome']}: {back}" if back["outcome"] != right else ""
    return {**end, "serves": stable, "besides": wrong}


def roll_out_two(stage: Stage, artifact: Json, stable: str) -> Json:
    """Roll out two nights' models from two buckets at the same time."""
    newer, kept, over = stage.model(22, {}, OTHER_BUCKET), new_file(), threading.Event()
    mine, other = (newer, artifact) if stage.scenario.index % 2 else (artifact, newer)
    child = begin(stage, other, kept, run_id="beside", deferrable=True)
    seen: list[str] = []
    watching = threading.Thread(target=watch, args=(stage, newer["version"], over, seen))
    watching.start()
    time.sleep(random.uniform(0, 1.5))
    ends = {mine["version"]: roll_out(stage, mine), other["version"]: ended(child, kept)}
    over.set()
    watching.join()
    if stable and any(stage.oss.list_objects(rollout_folder(bucket_home(OTHER_BUCKET), stage.group))):
        seen.append("two leases")
    first, last = ends[artifact["version"]], ends[newer["version"]]
    right = last["outcome"] in SERVED and first["outcome"] in (*SERVED, "skipped")
    both = f"older {first['outcome']}, newer {last['outcome']}"
    outcome = {"outcome": "promoted" if right else both, "reason": both + ("" if right else f": {first} {last}")}
    return {**last, **outcome, "serves": last["service"], "besides": "; ".join(sorted(set(seen)))}


def watch(stage: Stage, newest: str, over: threading.Event, seen: list[str]) -> None:
    """Note when two candidates are judged at once, or an older model has traffic after the newer was promoted."""
    promoted = False
    while not over.wait(0.2):
        members = stage.eas.group(stage.group).members
        steps = [one for one in members if one.progress and one.progress.phase is Phase.STEP]
        older = [one for one in members if one.grouping and one.weight and one.labels.get(Key.VERSION) != newest]
        if len(steps) > 1:
            seen.append("two are judged at once")
        if promoted and older:
            seen.append("an older one has traffic after the newer was promoted")
        promoted = promoted or any(
            one.labels.get(Key.VERSION) == newest and one.progress and one.progress.phase is Phase.PROMOTED
            for one in members
        )


def carrying(stage: Stage) -> dict[str, int]:
    """Return the weights of those that have one; what has none may be cleaned up meanwhile."""
    return {name: weight for name, weight in stage.traffic().items() if weight}


def roll_out_frozen(stage: Stage, artifact: Json, stable: str) -> Json:
    """Let a process freeze for longer than its lease, and wake when another rollout, or its own heir, has ended."""
    deferrable, kept = stage.scenario.index % 2 == 1, new_file()
    heir = (artifact, "candidate") if stage.scenario.index in (1, 4) else (stage.model(22, {}), "next")
    child = begin(stage, artifact, kept, deferrable=deferrable, lease=LEASE)
    with suppress(TimeoutError):
        stage.until(stable, stage.scenario.at)
    time.sleep(random.uniform(0, 1))
    os.kill(child, signal.SIGSTOP)
    frozen, early = time.monotonic(), {"end", "error"} & json.loads(kept.read_text() or "{}").keys()
    end = roll_out(stage, heir[0], run_id=heir[1])
    time.sleep(max(0.0, frozen + LEASE + 2 - time.monotonic()))
    before = carrying(stage)
    os.kill(child, signal.SIGCONT)
    late = ended(child, kept)
    after = carrying(stage)
    wrong = [
        early and "it had ended before it froze",
        before != after and f"the frozen one moved traffic: {before}, then {after}",
        late["outcome"] not in OURS and f"the frozen one ended as {late}",
    ]
    return {**end, "frozen": late["outcome"], "besides": "; ".join(text for text in wrong if text)}


# What drives the rollouts of a kind; else one worker does.
DRIVERS: dict[str, Callable[[Stage, Json, str], Json]] = {
    "killed": roll_out_killed,
    "skew": roll_out_killed,
    "labels": go_back,
    "buckets": roll_out_two,
    "frozen": roll_out_frozen,
}


def new_file() -> Path:
    return Path(tempfile.mkstemp(suffix=".json")[1])


def begin(stage: Stage, artifact: Json, kept: Path, **arguments: Any) -> int:
    """Start a process that lives through a rollout, and return its id."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        live(stage, artifact, kept, **arguments)
    return child


def ended(child: int, kept: Path) -> Json:
    """Wait for a process and return its rollout's end."""
    os.waitpid(child, 0)
    state = json.loads(kept.read_text() or "{}")
    return told(state.get("end") or no_end(state.get("error", "it died")))


def live(
    stage: Stage,
    artifact: Json,
    kept: Path,
    *,
    run_id: str = "candidate",
    number: int = 0,
    deferrable: bool = False,
    lease: float = rollout_driver.DEFAULT_TTL,
) -> None:
    """Be the worker, or the triggerer of a task that is deferred; end the process."""

    def keep(**changes: Any) -> None:
        part = kept.with_suffix(".part")
        part.write_text(json.dumps(state | changes))
        part.replace(kept)

    skew = stage.scenario.skew * (-1) ** number
    PaiHook.clock = SYSTEM_CLOCK._replace(now=lambda: time.time() + skew)
    rollout_driver.DEFAULT_TTL = lease
    state = json.loads(kept.read_text() or "{}")
    task = Task(lambda: stage.operator(artifact, deferrable=deferrable), run_id, max_tries=99, try_number=number)
    try:
        if "trigger" not in state:
            try:
                keep(end=task.make().execute(task.context()))
                os._exit(0)
            except TaskDeferred as deferred:
                state["trigger"] = deferred.trigger.serialize()
                keep()
        path, arguments = state["trigger"]
        event = fire(import_string(path)(**arguments))
        keep(end=task.make().resume_execution("execute_complete", {"event": event}, task.context()))
    except Exception as error:  # noqa: BLE001 - as above
        end = task.xcoms.get("return_value")
        keep(**({"end": end} if end else {"error": repr(error)}))
    finally:
        os._exit(0)


def inconsistent(stage: Stage, stable: str, end: Json) -> str:
    """Return what a rollout left that it should not have, or nothing; a list may be behind."""
    members = [m for m in stage.eas.group(stage.group, stable, end["service"] or "").members if not m.deleted]
    serving = [member for member in members if member.grouping]
    emptied, deleted = (stage.scenario.meddle == what for what in ("delete all", "delete"))
    should = end.get("serves") or (end["service"] if end["outcome"] == "promoted" else stable)
    wrong = [
        end.get("besides"),
        stage.scenario.meddle and not stage.meddled and "nobody has meddled",
        end["outcome"] not in ("promoted", "rolled_back", stage.scenario.right) and f"it ended as {end['outcome']}",
        len(members) > MOST.get(stage.scenario.kind, 2) and f"{len(members)} services",
        deleted and [m for m in members if m.name != stable] and "one that was deleted is made again",
        sum(member.weight for member in serving) != 100 * (not emptied) and f"weights {[m.weight for m in serving]}",
        len(serving) != (not emptied) and f"{len(serving)} serve",
        [m for m in members if m.running and m not in serving and not m.leaving] and "one runs on without traffic",
        [m for m in members if m.progress and m.progress.phase in UNDER_WAY] and "one is under way",
        serving and serving[0].name != should and "the wrong one serves",
    ]
    return "; ".join(text for text in wrong if text)


def outside(stage: Stage, stable: str, version: str, load: Json, began: float, end: Json) -> int:
    """Count the harmed requests that were not the candidate's: production's, the group's, beyond its share."""
    harmed, production = load["harmed"], 0
    if stable and stage.eas.group(stage.group, stable).member(stable):
        time.sleep(1.1)
        production = make_source(METRICS, stage.eas).sample(stable, began, time.time()).errors
    if stage.scenario.right == "stopped":
        return max(production, harmed.get(version, 0))
    nobody = sum(
        count
        for who, count in harmed.items()
        if "No service of the group" in who or (who.isidentifier() and who != "timeout")
    )
    share = end["percent"] / 100 * load["requests"]
    return max(production, harmed.get(version, 0)) + nobody + max(0, round(harmed.get("timeout", 0) - share))


def summary(found: list[Json]) -> Json:
    of = {kind: [one for one in found if one["kind"].split()[0] == kind] for kind in ("bad", "good", "killed", "clean")}
    seconds = sorted(one["rollback_s"] for one in of["bad"] if one["rollback_s"] is not None)
    kinds = {
        one["kind"].split()[1]: {
            "rollback_s": [o["rollback_s"] for o in of["bad"] if o["kind"] == one["kind"]],
            "harmed": [sum(o["harmed"].values()) for o in of["bad"] if o["kind"] == one["kind"]],
        }
        for one in of["bad"]
    }
    return {
        "bad": {
            "runs": len(of["bad"]),
            "promoted": sum(one["outcome"] in SERVED for one in of["bad"]),
            "harmed_outside_share": sum(one["outside"] for one in of["bad"]),
            "rollback_s_p50": round(statistics.median(seconds), 1) if seconds else None,
            "rollback_s_p95": seconds[min(len(seconds) - 1, int(len(seconds) * 0.95))] if seconds else None,
            "kinds": kinds,
        },
        "good": {"runs": len(of["good"]), "rolled_back": sum(one["outcome"] != "promoted" for one in of["good"])},
        "killed": {"runs": len(of["killed"]), "inconsistent": sum(bool(one["inconsistent"]) for one in of["killed"])},
        **{kind: _verdicts([one for one in found if one["kind"] == kind]) for kind in VERDICTS},
        "clean": {
            "requests": sum(one["requests"] for one in of["clean"]),
            "failed": sum(sum(one["harmed"].values()) for one in of["clean"]),
        },
    }


def _verdicts(found: list[Json]) -> Json:
    """Return what of a kind ended wrong, and which requests failed that were not a bad candidate's to lose."""
    mine = [one for one in found if not one["poison"]]
    failed = (sum(one["harmed"].values()) if one["right"] == "promoted" else one["outside"] for one in mine)
    return {
        "runs": len(found),
        "wrong": sum(one["outcome"] != one["right"] for one in found),
        "inconsistent": sum(bool(one["inconsistent"]) for one in found),
        "failed": sum(failed),
    }


def say(one: Json) -> None:
    print(json.dumps(one), file=sys.stderr, flush=True)


def rehearse() -> Json:
    """Train the model, put its code on OSS; return the model and questions that it answers right."""
    from demo.material import load_samples

    oss = OssHook()
    oss.create_bucket(BUCKET)
    oss.create_bucket(OTHER_BUCKET)
    oss.put(f"oss://{BUCKET}/code/canary_model.py", (ROOT / "benchmarks" / "canary_model.py").read_text())
    training, held_out = load_samples()
    centroids = train(training)
    questions = [[s.pixels, s.digit] for s in held_out if predict(centroids, s.pixels) == s.digit]
    return {"centroids": centroids, "questions": questions[:100]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="five times as many")
    parser.add_argument("--at-once", type=int, default=2, help="rollouts at the same time, each in its own group")
    parser.add_argument("--only", nargs="*", default=[""], help="play these alone, e.g. 'bad hang' 'killed 3'")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    command = [sys.executable, "-m", "airflow_provider_pai.emulator", "--dwell", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as emulator:
        try:
            pai = json.loads(emulator.stdout.readline())
            os.environ["AIRFLOW_CONN_PAI_DEFAULT"] = json.dumps(connection_to(pai))
            os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
            material, found = rehearse(), []
            only = tuple(options.only)
            wanted = [one for one in scenarios(options.full) if one.name.startswith(only)]
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(options.at_once, mp_context=spawn) as pool:
                for one in pool.map(partial(play, material), wanted):
                    say(one)
                    found.append(one)
                for settings, scenario in clean_scenarios(options.full):
                    if scenario.name.startswith(only):
                        requests.post(f"{pai['endpoint_url']}/_emulator/settings", json=settings, timeout=10)
                        found.append(pool.submit(play, material, scenario).result())
                        say(found[-1])
            print(json.dumps(summary(found)))
        finally:
            emulator.terminate()


if __name__ == "__main__":
    main()
