"""Account of what a task's jobs have used, written into the ledger by whoever sees that one has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from airflow_provider_pai.costs import Usage, attempts
from airflow_provider_pai.exceptions import PaiError, PaiNotFoundError
from airflow_provider_pai.hooks.jobs import JobHook
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.labels import Key
from airflow_provider_pai.ledger import Event
from airflow_provider_pai.ledger.task import TaskLedger
from airflow_provider_pai.remote import RemoteJob
from airflow_provider_pai.uri import OssUri


def account(
    hook: JobHook,
    ledger: TaskLedger,
    identity: TaskIdentity,
    job: RemoteJob,
    *,
    cause: str = "",
    model: str = "",
    beside: str | OssUri | None = None,
) -> tuple[Usage, ...]:
    """Record what a job that is over, and the task's jobs before it, have used; return what came to it.

    What is still being stopped is recorded by who comes later, at the latest by `airflow pai cost`. No paid job fails
    for what can't be told.

    :param cause: why the job has failed.
    :param model: name of the model that it trains.
    :param beside: as of `TaskLedger.record`.
    :returns: what the job has used, and what has come to nothing before it.
    """
    usages: list[Usage] = []
    try:
        for each in _jobs(hook, identity, job):
            usage = hook.usage(each, cause if each is job else "")
            usages.append(usage)
            if usage.ended:
                version = identity._replace(cycle=usage.cycle).version(usage.generation)
                event = Event.used(usage, identity.origin, task=identity.task, version=version, model=model)
                ledger.record(event, beside)
    except PaiError as error:
        hook.log.warning("What the task has used is not told in full; `airflow pai cost` completes it: %s", error)
    return next((tuple(each) for each in attempts(usages) if any(usage.id == job.job_id for usage in each)), ())


def _jobs(hook: JobHook, identity: TaskIdentity, job: RemoteJob) -> Iterator[RemoteJob]:
    """Yield the job and, where there may be any, the task's others, as they are now: lists may be behind."""
    yield job
    listed = hook.tagged({Key.TASK: identity.task}) if identity.try_number > 1 else []
    for other in listed:
        if other.job_id != job.job_id:
            with suppress(PaiNotFoundError):
                yield hook.get(other.job_id)
