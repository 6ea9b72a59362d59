"""Bases of the hooks of what goes from state to state: looked at, waited for, stopped, found again by its tags."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from airflow_provider_pai.causes import UNKNOWN, Diagnosis, Evidence, diagnose, reason_in_words
from airflow_provider_pai.clock import in_words
from airflow_provider_pai.costs import RUNNING, Usage
from airflow_provider_pai.exceptions import (
    PaiAnswerError,
    PaiError,
    PaiJobFailedError,
    PaiNotFoundError,
    PaiTimeoutError,
)
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.lines import TAIL_LINES
from airflow_provider_pai.hooks.waiting import Cursor, LogCopy, Watch
from airflow_provider_pai.identity import TaggedJob, TaskIdentity
from airflow_provider_pai.inputs import moment, seconds
from airflow_provider_pai.labels import Key
from airflow_provider_pai.remote import DEFAULT_POLL_INTERVAL, Json, RemoteJob
from airflow_provider_pai.states import States, Verdict


class WatchedHook(PaiHook):
    """A hook whose resources go from state to state, and are waited for."""

    states: ClassVar[States]
    page: ClassVar[str]
    """Path of a resource's page in PAI's console; `{job_id}` stands for its id."""

    @abstractmethod
    def get(self, job_id: str) -> RemoteJob:
        """Describe one job.

        :raises PaiNotFoundError: there is none.
        """

    def going(self, job_id: str, over: Collection[str]) -> str:
        """Return what goes on, for `insist`.

        :param over: statuses of what has ended, or ends.
        """
        try:
            status = self.get(job_id).status
        except PaiNotFoundError:
            return ""
        return "" if status in over else f"{job_id} is {status}"

    def console_url(self, job_id: str) -> str:
        """Return the job's page in the console."""
        at = self.connection
        place = f"/?regionId={at.region}&workspaceId={at.workspace_id or ''}"
        return at.console("pai", f"{place}#{self.page.format(job_id=job_id)}")

    def new_log_lines(self, job_id: str, cursor: Cursor) -> list[str]:
        """Return what the job has written since the last call, each line prefixed with its pod.

        :param cursor: empty at first; filled in and used again by this method alone.
        """
        return []

    def log_tail(self, job: RemoteJob, lines: int = TAIL_LINES) -> str:
        """Return the last lines of the job's own logs, for the error message; empty where there are none."""
        return ""

    def last_words(self, job: RemoteJob) -> str:
        """Return the last lines of the job's logs, or why they could not be read."""
        try:
            return self.log_tail(job)
        except PaiError as error:
            return f"(the logs could not be read: {error})"

    def evidence(self, job: RemoteJob) -> Evidence:
        """Return what tells why a job has failed."""
        return Evidence(status=job.status, reason_code=job.reason_code or "", reason=job.reason or "")

    def diagnosis(self, job: RemoteJob) -> Diagnosis:
        """Return why a job has failed; unknown where what would tell can't be read."""
        return self._diagnosed(self._explained(job))

    def _explained(self, job: RemoteJob) -> RemoteJob:
        """Return a failed job, of one that met its time limit with that as its reason: services may not say so."""
        if not (limit := self._limit_met(job)):
            return job
        told = f"its time limit of {in_words(limit)} has passed"
        return job._replace(reason=f"{told}: {job.reason}" if job.reason else told)

    def _limit_met(self, job: RemoteJob) -> float:
        """Return the seconds that a job might run, where it has run so long; 0: its end has another reason."""
        return 0

    def _diagnosed(self, job: RemoteJob) -> Diagnosis:
        try:
            return diagnose(self.evidence(job))
        except PaiError as error:
            self.log.warning("Why %s has failed can't be told: %s", job.job_id, error)
            return UNKNOWN

    def failure(self, job: RemoteJob) -> PaiJobFailedError:
        """Return the error that tells why a job has failed, with the last lines of its logs."""
        job = self._explained(job)
        facts = (self.states.kind, job.job_id, job.status, job.reason_code, reason_in_words(job.reason or ""))
        return PaiJobFailedError(*facts, self.last_words(job), self._diagnosed(job))

    def usage(self, job: RemoteJob, cause: str = "") -> Usage:
        """Return what a job has used up to now, as far as its service tells.

        :param cause: why it has failed, where that is known; otherwise its logs are read for it.
        """
        tagged = job.tagged
        own = {"cycle": tagged.cycle, "generation": tagged.generation} if tagged else {}
        named = {"service": self.service, "id": job.job_id, "status": job.status, "cause": self._waste(job, cause)}
        return Usage.read({"seconds": self._billed_seconds(job.usage), **job.usage, **named, **own})

    def _waste(self, job: RemoteJob, cause: str) -> str:
        verdict = self.states.judge(job.status)
        if verdict is Verdict.SUCCEEDED:
            return ""
        if verdict is not Verdict.FAILED:
            return RUNNING
        return cause or self.diagnosis(job).cause.value

    def _billed_seconds(self, told: Mapping[str, str]) -> float:
        if not (began := told.get("began")):
            return 0.0
        until = moment("ended", ended) if (ended := told.get("ended")) else self.service_clock.utc()
        return max(0.0, (until - moment("began", began)).total_seconds())

    def wait(
        self,
        job_id: str,
        *,
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        deadline: datetime | None = None,
        until: Callable[[RemoteJob], bool] | None = None,
        log_interval: float = 0,
    ) -> RemoteJob:
        """Wait until a job has ended.

        :param poll_interval: seconds between two looks.
        :param deadline: absolute; the state is always read once more before it is believed to have passed.
        :param until: ends the wait; by default any final status.
        :param log_interval: seconds between two looks at the job's own log, which is copied; 0: it is not.
        :raises PaiTimeoutError: at the deadline; the job is not stopped by it.
        """
        poll_interval = seconds("poll_interval", poll_interval)
        watch, copy = Watch(self, job_id), LogCopy(self, job_id, seconds("log_interval", log_interval, least=0))
        until = until or (lambda job: self.states.is_final(job.status))
        while True:
            job = watch.read()
            ended = job is not None and until(job)
            if copy.due(final=ended):
                copy.look()
            if job is not None and ended:
                return job
            if deadline is not None and self.clock.utc() >= deadline:
                raise PaiTimeoutError(
                    f"{self.states.kind} {job_id} was {watch.status or 'not seen'} when its deadline {deadline} passed"
                )
            self.clock.sleep(poll_interval)


