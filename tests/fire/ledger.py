"""Paths of the audit ledger: its database is down, or was; each row is written in the end, and once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from airflow_provider_pai.cli.__main__ import main
from airflow_provider_pai.operators import oss
from tests.dead import dead
from tests.fire.stage import Play, path, rows, same, task
from tests.permissions.scene import Scene


def writes(at: Scene, name: str) -> Any:
    """Return a task that writes a manifest and its row."""
    at.oss.put(f"{at.uri}{name}/metrics.json", "{}")
    return task(oss.OssWriteManifestOperator, uri=f"{at.uri}{name}/", name=name)


def at_home(at: Scene) -> None:
    """Let the connection name a home of our state, where events wait and heads are kept."""
    held = json.loads(os.environ["AIRFLOW_CONN_PAI_DEFAULT"])
    held["extra"]["state_uri"] = f"{at.uri}state/"
    os.environ["AIRFLOW_CONN_PAI_DEFAULT"] = json.dumps(held)


@path()
def ledger_down(at: Scene, _: bool) -> Play:
    at_home(at)
    ready = Play(writes(at, "m"), lambda end: promise(), lambda: dead("refused"))

    def promise() -> Iterator[str]:
        at_home(at)
        log = at.file("task.log")
        log.write_text(ready.said.getvalue())
        main(["ledger", "flush", "--file", str(log)])
        yield from same("rows", rows("artifact_produced"), 1)

    return ready


@path()
def ledger_up_again(at: Scene, _: bool) -> Play:
    at_home(at)
    with dead("refused"):
        writes(at, "first").run()
    one = writes(at, "second")

    def promise(end: Any) -> Iterator[str]:
        at_home(at)
        main(["ledger", "flush"])
        yield from same("rows", rows("artifact_produced"), 2)

    return Play(one, promise)
