"""The user's DAG file as Airflow is given it: unchanged, but for its pauses, since a bad night is to last minutes.

`python -m airflow_provider_pai.testing.chaos.dagfile FILE` prints what is in it as JSON.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

Json = dict[str, Any]

FILE = """# A DAG of Airflow's: that of the file under test.
from airflow_provider_pai.testing.chaos.dagfile import dags_in

globals().update(dags_in({path!r}, {dag_id!r}, fileloc=__file__))
"""
"""Text of the file that lies in Airflow's folder."""

NIGHTS_AGO = 30
"""Days: nights lie in the past, where the scheduler makes no run by itself."""

_START, _END = datetime(2000, 1, 1, tzinfo=UTC), 5
_LONGEST = 1.0
_SPANS = ("poll_interval", "poke_interval")
_PLAN = {
    "interval": 1,
    "min_duration": 2,
    "max_duration": 120,
    "warm_up": 0,
    "drain": 1,
    "bake": 2,
    "ready_timeout": 60,
    "gateway_timeout": 30,
}
_PERIOD = {"period": 1, "delay": 0}
_BUCKET = re.compile(r"oss://([a-z0-9][a-z0-9-]{1,61}[a-z0-9])(?![a-z0-9-])")
_PARAM = re.compile(r"\{\{\s*params\.(\w+)\s*\}\}")


def dags_in(path: str, dag_id: str = "", *, fileloc: str | None = None) -> dict[str, Any]:
    """Return the DAGs of a file by their ids, or the one of them, with pauses made short.

    :param fileloc: the file that Airflow is to find them in.
    """
    return {dag.dag_id: quickened(dag, fileloc or path) for dag in _dags(Path(path)) if dag_id in ("", dag.dag_id)}


def quickened(dag: Any, fileloc: str) -> Any:
    """Return a DAG that waits for nothing but its work, and of which no schedule makes a run."""
    dag.fileloc = fileloc
    dag.catchup = False
    dag.end_date = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=_END)
    for each in (dag, *dag.tasks):
        each.start_date = _START
    for task in dag.tasks:
        task.end_date = None
        task.retry_delay = timedelta(seconds=_LONGEST)
        task.retry_exponential_backoff = 0
        _shorten(_arguments(task))
    return dag


def _dags(path: Path) -> list[Any]:
    """Import a file as Airflow does, and return its DAGs: those in its variables, and those that nothing holds."""
    from airflow.sdk import DAG
    from airflow.sdk.definitions._internal.contextmanager import DagContext

    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    before, DagContext.current_autoregister_module_name = DagContext.current_autoregister_module_name, spec.name
    try:
        spec.loader.exec_module(module)
    finally:
        DagContext.current_autoregister_module_name = before
    unheld = [pair for pair in DagContext.autoregistered_dags if pair[1] is module]
    DagContext.autoregistered_dags.difference_update(unheld)
    found = [each for each in vars(module).values() if isinstance(each, DAG)]
    return found + [dag for dag, _ in unheld if dag not in found]


def _arguments(task: Any) -> MutableMapping[str, Any]:
    """Return what a task was made with, also one that is yet to be mapped."""
    arguments: MutableMapping[str, Any] = getattr(task, "partial_kwargs", None) or vars(task)
    return arguments


def _shorten(arguments: MutableMapping[str, Any]) -> None:
    for name in _SPANS:
        if isinstance(arguments.get(name), int | float):
            arguments[name] = min(arguments[name], _LONGEST)
    if "plan" in arguments and isinstance(arguments["plan"] or {}, Mapping):
        arguments["plan"] = {**(arguments["plan"] or {}), **_PLAN}
    if "metrics" in arguments and "plan" in arguments:  # a rollout's, no artifact's
        arguments["metrics"] = _often(arguments["metrics"])


def _often(metrics: Any) -> Any:
    """Return a source of metrics, or several, of which CloudMonitor counts by the second."""
    if metrics is None:
        return [{"kind": "cloudmonitor", **_PERIOD}]
    if isinstance(metrics, list | tuple):
        return [_often(each) for each in metrics]
    if isinstance(metrics, Mapping) and metrics.get("kind") == "cloudmonitor":
        return {**metrics, **_PERIOD}
    return metrics


def _look(path: str) -> Iterator[tuple[str, Json]]:
    """Yield each DAG's id, the connections of its tasks, and the buckets and inputs that they name."""
    for dag_id, dag in dags_in(path).items():
        params = {name: value for name, value in dag.params.dump().items() if value is not None}
        tasks = [_arguments(task) for task in dag.tasks]
        texts = [text for task in tasks for text in _texts(task, params)] + list(_texts(params, {}))
        inputs = [task["inputs"] for task in tasks if isinstance(task.get("inputs"), Mapping)]
        yield (
            dag_id,
            {
                "connections": sorted({str(task["pai_conn_id"]) for task in tasks if task.get("pai_conn_id")}),
                "buckets": sorted({bucket for text in texts for bucket in _BUCKET.findall(text)}),
                "inputs": sorted(
                    text for text in _texts(inputs, params) if text.startswith("oss://") and "{{" not in text
                ),
            },
        )


def _texts(value: Any, params: Json) -> Iterator[str]:
    """Yield each text in a value, with a run's params in their places."""
    if isinstance(value, str):
        yield _PARAM.sub(lambda found: str(params.get(found[1], found[0])), value)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            if name not in ("dag", "task_group"):
                yield from _texts(each, params)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each, params)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dict(_look(sys.argv[1]))) + "\n")
