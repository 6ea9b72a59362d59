"""Identity of a task instance, the tags by which it finds its own jobs again, and the decision what to do with them.

No PAI API has a client token. So each job bears who made it: the task, the cycle (raised when a person clears the
task, constant over automatic retries) and the generation (1, 2, ... within a cycle).
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

from airflow_provider_pai.labels import (
    Key,
    Owner,
    check_schema,
    legal_name,
    read_number,
    schema_label,
    write_labels,
)
from airflow_provider_pai.states import States, Verdict
from airflow_provider_pai.versions import make_version

# The stop is asked for this much before the framework's own time-out, which runs none of our code.
_MAX_MARGIN = timedelta(seconds=10)


class TaskName(NamedTuple):
    """A task instance as Airflow names it."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> Self | None:
        """Read a job's tags; None where they are not ours."""
        texts = [tags.get(key, "") for key in (Key.DAG_ID, Key.RUN_ID, Key.TASK_ID)]
        index = tags.get(Key.MAP_INDEX, "")
        if not all(texts) or not re.fullmatch(r"-?[0-9]+", index):
            return None
        return cls(dag_id=texts[0], run_id=texts[1], task_id=texts[2], map_index=int(index))

    def labels(self) -> dict[str, str]:
        """Return the labels that people read; an id that is no legal label is changed there."""
        keys = (Key.DAG_ID, Key.RUN_ID, Key.TASK_ID, Key.MAP_INDEX)
        return {key: legal_name(str(value)) for key, value in zip(keys, self, strict=True)}

    def hash(self, deployment: str) -> str:
        """Return the hash that names this task instance in every deployment that shares the workspace."""
        parts = (deployment, self.dag_id, self.run_id, self.task_id, str(self.map_index))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]

    def __str__(self) -> str:
        """Return the task instance in words."""
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.dag_id}.{self.task_id}{mapped} of run {self.run_id}"


class TaskIdentity(NamedTuple):
    """One task instance of one Airflow deployment, in one cycle."""

    deployment: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    cycle: int
    """The task instance's `max_tries`."""
    try_number: int
    started: datetime
    """The task's first start: what `execution_timeout` counts from."""
    moment: datetime
    """End of the data interval, else run_after: what versions sort by."""

    @classmethod
    def from_context(cls, context: Mapping[str, Any], deployment: str) -> Self:
        """Read the identity in the worker; triggers do not see it and get what they need passed in."""
        ti, run = context["ti"], context["dag_run"]
        return cls(
            deployment=deployment,
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=ti.map_index if ti.map_index is not None else -1,
            cycle=ti.max_tries,
            try_number=ti.try_number,
            started=ti.start_date or datetime.now().astimezone(),
            moment=run.data_interval_end or getattr(run, "run_after", None) or run.logical_date,
        )

    @property
    def name(self) -> TaskName:
        """Return the task instance as Airflow names it."""
        return TaskName(dag_id=self.dag_id, run_id=self.run_id, task_id=self.task_id, map_index=self.map_index)

    @property
    def origin(self) -> dict[str, Any]:
        """Return the task instance as JSON has it: in a trigger, a lease, an artifact, a ledger row."""
        return self.name._asdict()

    @property
    def task(self) -> str:
        """Return the hash that names this task instance in every deployment that shares the workspace."""
        return self.name.hash(self.deployment)

    @property
    def owner(self) -> Owner:
        """Return whose its work is, as labels tell it."""
        return Owner(task=self.task, cycle=self.cycle)

    @property
    def is_last_try(self) -> bool:
        """Tell whether Airflow starts no other try after this one by itself."""
        return self.try_number > self.cycle

    def deadline(self, timeout: timedelta | None) -> str | None:
        """Return the absolute time at which a trigger must act for an `execution_timeout`, a little before it."""
        if timeout is None:
            return None
        return (self.started + timeout - min(_MAX_MARGIN, timeout / 10)).isoformat()

    def labels(self) -> dict[str, str]:
        """Return the labels of what has no generations."""
        people = {Key.DEPLOYMENT: legal_name(self.deployment), **self.name.labels()}
        return {**self.owner.labels(), **schema_label(), **people}

    def tags(self, generation: int) -> dict[str, str]:
        """Return the tags of one generation; the readable ones serve people and the search for orphans."""
        return {**self.labels(), **write_labels({Key.GENERATION: generation})}

    def key(self, generation: int) -> str:
        """Return the hash of task, cycle and generation: part of names and versions."""
        return hashlib.sha256(f"{self.owner}/{generation}".encode()).hexdigest()[:16]

    def version(self, generation: int) -> str:
        """Return the artifact version of a generation."""
        return make_version(self.moment, self.key(generation))


class TaggedJob(NamedTuple):
    """A job as its tags describe it."""

    job_id: str
    status: str
    cycle: int
    generation: int
    created: str

    @classmethod
    def read(cls, job_id: str, status: str, tags: Mapping[str, str], created: str) -> Self | None:
        """Read a job's tags, or None where they are not ours.

        :raises PaiVersionError: a later version wrote them: what to do with the job it alone can tell.
        """
        check_schema(tags)
        cycle, generation = tags.get(Key.CYCLE, ""), tags.get(Key.GENERATION, "")
        try:
            return cls(job_id, status, read_number(cycle), read_number(generation), created)
        except ValueError:
            return None


class Decision(NamedTuple):
    """What a task does about the jobs that it finds under its own name.

    :param job_id: the job to go on with; None: submit `generation`.
    :param stop: jobs that must not go on running.
    :param ended: the last job of this cycle, where it has failed or is being stopped.
    """

    job_id: str | None
    generation: int
    stop: tuple[str, ...] = ()
    ended: str | None = None


def decide(jobs: Iterable[TaggedJob], cycle: int, states: States, *, first: bool = False) -> Decision:
    """Choose between going on with a job of this cycle and making the next generation.

    An active or succeeded job of this cycle is gone on with; a failed, stopped or stopping one is followed by the next
    generation. Whatever still runs beside it, of an older cycle or made twice, is stopped: the oldest stays.

    :param first: the task has made no job yet; what bears its name was made by a run that has been deleted.
    """
    once = {job.job_id: job for job in jobs}  # a list and a look at the job may both give it
    # Of this cycle, the first usable one of the newest generation goes on: of twins the older, and where both were made
    # in the same second the one whose id is first, so that every process chooses the same.
    known = sorted(once.values(), key=lambda job: (job.cycle, -job.generation, job.created, job.job_id))
    mine = [job for job in known if job.cycle == cycle]
    newest = max((job.generation for job in mine), default=0)
    latest = [job for job in mine if job.generation == newest]
    usable = [job for job in latest if _usable(job, states) and not first]
    chosen = usable[0] if usable else None
    stop = tuple(job.job_id for job in known if job is not chosen and states.goes_on(job.status))
    if chosen is not None:
        return Decision(job_id=chosen.job_id, generation=chosen.generation, stop=stop)
    return Decision(job_id=None, generation=newest + 1, stop=stop, ended=latest[0].job_id if latest else None)


def _usable(job: TaggedJob, states: States) -> bool:
    return states.goes_on(job.status) or states.judge(job.status) is Verdict.SUCCEEDED
