"""Troubles of each night: whom it kills, what it breaks, and when."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_pai.testing.chaos.account import Made
from airflow_provider_pai.testing.chaos.people import BAD
from airflow_provider_pai.testing.chaos.place import Place
from airflow_provider_pai.testing.killing import kill, processes_below, replace_killed

Json = dict[str, Any]

# The first rule that hits a call decides.
_STUMBLES: Sequence[Json] = (
    {"match": "^api ", "probability": 0.05, "status": 503},
    {"match": "^api ", "probability": 0.05, "status": 429, "code": "Throttling.User"},
    {"match": "^api ", "probability": 0.05, "drop": "answer"},
    {"match": "^oss GET /[^/]+/.", "probability": 0.05, "drop": "body"},
    {"match": "^oss PUT /[^/]+/.", "probability": 0.05, "cut_after": 1},
    {"match": "^oss ", "probability": 0.05, "status": 503, "code": "ServiceUnavailable"},
)
_ANSWER_ON_ITS_WAY: Json = {
    "match": "^api Create(Job|Instance|Service) ",
    "drop": "answer",
    "stall": 4.0,
    "times": 1,
}
_BAD_SHARE = 0.5
_TO_BE_WATCHED = 3.0
"""Seconds after which a triggerer surely watches over what was deferred."""
_TO_STOP = 30.0


class Trouble:
    """A night's; this one has none.

    :param run_id: the run that it is about.
    """

    faults: Sequence[Json] = ()

    def __init__(self, place: Place, run_id: str) -> None:
        self.place, self.run_id = place, run_id
        self.killed: list[str] = []
        self.evicted: list[str] = []
        self.left: list[tuple[str, Made]] = []
        """What went on though its task was ended, by task."""
        self.bad: set[str] = set()
        """Services that were made bad."""
        self._serving = place.account.serving()

    def begin(self) -> None:
        """Let it come."""
        self._set(self.faults)

    def look(self, tasks: Sequence[Json], made: Sequence[Made]) -> None:
        """Strike where there is reason to.

        :param made: what the run has made.
        """

    def end(self) -> None:
        """Let it be over."""
        self._set(())

    def _set(self, faults: Sequence[Json]) -> None:
        self.place.control("DELETE", "faults")
        if faults:
            self.place.control("POST", "faults", list(faults))

    def _kill(self, task: Json) -> bool:
        """SIGKILL a task's process, once a run, where another try may follow; tell whether that was done."""
        name = f"{task['task_id']}[{task['map_index']}]"
        if name in self.killed or task["state"] != "running" or task["try_number"] > task["max_tries"]:
            return False
        process = processes_below(self.place.stack, "scheduler").get(task["pid"])
        if process is None or not kill(process):
            return False
        self.killed.append(name)
        return True

    def _making(self, task: Json, made: Sequence[Made]) -> list[Made]:
        """Return what a task has made that runs."""
        return [
            each
            for each in made
            if task["task_id"] in self.place.author(each).split(" or ")
            and each.status == "Running"
            and (task["map_index"] == -1 or each.place == f"{task['task_id']}[{task['map_index']}]")
        ]


class Lost(Trouble):
    """Answers are lost: whoever asked for a job is dead when it is there."""

    faults = (_ANSWER_ON_ITS_WAY, *_STUMBLES)

    def look(self, tasks: Sequence[Json], made: Sequence[Made]) -> None:
        """Kill whoever waits for the answer."""
        if self.place.control("GET", "faults")[0]["times"]:
            return
        struck = [self._kill(task) for task in tasks]
        # Let the next one who asks be struck, too.
        self._set(self.faults if any(struck) else _STUMBLES)


class Dying(Trouble):
    """Workers and the triggerer die while jobs run; pods are evicted."""

    faults = _STUMBLES

    def look(self, tasks: Sequence[Json], made: Sequence[Made]) -> None:
        """Kill each task once, the triggerer once, and evict one job."""
        for task in tasks:
            running = self._making(task, made)
            makes = task["task_id"] in self.makers
            if task["state"] == "running" and (running or not makes):
                self._kill(task)
            elif task["state"] == "deferred" and running and "triggerer" not in self.killed:
                self.killed.append("triggerer")
                replace_killed(self.place.stack, "triggerer")
            elif running and not self.evicted and task["try_number"] <= task["max_tries"]:
                self._evict(running)

    @property
    def makers(self) -> set[str]:
        """Return the tasks that are known to make something."""
        return {self.place.author(each) for each in self.place.account.made()}

    def _evict(self, running: Sequence[Made]) -> None:
        for job in running:
            if job.kind == "DLC job" and not self.evicted:
                self.evicted.append(job.id)
                self.place.control("POST", "preempt", {"job_id": job.id})


class BadModel(Trouble):
    """Whoever is new in a group fails half of the requests once it has traffic; who comes back was good before."""

    def __init__(self, place: Place, run_id: str) -> None:
        super().__init__(place, run_id)
        self._known = {each.id for each in place.account.made()}

    def look(self, tasks: Sequence[Json], made: Sequence[Made]) -> None:
        """Make those bad that have come into the traffic of a group that somebody serves already."""
        served = {member.group for member in self._serving}
        for member in self.place.account.serving():
            if member.group and member.group in served and member.name not in self._known | self.bad:
                self.bad.add(member.name)
                fault = {"member": member.name, "probability": _BAD_SHARE, "status": 500, "message": BAD}
                self.place.control("POST", "faults", [{**fault, "code": "InternalError"}])


class Ended(Trouble):
    """A person ends each task while its job runs, and clears it again."""

    def __init__(self, place: Place, run_id: str) -> None:
        super().__init__(place, run_id)
        self._ended: set[str] = set()
        self._since: dict[str, float] = {}

    def look(self, tasks: Sequence[Json], made: Sequence[Made]) -> None:
        """End a task whose job runs, see what becomes of the job, and clear the task."""
        for task in tasks:
            name = task["task_id"]
            held = task["state"] == "running" or (task["state"] == "deferred" and task["triggerer_job"])
            running = self._making(task, made)
            if name in self._ended or not held or not running:
                self._since.pop(name, None)
            elif time.monotonic() - self._since.setdefault(name, time.monotonic()) > _TO_BE_WATCHED:
                self._end(task, running)

    def _end(self, task: Json, running: Sequence[Made]) -> None:
        api, place = self.place.api, self.place
        self._ended.add(task["task_id"])
        path = place.path(self.run_id, task)
        api.request("PATCH", path if task["map_index"] >= 0 else path.rpartition("/")[0], json={"new_state": "failed"})
        self.left += [(task["task_id"], each) for each in still_active(place, [each.id for each in running], _TO_STOP)]
        name = task["task_id"]
        body = {
            "dry_run": False,
            "task_ids": [name if task["map_index"] < 0 else [name, task["map_index"]]],
            "dag_run_id": self.run_id,
            "only_failed": False,
            "include_downstream": True,
        }
        api.request("POST", f"/dags/{place.dag_id}/clearTaskInstances", json=body)


TROUBLES: Mapping[str, type[Trouble]] = {
    "calm": Trouble,
    "lost": Lost,
    "dying": Dying,
    "bad model": BadModel,
    "backfill": Trouble,
    "ended": Ended,
}


def still_active(place: Place, ids: Sequence[str], seconds: float) -> list[Made]:
    """Return which of these go on after so long; returns early when none does."""
    deadline = time.monotonic() + seconds
    while left := [each for each in place.account.made() if each.id in ids and each.active]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return left
