"""Runs of DAGs in the test's own process, by Airflow's own `dag.test`; deferred tasks run their triggers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import pendulum
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_pai.remote import Json
from airflow_provider_pai.testing.logs import captured

# Where this Airflow has what.
_DAG_BAG = "airflow.dag_processing.dagbag" if find_spec("airflow.dag_processing.dagbag") else "airflow.models.dagbag"
_DAG = "airflow.sdk.definitions.dag" if AIRFLOW_V_3_0_PLUS else "airflow.models.dag"


class RunFailedError(AssertionError):
    """A run has tasks that failed."""


@dataclass
class TaskRun:
    """One task instance of a run."""

    state: str = ""
    tries: int = 0
    error: str = ""
    """Why the last try failed, in one line; empty: it did not."""
    lines: list[str] = field(default_factory=list, repr=False)

    @property
    def log(self) -> str:
        """Return what all its tries have logged."""
        return "\n".join(self.lines)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One DAG run that has ended."""

    dag_id: str
    run_id: str
    state: str
    tasks: Mapping[str, TaskRun]
    """By task id; a mapped task's are `train[0]`, `train[1]`, …"""
    xcoms: Mapping[tuple[str, str], Any] = field(repr=False)

    @property
    def states(self) -> dict[str, str]:
        """Return each task's state."""
        return {name: task.state for name, task in self.tasks.items()}

    @property
    def failures(self) -> dict[str, str]:
        """Return why each task that failed did, in one line."""
        return {name: task.error for name, task in self.tasks.items() if task.state == "failed"}

    def xcom(self, task: str, key: str = "return_value") -> Any:
        """Return what a task has pushed, None where it has not."""
        return self.xcoms.get((task, key))

    def log(self, task: str) -> str:
        """Return what a task has logged, all its tries."""
        return self.tasks[task].log


class Runner(Protocol):
    """The fixture `run_dag`."""

    def __call__(
        self,
        dag: Any,
        *,
        date: datetime | str | None = None,
        conf: Json | None = None,
        dag_id: str | None = None,
        check: bool = True,
    ) -> Run:
        """Run a DAG to its end, as `run_dag` below."""


def run_dag(
    dag: Any,
    *,
    date: datetime | str | None = None,
    conf: Json | None = None,
    dag_id: str | None = None,
    check: bool = True,
) -> Run:
    """Run a DAG to its end and return what came of it; a retry comes at once.

    :param dag: a DAG, or the path of a file with one.
    :param date: its logical date, by default now; a text without a time zone is in the DAG's.
    :param conf: of the run: values of the DAG's params.
    :param dag_id: which of several DAGs in a file.
    :param check: fail the test where the run fails.
    :raises RunFailedError: it did; a line for each task that failed, and why.
    """
    dag = _dag_of(Path(dag), dag_id) if isinstance(dag, str | Path) else dag
    moment = _moment(dag, date)
    tasks: dict[str, TaskRun] = {}
    with _without_pauses(dag), _watched(tasks):
        ended = _run_in_3(dag, moment, conf) if AIRFLOW_V_3_0_PLUS else dag.test(execution_date=moment, run_conf=conf)
    result = _result(dag, ended, tasks)
    if check and result.state != "success":
        raise RunFailedError(_told(result))
    return result


def _dag_of(path: Path, dag_id: str | None) -> Any:
    """Return the DAG that a file defines."""
    if not path.exists():
        raise FileNotFoundError(f"There is no {path.absolute()}")
    bag = import_module(_DAG_BAG).DagBag(str(path), **({} if AIRFLOW_V_3_0_PLUS else {"include_examples": False}))
    if bag.import_errors:
        raise ImportError("\n".join(bag.import_errors.values()))
    if dag_id in bag.dags:
        return bag.dags[dag_id]
    if dag_id is None and len(bag.dags) == 1:
        return next(iter(bag.dags.values()))
    raise ValueError(f"{path} has the DAGs {', '.join(sorted(bag.dags)) or 'none'}: name one by dag_id")


