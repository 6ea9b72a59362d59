"""Nights, one after the other, and what came of each."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_pai.testing.chaos.account import Made, Serving, Written
from airflow_provider_pai.testing.chaos.given import NIGHTS
from airflow_provider_pai.testing.chaos.place import Place
from airflow_provider_pai.testing.chaos.storms import TROUBLES, Trouble, still_active

Json = dict[str, Any]

_LOOK_EVERY = 0.8
_SETTLING = 15.0
"""Seconds in which a stop that was asked for is carried out."""


@dataclass(kw_only=True)
class Lived:
    """One night, when it is over.

    :param state: of the run; `hangs` where nothing changed any more.
    :param paid: what was paid for, by task.
    :param left: what went on though its task was over, by task.
    :param evicted: jobs whose pods were taken away.
    :param bad: services that were made bad.
    :param rewritten: objects of earlier nights that were written anew.
    """

    name: str
    run_id: str
    state: str
    seconds: float
    tasks: list[Json]
    made: list[Made]
    paid: Counter[str]
    left: list[tuple[str, Made]]
    killed: list[str]
    evicted: list[str]
    bad: set[str]
    before: set[Serving]
    after: set[Serving]
    rewritten: list[str]
    last_words: dict[str, str] = field(default_factory=dict)
    """Of each failed task."""


def nights(place: Place) -> Iterator[Lived]:
    """Play the nights that make sense for a DAG."""
    for number, name in enumerate(NIGHTS):
        if name in place.given.nights and _makes_sense(place, name):
            place.given.before(name)
            if lived := _night(place, name, number):
                yield lived
                place.learn_request()
                if name == "calm" and lived.state != "success":
                    return


def _makes_sense(place: Place, name: str) -> bool:
    """Tell whether there is anything that a night could put to the test."""
    if name == "bad model":
        return any(member.share for member in place.account.members())
    if name == "backfill":
        return place.is_scheduled
    return name != "ended" or bool(place.account.made())


def _night(place: Place, name: str, number: int) -> Lived | None:
    """Play a night; None: the schedule has no run for it."""
    known = {each.id for each in place.account.made()}
    before, objects = place.account.serving(), place.account.objects()
    began = time.monotonic()
    run_id = place.start_backfill() if name == "backfill" else place.start(number)
    if run_id is None:
        return None
    place.say(f"{name}: {NIGHTS[name]}")
    trouble = TROUBLES[name](place, run_id)
    trouble.begin()
    try:
        state = _follow(place, run_id, known, trouble)
    finally:
        trouble.end()
    made = [each for each in place.account.made() if each.id not in known]
    running = [each.id for each in made if each.kind != "EAS service"]
    left = [*trouble.left, *((place.author(each), each) for each in still_active(place, running, _SETTLING))]
    tasks = place.api.task_instances(place.dag_id, run_id)
    lived = Lived(
        name=name,
        run_id=run_id,
        state=state,
        seconds=round(time.monotonic() - began, 1),
        tasks=tasks,
        made=made,
        paid=Counter(each.place or place.author(each) or "?" for each in made),
        left=left,
        killed=trouble.killed,
        evicted=trouble.evicted,
        bad=trouble.bad,
        before=before,
        after=place.account.serving(),
        rewritten=_rewritten(objects, place.account.objects()),
        last_words={task["task_id"]: _last_words(place, run_id, task) for task in tasks if task["state"] == "failed"},
    )
    struck = [*trouble.killed, *(f"pods of {job}" for job in trouble.evicted), *trouble.bad]
    place.say(f"{name}: {state} after {lived.seconds:.0f} s" + (f"; struck: {', '.join(struck)}" if struck else ""))
    return lived


def _follow(place: Place, run_id: str, known: set[str], trouble: Trouble) -> str:
    """Look at a run until it ends; return its state."""
    changed, shape = time.monotonic(), ""
    while True:
        place.stack.check()
        state = str(place.api.run(place.dag_id, run_id)["state"])
        tasks = place.api.task_instances(place.dag_id, run_id)
        made = [each for each in place.account.made() if each.id not in known]
        place.learn_authors(made, tasks)
        if state in ("success", "failed"):
            return state
        _say_yes(place, run_id, tasks)
        trouble.look(tasks, made)
        now = _shape(tasks, made, place.account.serving())
        if now != shape:
            changed, shape = time.monotonic(), now
        elif time.monotonic() - changed > place.given.patience:
            place.api.request("PATCH", place.path(run_id), json={"state": "failed"})
            return "hangs"
        time.sleep(_LOOK_EVERY)


def _shape(tasks: list[Json], made: list[Made], serving: set[Serving]) -> str:
    """Return what changes while a run goes on."""
    states = [(task["task_id"], task["map_index"], task["state"], task["try_number"]) for task in tasks]
    return repr((states, [(each.id, each.status) for each in made], sorted(serving)))


def _say_yes(place: Place, run_id: str, tasks: list[Json]) -> None:
    """Answer whatever a person is asked by the first option: the worst case for whoever relies on it."""
    # An answer that comes before the task waits for it ends the task.
    states = {"awaiting_input": "", "deferred": "pproval"}
    waiting = [task for task in tasks if states.get(task["state"], "?") in str(task["operator_name"])]
    for task in waiting:
        path = place.path(run_id, task, "hitlDetails")
        asked = place.api.found("GET", path)
        if asked and not asked["response_received"]:
            place.api.request("PATCH", path, json={"chosen_options": asked["options"][:1], "params_input": {}})


def _rewritten(before: dict[str, Written], after: dict[str, Written]) -> list[str]:
    """Return which objects a night has written anew, but for those in which the provider keeps its state."""
    return sorted(uri for uri, written in after.items() if before.get(uri, written) != written and "/.pai/" not in uri)


def _last_words(place: Place, run_id: str, task: Json) -> str:
    """Return the error that ended a task."""
    lines = place.api.log(place.dag_id, run_id, task["task_id"], task["try_number"], task["map_index"])
    errors = [line for line in lines if re.match(r"\w*(Error|Exception|Timeout)\b", line)]
    return errors[-1].partition("\n")[0][:300] if errors else ""
