"""Watcher of DAG runs and canary weights, which prints each change."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from airflow_provider_pai.testing.airflow_api import AirflowApi
from demo.progress import Say
from demo.traffic import Traffic

DAG_ID = "pai_nightly_retraining"
FINISHED = frozenset({"success", "failed"})

# States that pass in a moment; to follow a run one need not see them.
_PASSING = frozenset({None, "scheduled", "queued", "restarting"})
_POLL_SECONDS = 1.0


class StoryError(Exception):
    """The story did not end as told."""


class Watcher:
    """Watches runs until they end.

    :param check: raises if a component has ended.
    :param eas: an `EasHook`; the canary's share is read from its group.
    :param patience: seconds without any change after which runs are given up.
    """

    def __init__(
        self, api: AirflowApi, say: Say, check: Callable[[], None], eas: Any, group: str, *, patience: float
    ) -> None:
        self._api = api
        self._say = say
        self._check = check
        self._eas = eas
        self._group = group
        self._patience = patience
        self._changed = 0.0
        self._tasks: dict[tuple[str, str], str | None] = {}
        self._shares: dict[str, int] = {}
        self.traffic: Traffic | None = None

    def until_finished(self, runs: dict[str, str]) -> dict[str, str]:
        """Watch runs (name to run id) and return their final states, however long it takes while something changes.

        :raises StoryError: nothing changes any more.
        """
        self._changed = time.monotonic()
        while True:
            self._check()
            for name, run_id in runs.items():
                self._say_tasks(name, run_id)
            self._say_shares()
            states = {name: self._api.run(DAG_ID, run_id)["state"] for name, run_id in runs.items()}
            if FINISHED.issuperset(states.values()):
                for name, run_id in runs.items():
                    self._say_tasks(name, run_id)
                return states
            if time.monotonic() - self._changed > self._patience:
                raise StoryError(f"nothing has changed for {self._patience:.0f} s: {states}")
            time.sleep(_POLL_SECONDS)

    def _say_tasks(self, name: str, run_id: str) -> None:
        for task in self._api.task_instances(DAG_ID, run_id):
            key, state = (run_id, task["task_id"]), task["state"]
            if state in _PASSING or state == self._tasks.get(key):
                continue
            self._tasks[key], self._changed = state, time.monotonic()
            tries = f" (try {task['try_number']})" if task["try_number"] > 1 else ""
            waits = " (waits in the triggerer)" if state == "deferred" else ""
            self._say(f"{name}: {task['task_id']} {state}{waits}{tries}")

    def _say_shares(self) -> None:
        """Say how the group's traffic is split, when that has changed."""
        from airflow_provider_pai.canary.weights import shares

        group = self._eas.group(self._group)
        now = {name: round(100 * share) for name, share in shares(group).items() if share}
        if now == self._shares:
            return
        self._shares, self._changed = now, time.monotonic()
        split = ", ".join(f"{name} {percent} %" for name, percent in now.items())
        traffic = self.traffic
        counted = f"; {traffic.requests} requests served, {len(traffic.failures)} failed" if traffic else ""
        self._say(f"traffic: {split or 'none'}{counted}")
