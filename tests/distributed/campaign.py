"""Work that is asked of a deployment: a first night, then a canary under traffic, a backfill and a sweep at once."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_pai.testing.airflow_api import AirflowApi
from airflow_provider_pai.testing.stack import Stack
from demo.form import NIGHTLY
from demo.material import lay_out, load_samples, settings
from demo.nights import nights
from demo.progress import Progress
from demo.story import GROUP
from demo.traffic import Traffic
from demo.watch import DAG_ID, FINISHED
from tests.distributed.deployment import FOLDER, KILLS, STATE, Kill, kill_one, start_servers

SWEEP = "sweep"
BUCKETS = (STATE.split("/")[2], SWEEP)
LOOK = 5.0
"""Seconds between two looks."""


class TooLongError(Exception):
    """Not all has ended in the time that was given."""


@dataclass
class Campaign:
    """The work, and what came of it.

    :param jobs: of the sweep.
    :param backfilled: nights of the backfill.
    :param minutes: after which it is given up.
    """

    stack: Stack
    progress: Progress
    jobs: int
    backfilled: int
    minutes: float
    kills: list[Kill] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    traffic: Traffic | None = None
    sweep: str = ""
    api: AirflowApi = field(init=False)

    def play(self) -> None:
        """Play it all.

        :raises TooLongError: runs are left that have not ended.
        """
        self._deadline = time.monotonic() + 60 * self.minutes
        self._timed("start", self._start)
        self._timed("first night", self._first_night)
        self._timed("all at once", self._all_at_once)
        self.traffic.stop()

    def _timed(self, name: str, work: Any) -> None:
        self.progress.head(name)
        started = time.monotonic()
        work()
        self.seconds[name] = round(time.monotonic() - started, 1)

    def _start(self) -> None:
        stack = self.stack
        start_servers(stack)
        self.progress.say("PostgreSQL and Redis answer")
        stack.start_emulator()
        # The more nights there are, the less comes with each; the last has all.
        arrived = [round(700 + 290 * night / self.backfilled) for night in range(self.backfilled)] + [1000, 1397]
        length = timedelta(minutes=self.minutes + 15)
        self._backfill, self._played = nights(datetime.now(UTC), arrived, played=2, length=length)
        training, self._held_out = load_samples()
        self._code: dict[str, str] = {}

        def prepare() -> None:
            os.environ.update(stack.connection_environment() | stack.variables)
            from airflow_provider_pai.hooks.oss import OssHook

            oss = OssHook()
            for bucket in BUCKETS:
                oss.create_bucket(bucket)
            self._code = lay_out(oss, training, self._held_out, self._backfill + self._played, FOLDER / "stack")
            stack.variables |= settings(self._code)

        self.api = stack.start_airflow(prepare)
        self.progress.say(stack.command("airflow", "pai", "ledger", "migrate").strip())

    def _first_night(self) -> None:
        """Both nights' runs are there before the DAG is un-paused: the scheduler makes none of its own."""
        conf = NIGHTLY | self._code
        self.api.wait_for_dag(DAG_ID, timeout=300)
        first, _ = [self.api.trigger(DAG_ID, night.start, night.end, conf) for night in self._played]
        self.api.set_paused(DAG_ID, False)
        while self.api.run(DAG_ID, first)["state"] not in FINISHED:
            self._wait()
        self.progress.say(f"the first night ended: {self.api.run(DAG_ID, first)['state']}")

    def _all_at_once(self) -> None:
        self._start_traffic()
        first, last = self._backfill[0].start, self._backfill[-1].start
        backfill = self.api.backfill(DAG_ID, first, last, NIGHTLY | self._code, parallel=4)
        self.api.wait_for_dag(SWEEP)
        self.api.set_paused(SWEEP, False)
        body = {"logical_date": None, "conf": {"jobs": self.jobs}}
        self.sweep = self.api.request("POST", f"/dags/{SWEEP}/dagRuns", json=body)["dag_run_id"]
        self.progress.say(f"{self.backfilled} nights to backfill, {self.jobs} jobs to sweep, a canary under traffic")
        self._watch()
        while not self.api.backfill_done(backfill):
            self._wait()

    def _start_traffic(self) -> None:
        from airflow_provider_pai.hooks.eas import EasHook

        endpoint = EasHook().group_endpoint(GROUP)
        self.traffic = Traffic(endpoint.url, endpoint.token, self._held_out)
        self.traffic.start()

    def _watch(self) -> None:
        """Say what changes, and kill what is due, until every run has ended."""
        pending, told = list(KILLS.items()), ""
        runs = Counter[str]()
        while runs.total() < self.backfilled + 2 or not FINISHED.issuperset(runs) or not self._sweep_ended():
            self._wait()
            runs = Counter(run["state"] for run in self.api.runs(DAG_ID))
            tasks = Counter(task["state"] or "none" for task in self.api.task_instances(SWEEP, self.sweep))
            now = f"nights: {dict(sorted(runs.items()))}, sweep: {dict(sorted(tasks.items()))}"
            if now != told:
                self.progress.say(now)
            told = now
            if pending and tasks["success"] >= pending[0][1] * self.jobs and self._kill(pending[0][0]):
                del pending[0]

    def _sweep_ended(self) -> bool:
        return self.api.run(SWEEP, self.sweep)["state"] in FINISHED

    def _kill(self, part: str) -> bool:
        """Kill one of a part, if it has something to lose."""
        kill = kill_one(self.stack, self.api, part)
        if kill:
            self.kills.append(kill)
            self.progress.say(f"SIGKILL to {kill.part}, which had {kill.held} tasks or waits; {part}-3 takes its place")
        return kill is not None

    def _wait(self) -> None:
        self.stack.check()
        if time.monotonic() > self._deadline:
            raise TooLongError(f"not ended within {self.minutes} minutes")
        time.sleep(LOOK)
