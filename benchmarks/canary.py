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
- clean: a healthy model under 200 requests a second, old service deleted; half of them with a gateway that applies
  weights half a second late and does not drain.

    python benchmarks/canary.py [--full] [--at-once 2] [--only 'bad hang' 'killed 0' …]

prints one JSON line: {"bad": {"runs", "promoted", "harmed_outside_share", "rollback_s_p50", "rollback_s_p95", "kinds"},
"good": {"runs", "rolled_back"}, "killed": {"runs", "inconsistent"}, "poison", "skew", "scaled" and "late":
{"runs", "wrong", "inconsistent", "failed"}, "clean": {"requests", "failed"}}; without `--full` it is a fifth. How each
rollout ended goes to standard error.
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
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-"))
import requests  # noqa: E402
from airflow.providers.common.compat.module_loading import import_string  # noqa: E402
from airflow.providers.common.compat.sdk import TaskDeferred  # noqa: E402

from airflow_provider_pai.artifact import DataInterval, ModelArtifact  # noqa: E402
from airflow_provider_pai.canary.group import UNDER_WAY  # noqa: E402
from airflow_provider_pai.clock import SYSTEM_CLOCK  # noqa: E402
from airflow_provider_pai.exceptions import RolloutRolledBackError  # noqa: E402
from airflow_provider_pai.hooks.base import PaiHook  # noqa: E402
from airflow_provider_pai.hooks.eas import EasHook  # noqa: E402
from airflow_provider_pai.hooks.oss import OssHook  # noqa: E402
from airflow_provider_pai.manifests import write_artifact  # noqa: E402
from airflow_provider_pai.metrics.base import make_source  # noqa: E402
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator  # noqa: E402
from benchmarks.canary_model import predict, train  # noqa: E402
from tests.task import Task, fire  # noqa: E402

Json = dict[str, Any]

