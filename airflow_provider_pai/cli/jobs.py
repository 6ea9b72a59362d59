"""`airflow pai jobs …`: jobs on PAI, compared with the tasks that made them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Protocol

import pendulum
from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import conf

from airflow_provider_pai.exceptions import PaiConfigError, PaiError
from airflow_provider_pai.hooks.connection import PaiConnection
from airflow_provider_pai.hooks.dlc.spans import LOOK_BACK
from airflow_provider_pai.identity import TaskName
from airflow_provider_pai.inputs import moment, seconds
from airflow_provider_pai.labels import UNTIL_STOPPED, Key, beginning, legal_name
from airflow_provider_pai.remote import RemoteJob
from airflow_provider_pai.services import SERVICES, path_of
from airflow_provider_pai.states import States, Verdict

# States in which a task has, or will have, something to do with its job.
_UNFINISHED = frozenset("running deferred up_for_reschedule up_for_retry queued scheduled restarting".split())


class Jobs(Protocol):
    """A hook whose jobs are found by their tags and stopped: the rows of `services` name them as `orphans`."""

    states: ClassVar[States]

    @property
    def connection(self) -> PaiConnection:
        """Return the connection."""

    def tagged(self, tags: Mapping[str, str]) -> list[RemoteJob]:
        """Return every job that bears these tags."""

    def request_stop(self, job_id: str) -> None:
        """Ask for a stop and return at once."""


@dataclass(frozen=True)
class TaskNow:
    """A task instance as the metadata database has it; `cycle` is its max_tries.

    :param run_goes_on: its DAG run has not ended.
    """

    state: str | None
    cycle: int
    run_goes_on: bool = False


@dataclass(frozen=True)
class Maker:
    """The task instance that made a job, as the job's tags have it.

    :param name: an id that is no legal label is changed in it.
    :param task: hash of the whole ids.
    :param ours: the tags name this deployment.
    """

    name: TaskName
    task: str
    deployment: str
    ours: bool

    @classmethod
    def of(cls, tags: Mapping[str, str], deployment: str) -> Maker | None:
        """Read a job's tags; None where no task of ours made it."""
        name, task = TaskName.of(tags), tags.get(Key.TASK)
        if name is None or task is None:
            return None
        ours = tags.get(Key.DEPLOYMENT) == legal_name(deployment) or name.hash(deployment) == task
        return cls(name=name, task=task, deployment=deployment, ours=ours)

    def is_named(self, name: TaskName) -> bool:
        """Tell whether this is the task instance of a deployment's own name for it."""
        return name.hash(self.deployment) == self.task


Tasks = Callable[[Maker], TaskNow | None]


@dataclass(frozen=True)
class Orphan:
    """A job that runs for nobody."""

    hook: Jobs
    job: RemoteJob
    task: TaskName
    """An id that is no legal label is changed in it."""
    why: str

    @property
    def created(self) -> datetime | None:
        """Return when the job was made; None: its service does not tell."""
        return moment("created", self.job.created) if self.job.created else None

    def stop(self) -> str:
        """Ask for the stop; return why it was refused, empty where it was not."""
        try:
            self.hook.request_stop(self.job.job_id)
        except PaiError as error:
            return str(error)
        return ""

    def __str__(self) -> str:
        """Return one line for people; its time is in the zone of Airflow's configuration."""
        line = f"{self.hook.states.kind} {self.job.job_id} ({self.job.status}), made by {self.task}: {self.why}"
        if self.created is None:
            return line
        zone = conf.get("core", "default_timezone", fallback="utc")
        created = pendulum.instance(self.created).in_timezone("UTC" if zone == "system" else zone)
        return f"{line}; made {created.diff_for_humans()} ({created.format('YYYY-MM-DD HH:mm z')})"


