"""Trigger that waits for a DLC job, or a run on a DSW instance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.module_loading import import_string

from airflow_provider_pai.exceptions import PaiApiError
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.triggers.base import OwningTrigger
from airflow_provider_pai.triggers.hub import Hub, hub_of, next_tick
from airflow_provider_pai.triggers.threads import in_thread

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.jobs import JobHook
    from airflow_provider_pai.hooks.waiting import LogCopy, Watch

# A triggerer takes up a new trigger within seconds.
_TAKEN_OVER_AFTER = timedelta(minutes=1)


class PaiJobTrigger(OwningTrigger["JobHook"]):
    """Yields `{"job": …}` when a job has ended.

    At the deadline it asks for the job's stop itself and yields `{"job": …, "timed_out": true}`: the framework's own
    time-out would run neither `execute_complete` nor `on_kill`.

    :param hook_path: path of a `JobHook`.
    :param job_id: the job.
    :param cancel_on_kill: stop the job when the task is marked, cleared or timed out.
    :param log_interval: seconds between two looks at the job's own log; 0: it is not copied.
    :param deferred_at: ISO 8601; tells a trigger that starts from one that another triggerer goes on with.
    """

    # As patient as a worker: a job that is being prepared may not be stopped yet.
    kill_seconds = 60.0

    def __init__(
        self,
        *,
        hook_path: str,
        hook_arguments: Json,
        job_id: str,
        poll_interval: float,
        deadline: str | None = None,
        cancel_on_kill: bool = True,
        log_interval: float = 0,
        deferred_at: str | None = None,
        task: Json,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            hook_arguments=hook_arguments, poll_interval=poll_interval, deadline=deadline, task=task, **kwargs
        )
        self.hook_path = hook_path
        self.job_id = job_id
        self.cancel_on_kill = cancel_on_kill
        self.log_interval = log_interval
        self.deferred_at = deferred_at
        self._copy: LogCopy | None = None
        self._watch: Watch | None = None
        self._answer: asyncio.Future[RemoteJob]
        self._hub: Hub

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        return {
            **super().arguments(),
            "hook_path": self.hook_path,
            "job_id": self.job_id,
            "cancel_on_kill": self.cancel_on_kill,
            "log_interval": self.log_interval,
            "deferred_at": self.deferred_at,
        }

    def subject(self) -> Json:
        """Return the job's id: `execute_complete` has it whatever happened."""
        return {"job_id": self.job_id}

    @property
    def hook_class(self) -> type[JobHook]:
        """Return the hook's class."""
        return cast("type[JobHook]", import_string(self.hook_path))

    async def connected(self) -> JobHook:
        """Return the hub's hook, so that all who watch the same account hold but one."""
        self._hub = hub_of(await super().connected())
        return cast("JobHook", self._hub.hook)

    def rest(self, hook: JobHook, seconds: float) -> Awaitable[RemoteJob]:
        """Ask the hub for the job as it will be then; it wakes all who are due with their answers."""
        self._answer = self._hub.get(self.job_id, next_tick(seconds, self.poll_interval))
        return self._answer

    async def poll(self, hook: JobHook) -> Json | None:
        """Look at the hub's answer."""
        from airflow_provider_pai.hooks.waiting import LogCopy, Watch

        job = self._answer.result()
        self._watch = self._watch or Watch(hook, self.job_id)
        self._watch.note(job)
        ended = hook.states.is_final(job.status)
        if self.log_interval:
            self._copy = self._copy or LogCopy(hook, self.job_id, self.log_interval, taken_over=self._is_late())
            if self._copy.due(final=ended):
                await in_thread("log", hook.address, self._copy.look)
        return {**self.subject(), "job": job.to_dict()} if ended else None

    def _is_late(self) -> bool:
        """Tell whether an earlier triggerer must have held this trigger."""
        if self.deferred_at is None:
            return False
        return datetime.now(UTC) - datetime.fromisoformat(self.deferred_at) > _TAKEN_OVER_AFTER

    async def on_deadline(self, hook: JobHook) -> Json:
        """Ask for the stop and give the job's last state."""
        if self.cancel_on_kill:
            self.log.info("The deadline %s has come: stopping %s", self.deadline, self.job_id)
            try:
                await in_thread("kill", hook.address, hook.request_stop, self.job_id)
            except PaiApiError as error:
                self.log.warning("%s is not stopped yet, the worker asks again: %s", self.job_id, error)
        return await super().on_deadline(hook)

    async def on_kill(self) -> None:
        """Stop the job."""
        if self.cancel_on_kill:
            await super().on_kill()

    def end(self, hook: JobHook) -> None:
        """Ask for the job's stop."""
        self.log.info("The task was ended: stopping %s", self.job_id)
        hook.request_stop(self.job_id)
