"""The audit: what Airflow, the account and the ledger say of a campaign, compared with each other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from airflow_provider_pai.exceptions import PaiError
from demo.story import GROUP
from demo.watch import DAG_ID
from tests.distributed.campaign import SWEEP, Campaign
from tests.distributed.deployment import LEDGER

MODELS = {DAG_ID: "oss://pai-demo/models/digits/", SWEEP: "oss://sweep/models/"}
ENDS = frozenset({"deployed", "promoted", "skipped", "rolled_back", "stopped"})


class Audit:
    """One look at everything, after the end.

    :param faults: what is not as it should be, in words.
    :param figures: what was counted.
    """

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._stack, self._api = campaign.stack, campaign.api
        self.faults: list[str] = []
        self.figures: dict[str, Any] = {}
        self._nights = {run["dag_run_id"]: run for run in self._api.runs(DAG_ID)}

    def look(self) -> None:
        """Look at all of it."""
        self._runs()
        self._jobs()
        self._serving()
        self._ledger()
        orphans = self._stack.command("airflow", "pai", "jobs", "orphans")
        self._expect("no job runs for nobody", [line for line in orphans.splitlines() if "made by" in line], [])

    def _expect(self, told: str, found: Any, expected: Any) -> None:
        if found != expected:
            self.faults.append(f"{told}: {found!r}, not {expected!r}")

    def _runs(self) -> None:
        campaign = self._campaign
        kinds = Counter((run["run_type"], run["state"]) for run in self._nights.values())
        self._expect("nights", kinds, Counter({("backfill", "success"): campaign.backfilled, ("manual", "success"): 2}))
        tasks = self._api.task_instances(SWEEP, campaign.sweep)
        self._expect("tasks of the sweep", Counter(task["state"] for task in tasks), Counter(success=campaign.jobs + 1))
        for run_id in self._nights:
            tasks += self._api.task_instances(DAG_ID, run_id)
        self.figures |= {"tasks": len(tasks), "tasks_retried": sum(task["try_number"] > 1 for task in tasks)}

    def _jobs(self) -> None:
        from airflow_provider_pai.hooks.dlc import DlcHook
        from airflow_provider_pai.hooks.dsw import DswHook

        jobs = list(DlcHook().list_jobs())
        made = Counter(job["Settings"]["Tags"]["airflow_dag_id"] for job in jobs)
        self._expect("DLC jobs", made, Counter({SWEEP: self._campaign.jobs, DAG_ID: len(self._nights)}))
        self._expect("their ends", Counter(job["Status"] for job in jobs), Counter(Succeeded=len(jobs)))
        instances = Counter(instance["Status"] for instance in DswHook().list_instances())
        self._expect("DSW instances", instances, Counter(Stopped=len(self._nights)))
        self.figures |= {"jobs": len(jobs), "instances": instances.total()}

    def _serving(self) -> None:
        from airflow_provider_pai.canary.weights import carriers
        from airflow_provider_pai.hooks.eas import EasHook

        eas, traffic = EasHook(), self._campaign.traffic
        last = max(self._nights.values(), key=lambda run: run["data_interval_end"])
        newest = self._api.xcom(DAG_ID, last["dag_run_id"], "deploy") or {}
        self._expect("the newest night's rollout", newest.get("outcome"), "promoted")
        serving = [member.name for member in carriers(eas.group(GROUP))]
        self._expect("what serves", serving, [newest.get("service")])
        running = [service["ServiceName"] for service in eas.list_services() if service["RunningInstance"]]
        self._expect("services that run", len(running), 1)
        self._expect("requests that failed", [str(failure) for failure in traffic.failures[:3]], [])
        self.figures |= {"requests": traffic.requests, "failed": len(traffic.failures)}

    def _models(self) -> Iterator[str]:
        """Yield the versions that lie on OSS with a manifest that fits."""
        from airflow_provider_pai.hooks.oss import OssHook
        from airflow_provider_pai.manifests import read_artifact

        oss = OssHook()
        for home in MODELS.values():
            for folder in oss.list_folder(home)[1]:
                try:
                    yield read_artifact(oss, str(folder)).version
                except PaiError as error:
                    self.faults.append(f"no model at {folder}: {error}")

    def _ledger(self) -> None:
        from airflow_provider_pai.ledger import Ledger

        rows = list(Ledger.open(LEDGER).rows())
        produced = Counter(row.version for row in rows if row.kind == "artifact_produced")
        models = Counter(self._models())
        self._expect("models on OSS", models.total(), self._campaign.jobs + len(self._nights))
        self._expect("models in the ledger and not on OSS, or the other way", set(produced) ^ set(models), set())
        self._expect("rows of one model", set(produced.values()), {1})
        of_run = Counter(self._of_run(row) for row in rows if row.kind != "artifact_produced")
        gated = [
            run_id for run_id in self._nights if of_run[run_id, "gate_passed"] + of_run[run_id, "gate_failed"] != 1
        ]
        self._expect("runs without exactly one row of their gate", gated, [])
        endings = [
            run_id
            for run_id in self._nights
            if sum(of_run[run_id, end] for end in ENDS) != of_run[run_id, "gate_passed"]
        ]
        self._expect("runs whose gate let pass, without exactly one row of what came of it", endings, [])
        prepared = [run_id for run_id in self._nights if of_run[run_id, "run_finished"] != 1]
        self._expect("runs without exactly one row of their notebook", prepared, [])
        proof = json.loads(self._stack.command("airflow", "pai", "ledger", "verify", "--json"))
        self._expect("faults of the ledger's chain", proof["faults"], [])
        self.figures |= {
            "models": models.total(),
            "ledger_rows": len(rows),
            "ledger_kinds": dict(Counter(row.kind for row in rows)),
            "anchors": proof["anchors"],
        }

    @staticmethod
    def _of_run(row: Any) -> tuple[str, str]:
        return json.loads(row.payload).get("run_id", ""), row.kind
