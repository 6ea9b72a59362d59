"""Stage of the paths: what each begins with, and what it promises to leave."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from airflow_provider_pai.ledger import Ledger
from tests.permissions.scene import Scene
from tests.task import Task

_SETTLING = 3.0
"""Seconds in which a stop or a deletion that was asked for is carried out."""

Promise = Callable[[Any], Iterator[str]]
"""Told the task's XCom, or None where it failed for good: yields what is not as promised."""


@dataclass
class Play:
    """A task that is ready to run."""

    task: Task
    promise: Promise
    meanwhile: Callable[[], AbstractContextManager[Any]] = nullcontext
    """What goes on while the task runs."""
    said: StringIO = field(default_factory=StringIO)
    """The task's log, once it has run."""


Path = Callable[[Scene, bool], Play]
"""Prepares what the account's owner has, and returns a task that waits in the worker or is deferred."""

PATHS: dict[str, Path] = {}
DEFERRABLE: set[str] = set()


def path(*, deferrable: bool = False) -> Callable[[Path], Path]:
    """Keep a function as a path, under its name."""

    def keep(prepare: Path) -> Path:
        name = prepare.__name__
        PATHS[name] = prepare
        if deferrable:
            DEFERRABLE.add(name)
        return prepare

    return keep


def task(kind: type, **arguments: Any) -> Task:
    """Return a task that may be tried three times."""
    return Task(lambda: kind(**{"task_id": "task", **arguments}), run_id=uuid.uuid4().hex, max_tries=2)


def new(at: Scene, kind: str) -> Callable[[], list[str]]:
    """Return what tells the statuses of what the account has of a kind since then."""
    key = {"dlc-job": "JobId", "dsw-instance": "InstanceId", "dlc-tensorboard": "TensorboardId"}[kind]
    store = at.pai.account.store
    before = {one[key] for one in store.all(kind)}
    return lambda: [one["Status"] for one in store.all(kind) if one[key] not in before]


def status(at: Scene, kind: str, name: str) -> Callable[[], str]:
    """Return what tells the status of one thing."""
    return lambda: (at.pai.account.store.get(kind, name) or {"Status": "gone"})["Status"]


def same(what: str, found: Any, promised: Any) -> Iterator[str]:
    """Yield what is not as promised.

    :param found: a value, or what returns it: it may take a moment to become as promised.
    """
    end = time.monotonic() + _SETTLING
    while (value := found() if callable(found) else found) != promised and callable(found) and time.monotonic() < end:
        time.sleep(0.02)
    if value != promised:
        yield f"{what}: {value!r}, not {promised!r}"


def rows(kind: str) -> int:
    """Count the ledger's rows of a kind."""
    return sum(row.kind == kind for row in Ledger.open().rows())
