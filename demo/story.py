"""The five stories: a first model, a better one, no new data, a bad one, a backfill. All is read back, none assumed."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

from airflow_provider_pai.testing.airflow_api import AirflowApi
from demo.material import Sample
from demo.nights import Night
from demo.progress import Progress
from demo.report import Json, Report
from demo.traffic import Client, Traffic, is_digit
from demo.watch import DAG_ID, StoryError, Watcher

GROUP = "digits"
BAD_NIGHT = {"fail_share": 0.5}


def expect(condition: bool, told: str, found: object) -> None:
    """Raise StoryError unless the story went as told."""
    if not condition:
        raise StoryError(f"told: {told}; found: {found}")


class Story:
    """Drives the DAG through Airflow's REST API and reads what came of it.

    :param hooks: `oss` and `eas` hooks of the demo's connection.
    :param conf: params that all runs share.
    :param bad: params of the last night on top.
    """

    def __init__(
        self,
        api: AirflowApi,
        watcher: Watcher,
        progress: Progress,
        report: Report,
        *,
        oss: Any,
        eas: Any,
        conf: Json,
        bad: Json = BAD_NIGHT,
    ) -> None:
        self._api = api
        self._watcher = watcher
        self._progress = progress
        self._report = report
        self._oss = oss
        self._eas = eas
        self._conf = conf
        self._bad_night = bad
        self._runs: dict[str, str] = {}

    def play(self, backfilled: list[Night], nights: list[Night], held_out: list[Sample]) -> None:
        """Play all five.

        :raises StoryError: one did not end as told.
        """
        self._create_runs(nights)
        self._first(nights[0])
        traffic = self._start_traffic(held_out)
        try:
            self._better(nights[1], traffic)
            self._unchanged(nights[2])
            self._bad(nights[3], traffic)
            self._backfill(backfilled)
        finally:
            traffic.stop()
            self._count(traffic)
        self._no_other_runs()
        self._nothing_runs_on()
        self._ask_held_out(held_out)

    def _create_runs(self, nights: list[Night]) -> None:
        """Create all nights' runs, then un-pause: they run one after the other.

        On un-pausing the scheduler makes a run for the latest interval by itself, unless there is one: now there is.
        """
        self._api.wait_for_dag(DAG_ID)
        for night in nights:
            conf = self._conf | (self._bad_night if night is nights[-1] else {})
            self._runs[night.name] = self._api.trigger(DAG_ID, night.start, night.end, conf)
        self._api.set_paused(DAG_ID, False)

    def _first(self, night: Night) -> None:
        self._progress.head(f"{night.name}: the first model, until {_local(night.end)}")
        self._finish(night, state="success", outcome="deployed")

    def _better(self, night: Night, traffic: Traffic) -> None:
        self._progress.head(f"{night.name}: a new model takes over step by step, under live traffic")
        deployment = self._finish(night, state="success", outcome="promoted")
        percents = [step["percent"] for step in deployment["steps"]]
        expect(percents == [10, 50, 100], "canary at 10, 50 and 100 %", deployment)
        served = set(traffic.by_version)
        expect(served == {model["version"] for model in self._models()}, "both models answered", served)

    def _unchanged(self, night: Night) -> None:
        self._progress.head(f"{night.name}: no sample has arrived since the last night, so no job is made")
        self._finish(night, state="success", outcome="unchanged")
        reused = self._api.xcom(DAG_ID, self._runs[night.name], "train")["reused_from"]
        expect(self._serving() == [reused], f"{reused} is taken as it is, and goes on serving", self._serving())

    def _bad(self, night: Night, traffic: Traffic) -> None:
        self._progress.head(f"{night.name}: a model that fails half of its requests")
        self._finish(night, state="failed", outcome="rolled_back")
        bad, good = self._models()[-1]["version"], self._models()[-2]["version"]
        expect(self._serving() == [good], f"{good} goes on serving", self._serving())
        expect(traffic.by_version[bad] > 0, "the bad model was found out on live traffic", traffic.by_version)

    def _backfill(self, nights: list[Night]) -> None:
        self._progress.head(f"backfill: three earlier nights, from {_local(nights[0].end)}")
        serving = self._serving()
        self._api.backfill(DAG_ID, nights[0].start, nights[-1].start, self._conf, parallel=len(nights))
        by_start = {datetime.fromisoformat(run["data_interval_start"]): run for run in self._backfill_runs()}
        runs = {night.name: by_start[night.start]["dag_run_id"] for night in nights}
        states = self._watcher.until_finished(runs)
        expect(set(states.values()) == {"success"}, "all three runs succeed", states)
        deployed = 0
        for name, run_id in runs.items():
            model, reason = self._verified_model(run_id), self._skipped_because(run_id)
            deployed += model["version"] in self._serving()
            self._progress.say(f"{name}: kept {model['version']}, accuracy {_accuracy(model)}; not deployed: {reason}")
        self._report.backfill = {"runs": len(runs), "trained": len(runs), "deployed": deployed}
        expect(self._serving() == serving, f"{serving} goes on serving", self._serving())

    def _finish(self, night: Night, *, state: str, outcome: str) -> Json:
        """Watch a night to its end, report it and return its deployment."""
        run_id = self._runs[night.name]
        states = self._watcher.until_finished({night.name: run_id})
        expect(states[night.name] == state, f"the run ends in {state}", self._failures(run_id) or states)
        model = self._verified_model(run_id)
        deployment = self._api.xcom(DAG_ID, run_id, "deploy") or {}
        self._report.add_night(self._api.run(DAG_ID, run_id), model, deployment)
        self._progress.say(
            f"{night.name}: {model['version']}, accuracy {_accuracy(model)}: {deployment.get('outcome')}"
            f" ({deployment.get('reason')})"
        )
        expect(deployment.get("outcome") == outcome, f"the model is {outcome}", deployment)
        return deployment

    def _verified_model(self, run_id: str) -> Json:
        """Return the run's model after reading its manifest back from OSS."""
        from airflow_provider_pai.manifests import read_artifact

        model: Json = self._api.xcom(DAG_ID, run_id, "artifact")
        expect(model is not None, "the run has trained a model", self._failures(run_id))
        kept = read_artifact(self._oss, model["uri"]).to_dict()
        expect(kept == model, "the model on OSS is the one that the task returned", kept)
        return model

    @property
    def promoted(self) -> Json:
        """Return the model that serves at the end."""
        return self._models()[1]

    def _models(self) -> list[Json]:
        return [night["model"] for night in self._report.nights]

    def _serving(self) -> list[str]:
        """Return the versions that get traffic, as EAS shows them."""
        from airflow_provider_pai.canary.weights import carriers

        members = carriers(self._eas.group(GROUP))
        return [member.progress.version if member.progress else member.name for member in members]

    def _backfill_runs(self) -> list[Json]:
        return [run for run in self._api.runs(DAG_ID) if run["run_type"] == "backfill"]

    def _skipped_because(self, run_id: str) -> str:
        """Return what the task that kept the model from being deployed says."""
        tasks = {task["task_id"]: task for task in self._api.task_instances(DAG_ID, run_id)}
        expect(tasks["deploy"]["state"] == "skipped", "deploy is skipped", tasks["deploy"]["state"])
        deployment = self._api.xcom(DAG_ID, run_id, "deploy")
        if deployment is not None:
            return str(deployment["reason"])
        gate = self._api.xcom(DAG_ID, run_id, "gate")
        return f"{gate['metric']} {gate['candidate']} is below {gate['needed']:.4f}"

    def _failures(self, run_id: str) -> str:
        """Return the last lines of each failed task's log."""
        failed = [task for task in self._api.task_instances(DAG_ID, run_id) if task["state"] == "failed"]
        logs = {task["task_id"]: self._api.log(DAG_ID, run_id, task["task_id"], task["try_number"]) for task in failed}
        return "".join(f"\n  {task_id}: {line}" for task_id, lines in logs.items() for line in lines[-15:])

    def _start_traffic(self, samples: list[Sample]) -> Traffic:
        endpoint = self._eas.group_endpoint(GROUP)
        traffic = self._watcher.traffic = Traffic(endpoint.url, endpoint.token, samples)
        traffic.start()
        self._progress.say(f"live traffic to {endpoint.url}")
        return traffic

    def _count(self, traffic: Traffic) -> None:
        """Count failures; outside a canary are all but those that a candidate answered while it was one."""
        canaries = [night for night in self._report.nights[1:] if night["deployment"]["outcome"] != "unchanged"]
        phases = {night["model"]["version"]: self._canary_phase(night) for night in canaries}
        outside = [
            failure
            for failure in traffic.failures
            if not (phase := phases.get(failure.version)) or not phase[0] <= failure.at <= phase[1]
        ]
        counts = {"requests": traffic.requests, "failed": len(traffic.failures), "failed_outside_canary": len(outside)}
        self._report.traffic = counts
        if sys.exc_info()[0] is None:
            expect(not outside, "no request fails but on a canary", outside[:3])

    def _canary_phase(self, night: Json) -> tuple[float, float]:
        tasks = self._api.task_instances(DAG_ID, night["run_id"])
        deploy = next(task for task in tasks if task["task_id"] == "deploy")
        start, end = (datetime.fromisoformat(deploy[name]).timestamp() for name in ("start_date", "end_date"))
        return start, end

    def _no_other_runs(self) -> None:
        kinds = sorted(run["run_type"] for run in self._api.runs(DAG_ID))
        expect(kinds == ["backfill"] * 3 + ["manual"] * 4, "four nights and three backfilled ones", kinds)

    def _nothing_runs_on(self) -> None:
        """One instance for each run, one job for each but one, all of them over, and one service that serves."""
        from airflow_provider_pai.hooks.dlc import DlcHook
        from airflow_provider_pai.hooks.dsw import DswHook

        jobs = [job["Status"] for job in DlcHook().list_jobs()]
        expect(jobs == ["Succeeded"] * 6, "one training job for each run with new data", jobs)
        instances = [instance["Status"] for instance in DswHook().list_instances()]
        expect(instances == ["Stopped"] * 7, "one instance for each run, stopped", instances)
        running = [service["ServiceName"] for service in self._eas.list_services() if service["RunningInstance"]]
        expect(len(running) == 1, "one service runs", running)

    def _ask_held_out(self, samples: list[Sample]) -> None:
        """Ask the served model for every held-out sample."""
        endpoint = self._eas.group_endpoint(GROUP)
        client = Client(endpoint.url, endpoint.token)
        answers = [client.ask(sample.pixels)[1] for sample in samples]
        client.close()
        expect(all(map(is_digit, answers)), "the served model answers", [a for a in answers if not is_digit(a)][:3])
        right = sum(answer["digit"] == sample.digit for answer, sample in zip(answers, samples, strict=True))
        accuracy = round(right / len(samples), 4)
        versions = {answer["version"] for answer in answers}
        promoted = self.promoted
        expect(versions == {promoted["version"]}, f"{promoted['version']} answers", versions)
        expect(accuracy == promoted["metrics"]["accuracy"], f"accuracy {_accuracy(promoted)} as trained", accuracy)
        self._report.served = {"version": versions.pop(), "accuracy": accuracy, "samples": len(samples)}


def _accuracy(model: Json) -> str:
    return f"{model['metrics']['accuracy']:.4f}"


def _local(moment: datetime) -> str:
    return f"{moment:%d %b %H:%M} in Shanghai"