def find_orphans(hooks: Sequence[Jobs], tasks: Tasks) -> Iterator[Orphan]:
    """Yield the running jobs of these hooks' deployment whose task is finished, gone or in a later cycle."""
    for hook in hooks:
        deployment = hook.connection.deployment
        for job in hook.tagged({Key.DEPLOYMENT: legal_name(deployment)}):
            maker = Maker.of(job.tags, deployment)
            running = hook.states.judge(job.status) in (Verdict.ACTIVE, Verdict.UNKNOWN)
            if maker is None or not running or job.status in hook.states.stopping or job.tagged is None:
                continue
            now = tasks(maker)
            why = reason(now, job.tagged.cycle, job.tags.get(Key.LASTS))
            # A task that this deployment does not know may be another one's, where tags are changed or tell of none.
            if why and (maker.ours or now is not None):
                yield Orphan(hook, job, maker.name, why)


def reason(now: TaskNow | None, cycle: int, lasts: str | None = None) -> str:
    """Return why a job of a cycle is an orphan; empty when it is none.

    :param lasts: of `Key.LASTS`, until when it is wanted after its task.
    """
    if lasts == UNTIL_STOPPED:
        return ""
    if now is None:
        return "the task is gone"
    if now.cycle > cycle:
        return "the task was cleared"
    # No state: the task is cleared or not yet scheduled; its next try takes the job over or stops it.
    if now.state is None or now.state in _UNFINISHED:
        return ""
    if lasts and now.state == "success":
        return "" if now.run_goes_on else "its DAG run has ended"
    return f"the task is finished ({now.state})"


def task_in_database(maker: Maker) -> TaskNow | None:
    """Look a task instance up in Airflow's metadata database: by its ids, and where they are changed by its hash."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    one, name, run = TaskInstance, maker.name, DagRun
    columns = (one.dag_id, one.run_id, one.task_id, one.map_index, one.state, one.max_tries, run.state)
    of_run = (run.dag_id == one.dag_id) & (run.run_id == one.run_id)
    query = select(*columns).outerjoin(run, of_run).where(one.map_index == name.map_index)
    if maker.is_named(name):
        query = query.where(one.dag_id == name.dag_id, one.run_id == name.run_id, one.task_id == name.task_id)
    else:  # any run's: its id may hold what a tag can't, from the beginning on
        for column, start in ((one.dag_id, name.dag_id), (one.task_id, name.task_id)):
            query = query.where(column.startswith(beginning(start), autoescape=True))
    with create_session() as session:
        for dag_id, run_id, task_id, map_index, state, max_tries, run_state in session.execute(query):
            if maker.is_named(TaskName(dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)):
                run_goes_on = str(run_state) in ("queued", "running")
                return TaskNow(str(state) if state else None, max_tries, run_goes_on)
    return None


def orphans(args: argparse.Namespace) -> None:
    """Print the orphans, one a line, and stop them if asked to."""
    paths = [path for service in SERVICES.values() for path in service.orphans]
    hooks = [import_string(path_of(path))(args.conn_id) for path in paths]
    since = since_when(args.since) if args.since else None
    without_task = [each for each in find_orphans(hooks, task_in_database) if is_since(each.created, since)]
    refusals = 0
    for orphan in without_task:
        refusal = orphan.stop() if args.stop else ""
        refusals += bool(refusal)
        ending = f"; NOT stopped: {refusal}" if refusal else "; stopped" if args.stop else ""
        print(f"{orphan}{ending}")  # noqa: T201 - that is what a command does
    # Those that are older no list shows.
    print(f"{len(without_task)} orphans; DLC jobs of the last {LOOK_BACK.days} days were looked at", file=sys.stderr)  # noqa: T201
    if refusals:
        raise SystemExit(f"{refusals} of them go on")


def since_when(text: str, field: str = "--since") -> datetime:
    """Read a time, or how long ago it was.

    :raises PaiConfigError: it is neither.
    """
    try:
        return moment(field, text)
    except PaiConfigError as error:
        allowed = f"{error.allowed}, or a span as 90m or 2d"
    try:
        return datetime.now(UTC) - timedelta(seconds=seconds(field, text))
    except PaiConfigError:
        raise PaiConfigError(field, text, allowed) from None


def is_since(created: datetime | None, since: datetime | None) -> bool:
    """Tell whether a job is so young; one whose age nobody knows is listed."""
    return created is None or since is None or created >= since