def _moment(dag: Any, date: datetime | str | None) -> datetime:
    moment = pendulum.parse(date, tz=dag.timezone) if isinstance(date, str) else date or pendulum.now("UTC")
    if not isinstance(moment, datetime):
        raise ValueError(f"date: {date!r} is no moment")  # noqa: TRY004 - of a text
    if dag.start_date is not None and moment < dag.start_date:
        # Airflow would wait for ever for a task that may not begin.
        raise ValueError(f"date: {moment} lies before the start of {dag.dag_id}, {dag.start_date}")
    return moment


def _run_in_3(dag: Any, moment: datetime, conf: Json | None) -> Any:
    """Run on Airflow 3, which from 3.1 on runs a DAG only that its database knows."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    manager, bags = DagBundlesManager(), import_module(_DAG_BAG)  # type: ignore[no-untyped-call]
    manager.sync_bundles_to_db()
    bundle = next(iter(manager.get_all_dag_bundles()))
    bag = bags.DagBag(dag_folder="/dev/null", collect_dags=False)
    bag.bag_dag(dag)
    bags.sync_bag_to_db(bag, bundle.name, None)
    return dag.test(run_after=moment, logical_date=moment, run_conf=conf)


@contextmanager
def _without_pauses(dag: Any) -> Iterator[None]:
    before = [(task, task.retry_delay) for task in dag.tasks]
    try:
        for task, _ in before:
            task.retry_delay = timedelta(0)
        yield
    finally:
        for task, delay in before:
            task.retry_delay = delay


@contextmanager
def _watched(tasks: dict[str, TaskRun]) -> Iterator[None]:
    """Note of each task instance that runs meanwhile what it logs, and how its last try failed."""
    run_task = import_module(_DAG)._run_task

    def watch(*, ti: Any, **more: Any) -> Any:
        task = tasks.setdefault(_name(ti), TaskRun())
        task.error = ""
        try:
            with captured(task.lines):
                result = run_task(ti=ti, **more)
        except Exception as raised:  # as 2.11 tells it
            task.error = _line(raised)
            raise
        if (error := getattr(result, "error", None)) is not None:
            task.error = _line(error)
        return result

    with patch(f"{_DAG}._run_task", watch):
        yield


def _result(dag: Any, ended: Any, tasks: dict[str, TaskRun]) -> Run:
    from airflow.utils.session import create_session

    with create_session() as session:
        instances = ended.get_task_instances(session=session)
        for ti in instances:
            task = tasks.setdefault(_name(ti), TaskRun())
            task.state, task.tries = str(getattr(ti.state, "value", ti.state) or "none"), ti.try_number
        xcoms = _xcoms(session, ended)
    order = {task.task_id: number for number, task in enumerate(dag.topological_sort())}
    named = sorted(tasks, key=lambda name: (order.get(name.partition("[")[0], 0), name))
    return Run(
        dag_id=dag.dag_id,
        run_id=ended.run_id,
        state=str(getattr(ended.state, "value", ended.state)),
        tasks={name: tasks[name] for name in named},
        xcoms=xcoms,
    )


def _xcoms(session: Any, ended: Any) -> dict[tuple[str, str], Any]:
    models = import_module("airflow.models.xcom")
    model = models.XComModel if AIRFLOW_V_3_0_PLUS else models.XCom
    rows = session.query(model).filter_by(dag_id=ended.dag_id, run_id=ended.run_id)
    # 2.11 has deserialized it on loading.
    read = model.deserialize_value if AIRFLOW_V_3_0_PLUS else attrgetter("value")
    return {(_name(row), row.key): read(row) for row in rows}


def _name(ti: Any) -> str:
    return ti.task_id if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _told(result: Run) -> str:
    """Return which tasks failed, and why, a line each."""
    failures = result.failures or dict.fromkeys(result.tasks, "")
    why = [f"{name} failed: {error or 'see its log'}" for name, error in failures.items()]
    return "\n".join([f"{result.dag_id} ({result.run_id}) is {result.state}", *why])