BUCKET = "canaries"
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
KILLS, KILL_WITHIN = 3, 9.0
POISON = str(Path(tempfile.gettempdir()) / "{group}.poison")
LATE = {"weight_lag": 2.0, "drain": True}
HOUR = 3600
TIMEOUT = 4.0
SHARED = ("poisons", "suffers")
FOOLED = ("poison", "skew", "scaled", "late")
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
    """What is done to production in the middle: `scale`, `autoscale` or `restart`."""
    plan: Json = field(default_factory=dict)
    steps: tuple[int, ...] = (20, 50, 100)
    auto: bool = False
    """Its group follows instance counts when the rollout begins, as one made by hand does."""

    @property
    def name(self) -> str:
        return f"{self.kind} {self.index}"


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

    def model(self, day: int, fault: Json) -> Json:
        """Put a model on OSS; return its artifact."""
        version = f"202611{day:02d}T1800Z-{uuid.uuid4().hex[:8]}"
        uri = f"oss://{BUCKET}/models/{version}/"
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
        endpoint, [pixels, _] = self.eas.group_endpoint(self.group), self._material["questions"][0]
        good = 0
        while good < STEADY:
            sent = {"json": {"pixels": pixels}, "headers": {"Authorization": endpoint.token}, "timeout": 5}
            good = good + 1 if requests.post(f"{endpoint.url}/predict", **sent).ok else 0
            time.sleep(0.1)

    @contextmanager
    def load(self) -> Iterator[Json]:
        """Ask the group all the while; what came of it is there at the end."""
        endpoint, found = self.eas.group_endpoint(self.group), {}
        command = [sys.executable, str(ROOT / "benchmarks" / "canary_load.py")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            told = {
                "url": endpoint.url,
                "token": endpoint.token,
                "rate": self.scenario.rate,
                "timeout": TIMEOUT,
                "questions": self._material["questions"],
            }
            process.stdin.write(json.dumps(told) + "\n")
            process.stdin.flush()
            try:
                yield found
            finally:
                found |= json.loads(process.communicate()[0])

    def meddle(self, stable: str) -> None:
        """Do to production what people and autoscalers do, once the candidate has traffic."""
        while sum(member.grouping for member in self.eas.group(self.group).members) < 2:
            time.sleep(0.2)
        if self.scenario.meddle == "scale":
            self.eas.update(stable, {"metadata": {"instance": 2}})
        elif self.scenario.meddle == "autoscale":
            strategies = [{"metricName": "qps", "threshold": 1000}]
            self.eas.set_autoscaler(stable, {"min": 2, "max": 3, "scaleStrategies": strategies})
        else:
            path = f"/api/v2/services/{self.eas.connection.region}/{stable}/restart"
            self.eas.request("RestartService", "2021-07-01", "PUT", path)

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
        stable = Task(partial(stage.operator, good, power=0), run_id="stable").run()["service"]
        if scenario.auto:
            stage.eas.set_traffic_mode(stage.group, "auto")
            stage.eas.release(stable, weight=0, grouping=True)
            time.sleep(1)
        candidate = stage.model(21, scenario.fault)
        stage.until_served()
        with stage.load() as load:
            time.sleep(1.5)
            if scenario.meddle:
                threading.Thread(target=stage.meddle, args=(stable,), daemon=True).start()
            started = time.time()
            end = (roll_out_killed if scenario.kills else roll_out)(stage, candidate)
            ended = time.time()
            time.sleep(1.5)
        return {
            "kind": scenario.kind,
            "index": scenario.index,
            "good": not scenario.fault,
            "poison": "poisons" in scenario.fault,
            "rate": scenario.rate,
            **end,
            "seconds": round(ended - started, 1),
            "requests": load["requests"],
            "harmed": load["harmed"],
            "inconsistent": inconsistent(stage, stable, end),
            "rollback_s": None if load["first"] is None else round(ended - load["first"], 2),
            "outside": outside(stage, stable, good["version"], load, began, end),
        }
    finally:
        stage.clean_up()


def roll_out(stage: Stage, artifact: Json) -> Json:
    task = Task(lambda: stage.operator(artifact), run_id="candidate")
    try:
        return told(task.run())
    except RolloutRolledBackError:
        return told(task.xcoms["return_value"])


def told(end: Json) -> Json:
    return {name: end[name] for name in ("outcome", "reason", "service")} | {
        "percent": max([step["percent"] for step in end["steps"]], default=0)
    }


def roll_out_killed(stage: Stage, artifact: Json) -> Json:
    """Let each process of the task be killed after a while, but the last; what survives is what Airflow keeps."""
    deferrable, kept = stage.scenario.index % 2 == 0, Path(tempfile.mkstemp(suffix=".json")[1])
    for number in range(100):
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            live(stage, artifact, number, deferrable, kept)
        if number < stage.scenario.kills:
            time.sleep(random.uniform(0.1, KILL_WITHIN))
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        state = json.loads(kept.read_text() or "{}")
        if "end" in state:
            return {**told(state["end"]), "deferrable": deferrable}
    return {"outcome": "none", "reason": "never ended", "service": None, "percent": 0}


def live(stage: Stage, artifact: Json, number: int, deferrable: bool, kept: Path) -> None:
    """Be the worker, or the triggerer of a task that is deferred; end the process."""

    def keep(**changes: Any) -> None:
        part = kept.with_suffix(".part")
        part.write_text(json.dumps(state | changes))
        part.replace(kept)

    skew = stage.scenario.skew * (-1) ** number
    PaiHook.clock = SYSTEM_CLOCK._replace(now=lambda: time.time() + skew)
    state = json.loads(kept.read_text() or "{}")
    task = Task(lambda: stage.operator(artifact, deferrable=deferrable), "candidate", max_tries=99, try_number=number)
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
    except RolloutRolledBackError:
        keep(end=task.xcoms["return_value"])
    finally:
        os._exit(0)


def inconsistent(stage: Stage, stable: str, end: Json) -> str:
    """Return what a rollout left that it should not have, or nothing; a list may be behind."""
    members = stage.eas.group(stage.group, stable, end["service"] or "").members
    serving = [member for member in members if member.grouping]
    should = end["service"] if end["outcome"] == "promoted" else None
    wrong = [
        end["outcome"] not in ("promoted", "rolled_back") and f"it ended as {end['outcome']}",
        len(members) > 2 and f"{len(members)} services",
        sum(member.weight for member in serving) != 100 and f"weights {[m.weight for m in serving]}",
        len(serving) != 1 and f"{len(serving)} serve",
        [m for m in members if m.running and m not in serving and not m.leaving] and "one runs on without traffic",
        [m for m in members if m.progress and m.progress.phase in UNDER_WAY] and "one is under way",
        should is not None and serving and serving[0].name != should and "the wrong one serves",
    ]
    return "; ".join(text for text in wrong if text)


def outside(stage: Stage, stable: str, version: str, load: Json, began: float, end: Json) -> int:
    """Count the harmed requests that were not the candidate's: production's, the group's, beyond its share."""
    harmed, production = load["harmed"], 0
    if stage.eas.group(stage.group, stable).member(stable):
        time.sleep(1.1)
        production = make_source(METRICS, stage.eas).sample(stable, began, time.time()).errors
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
            "promoted": sum(one["outcome"] != "rolled_back" for one in of["bad"]),
            "harmed_outside_share": sum(one["outside"] for one in of["bad"]),
            "rollback_s_p50": round(statistics.median(seconds), 1) if seconds else None,
            "rollback_s_p95": seconds[min(len(seconds) - 1, int(len(seconds) * 0.95))] if seconds else None,
            "kinds": kinds,
        },
        "good": {"runs": len(of["good"]), "rolled_back": sum(one["outcome"] != "promoted" for one in of["good"])},
        "killed": {"runs": len(of["killed"]), "inconsistent": sum(bool(one["inconsistent"]) for one in of["killed"])},
        **{kind: _verdicts([one for one in found if one["kind"] == kind]) for kind in FOOLED},
        "clean": {
            "requests": sum(one["requests"] for one in of["clean"]),
            "failed": sum(sum(one["harmed"].values()) for one in of["clean"]),
        },
    }


def _verdicts(found: list[Json]) -> Json:
    """Return what of a kind ended wrong, and which requests failed that were not a bad candidate's to lose."""
    right = {True: "promoted", False: "rolled_back"}
    failed = (sum(one["harmed"].values()) if one["good"] else one["outside"] for one in found if not one["poison"])
    return {
        "runs": len(found),
        "wrong": sum(one["outcome"] != right[one["good"]] for one in found),
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
            extra = {name: pai[name] for name in ("region", "workspace_id", "endpoint_url", "oss_endpoint")}
            login = {"conn_type": "pai", "login": pai["access_key_id"], "password": pai["access_key_secret"]}
            os.environ["AIRFLOW_CONN_PAI_DEFAULT"] = json.dumps({**login, "extra": extra})
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
