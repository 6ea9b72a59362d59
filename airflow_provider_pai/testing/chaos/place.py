"""Place of bad nights: an Airflow, an emulated account, people, and the DAG among them."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.testing.airflow_api import AirflowApi
from airflow_provider_pai.testing.chaos.account import EmulatedAccount, Made
from airflow_provider_pai.testing.chaos.dagfile import NIGHTS_AGO
from airflow_provider_pai.testing.chaos.given import Given
from airflow_provider_pai.testing.chaos.people import LiveTraffic
from airflow_provider_pai.testing.stack import Stack

Json = dict[str, Any]

OURS = "airflow_provider_pai"
UNFINISHED = ("running", "deferred", "awaiting_input", "up_for_retry", "up_for_reschedule")


@dataclass(kw_only=True)
class Place:
    """All that a night takes place in."""

    given: Given
    stack: Stack
    api: AirflowApi
    account: EmulatedAccount
    people: LiveTraffic
    dag_id: str
    say: Callable[[str], None]
    authors: dict[str, str] = field(default_factory=dict)
    """Task by the id of what it made without a label."""

    def control(self, method: str, what: str, body: Any = None) -> Any:
        """Tell the emulator how to behave."""
        return self.stack.control(method, what, body)

    @cached_property
    def tasks(self) -> dict[str, Json]:
        """Return the DAG's tasks by their ids."""
        found = self.api.request("GET", f"/dags/{self.dag_id}/tasks")["tasks"]
        return {task["task_id"]: task for task in found}

    def is_ours(self, task_id: str) -> bool:
        """Tell whether a task is an operator or sensor of the provider."""
        module = (self.tasks[task_id].get("class_ref") or {}).get("module_path") or ""
        return str(module).partition(".")[0] == OURS

    def author(self, made: Made) -> str:
        """Return the task that made something; empty: nobody knows."""
        return made.task or self.authors.get(made.id, "")

    def learn_authors(self, made: list[Made], tasks: list[Json]) -> None:
        """Remember who made what bears no label: a task of another's that ran just now."""
        for each in made:
            if not each.task and each.id not in self.authors:
                names = sorted({task["task_id"] for task in tasks if not self.is_ours(task["task_id"]) and _ran(task)})
                self.authors[each.id] = " or ".join(names)

    def path(self, run_id: str, task: Json | None = None, rest: str = "") -> str:
        """Return the REST path of a run, of one of its task instances, or of something below that."""
        run = f"/dags/{self.dag_id}/dagRuns/{quote(run_id)}"
        if task is None:
            return run
        return f"{run}/taskInstances/{task['task_id']}/{task['map_index']}/{rest}".rstrip("/")

    def start(self, number: int) -> str:
        """Start the run of a night, each a day younger than the one before; return its id."""
        conf = self.given.conf_of(number)
        if assets := self._assets():
            return self._start_by_assets(assets)
        start = self.day(number)
        return self.api.trigger(self.dag_id, start, start + timedelta(days=1), conf)

    def day(self, number: int) -> datetime:
        """Return when the data interval of a night's run begins."""
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return today - timedelta(days=NIGHTS_AGO - number)

    def start_backfill(self) -> str | None:
        """Start a backfill of one run, earlier than every night; None: the schedule has none to backfill."""
        first = self.day(-3)
        body = {"dag_id": self.dag_id, "from_date": first.isoformat(), "to_date": self.day(-1).isoformat()}
        dates = self.api.request("POST", "/backfills/dry_run", json=body)["backfills"]
        if not dates:
            return None
        moment = datetime.fromisoformat(dates[0]["logical_date"])
        before = self.run_ids()
        self.api.backfill(self.dag_id, moment, moment, self.given.conf_of(0), parallel=1)
        return self._new_run(before)

    @cached_property
    def is_scheduled(self) -> bool:
        """Tell whether time starts the DAG's runs."""
        return bool(self.api.request("GET", f"/dags/{self.dag_id}")["timetable_periodic"])

    def run_ids(self) -> set[str]:
        """Return the ids of all runs."""
        return {run["dag_run_id"] for run in self.api.runs(self.dag_id)}

    def rows(self, table: str, column: str) -> Iterator[tuple[str, str]]:
        """Yield a column of a table of Airflow's that belongs to tasks, with each row's task."""
        with closing(sqlite3.connect(f"file:{self.stack.database}?mode=ro", uri=True, timeout=30)) as database:
            query = f"SELECT task_id, {column} FROM {table} WHERE dag_id = ?"  # noqa: S608 - names of ours
            yield from ((task, str(value)) for task, value in database.execute(query, (self.dag_id,)))

    def rendered(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield each task's fields as they were rendered."""
        for task, text in self.rows("rendered_task_instance_fields", "rendered_fields"):
            yield task, json.loads(text)

    def learn_request(self) -> None:
        """Let people ask what a rollout's first golden request asks, where nobody has said what they ask."""
        for _, fields in () if self.people.asks else self.rendered():
            golden = fields.get("probe") if isinstance(fields.get("probe"), Mapping) else None
            if golden and isinstance(golden.get("requests"), list) and golden["requests"]:
                self.people.asks = {"method": "POST", **golden["requests"][0]}
                return

    def _assets(self) -> list[int]:
        """Return the assets that start the DAG's runs."""
        assets = self.api.request("GET", "/assets", params={"dag_ids": self.dag_id})["assets"]
        return [asset["id"] for asset in assets if any(dag["dag_id"] == self.dag_id for dag in asset["scheduled_dags"])]

    def _start_by_assets(self, assets: list[int]) -> str:
        before = self.run_ids()
        for asset in assets:
            self.api.request("POST", "/assets/events", json={"asset_id": asset, "extra": self.given.event})
        return self._new_run(before)

    def _new_run(self, before: set[str]) -> str:
        deadline = time.monotonic() + self.given.patience
        while not (new := self.run_ids() - before):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Airflow made no run of {self.dag_id} within {self.given.patience:.0f} s")
            time.sleep(0.5)
        return new.pop()


def _ran(task: Json) -> bool:
    """Tell whether a task instance runs, or did so a moment ago."""
    if task["state"] == "running":
        return True
    return bool(task["end_date"]) and datetime.fromisoformat(task["end_date"]) > datetime.now(UTC) - timedelta(
        seconds=3
    )
