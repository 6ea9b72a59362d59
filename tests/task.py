"""Runs one operator as Airflow's worker and triggerer would, without their processes: each step a fresh object."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

START = datetime(2026, 11, 20, 18, tzinfo=UTC)
END = datetime(2026, 11, 21, 18, tzinfo=UTC)


if not AIRFLOW_V_3_0_PLUS:
    from airflow.models.baseoperator import ExecutorSafeguard

    # Kept by thread there, made by the first alone: an operator could not be run in another.
    ExecutorSafeguard._sentinel = SimpleNamespace(callers={})


@dataclass
class Task:
    """One task instance: what survives its worker processes."""

    make: Callable[[], Any]
    """Builds the operator, as each process does anew from the DAG file."""
    run_id: str = "run-1"
    max_tries: int = 1
    try_number: int = 0
    run_type: str = "manual"
    map_index: int = -1
    xcoms: dict[str, Any] = field(default_factory=dict)
    store: dict[str, Any] = field(default_factory=dict)
    start_date: datetime | None = None
    lines: list[tuple[str, str]] = field(default_factory=list)
    """What the operators of the last try have logged, and in which function."""

    def context(self) -> dict[str, Any]:
        """Return a worker's context."""
        ti = SimpleNamespace(
            dag_id="dag",
            run_id=self.run_id,
            task_id="task",
            map_index=self.map_index,
            max_tries=self.max_tries,
            try_number=self.try_number,
            start_date=self.start_date,
            xcom_push=self._push,
            stats_tags={},
        )
        run = SimpleNamespace(
            run_id=self.run_id,
            data_interval_start=START,
            data_interval_end=END,
            run_after=END,
            logical_date=START,
            run_type=self.run_type,
            conf={},
            triggering_user_name="somebody",
        )
        store = SimpleNamespace(get=self.store.get, set=lambda key, value: self.store.update({key: value}))
        dag = SimpleNamespace(dag_id="dag", timezone=UTC)
        return {"ti": ti, "dag": dag, "dag_run": run, "task_state_store": store, "run_id": self.run_id}

    def _push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))

    def run(self) -> Any:
        """Run one try to its end, through as many deferrals as it takes, and return the XCom.

        Whatever the operator, its log begins with what it is about to do and ends with what came of it.
        """
        self.try_number += 1
        self.start_date = datetime.now(UTC)
        self.lines.clear()
        method, kwargs = "execute", {}
        while True:
            operator = self.make()
            try:
                listen(operator, self.lines)
                if method == "execute":
                    return self._done(operator.execute(self.context()))
                return self._done(operator.resume_execution(method, kwargs, self.context()))
            except TaskDeferred as deferred:
                method = deferred.method_name
                kwargs = {**(deferred.kwargs or {}), "event": fire(deferred.trigger)}

    def _done(self, result: Any) -> Any:
        assert (self.lines[0][0], self.lines[-1][0]) == ("say_aim", "say_end"), self.lines
        assert all(words.strip() for _, words in self.lines), "a line without words"
        self.xcoms["return_value"] = json.loads(json.dumps(result))
        return result


class WorkerLostError(BaseException):
    """Ends a worker as SIGKILL does."""


def lost_now(*_: Any) -> None:
    """Lose the worker."""
    raise WorkerLostError


class Heard:
    """A logger whose lines are kept.

    :param log: of Airflow's, which says them all the same.
    :param lines: gets each with the name of the function that says it.
    """

    def __init__(self, log: Any, lines: list[tuple[str, str]]) -> None:
        self._log = log
        self._lines = lines

    def __getattr__(self, name: str) -> Any:
        """Return a method of the logger."""
        method = getattr(self._log, name)
        if name not in ("info", "warning", "error", "exception"):
            return method

        def say(line: str, *values: Any, **more: Any) -> None:
            if (function := sys._getframe(1).f_code.co_name) != "wrapper":  # Airflow's, where no task runner calls
                self._lines.append((function, line % values if values else line))
            method(line, *values, **more)

        return say


def listen(operator: Any, lines: list[tuple[str, str]]) -> None:
    """Keep what an operator logs; its logger is a property, of another class on each Airflow."""
    if isinstance(operator.log, Heard):  # the same object, once more
        return
    kind = type(operator)
    heard = Heard(operator.log, lines)
    operator.__class__ = type(kind.__name__, (kind,), {"log": heard, "__module__": kind.__module__})


def fire(trigger: Any) -> Any:
    """Run a trigger, as the triggerer rebuilds it from what was serialized, and return its event's payload."""
    path, arguments = trigger.serialize()
    again = import_string(path)(**json.loads(json.dumps(arguments)))

    async def first() -> Any:
        async for event in again.run():
            return event.payload
        raise AssertionError("the trigger ended without an event")

    return json.loads(json.dumps(asyncio.run(first())))