class JobHook(WatchedHook):
    """A hook whose resources are jobs: submitted once, watched, stopped, found again by their tags."""

    @abstractmethod
    def submit(self, body: Json) -> str:
        """Create a job and return its id; never repeated by itself.

        :raises PaiTransientError: the answer was lost; the job may exist.
        """

    def get_many(self, job_ids: Sequence[str]) -> dict[str, RemoteJob | PaiAnswerError]:
        """Describe several jobs with as few calls as the API allows; missing ones are left out.

        A job whose own answer can't be read is that error, and no other's trouble.
        """
        jobs: dict[str, RemoteJob | PaiAnswerError] = {}
        for job_id in job_ids:
            try:
                jobs[job_id] = self.get(job_id)
            except PaiNotFoundError:
                continue
            except PaiAnswerError as error:
                jobs[job_id] = error
        return jobs

    @abstractmethod
    def tagged(self, tags: Mapping[str, str]) -> list[RemoteJob]:
        """Return every job that bears these tags."""

    def find(self, identity: TaskIdentity) -> list[TaggedJob]:
        """Return every job that a task has made, in all its cycles."""
        return [job.tagged for job in self.tagged({Key.TASK: identity.task}) if job.tagged is not None]

    @abstractmethod
    def request_stop(self, job_id: str) -> None:
        """Ask for a stop and return at once; a job that has ended or is gone is no error."""
