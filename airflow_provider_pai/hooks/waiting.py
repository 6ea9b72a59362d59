"""What the log tells of a job that is waited for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_pai.exceptions import PaiTransientError
from airflow_provider_pai.remote import RemoteJob
from airflow_provider_pai.states import Verdict

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.base import WatchedHook


class Watch:
    """Tells changes of one job's status in the log, each with how long the last one took; shared by both waits."""

    __slots__ = ("_since", "hook", "job_id", "status")

    def __init__(self, hook: WatchedHook, job_id: str) -> None:
        self.hook = hook
        self.job_id = job_id
        self.status = ""
        self._since = time.monotonic()

    def read(self) -> RemoteJob | None:
        """Describe the job; None while the service does not answer."""
        try:
            job = self.hook.get(self.job_id)
        except PaiTransientError as error:
            self.hook.log.warning("%s: no answer, waiting on: %s", self.job_id, error)
            return None
        self.note(job)
        return job

    def note(self, job: RemoteJob) -> None:
        """Log a change."""
        if job.status == self.status:
            return
        log, kind = self.hook.log, self.hook.states.kind
        before = f", {self.status} until now for {time.monotonic() - self._since:.1f} s" if self.status else ""
        reason = f" ({job.reason_code}: {job.reason})" if job.reason_code else ""
        log.info("%s %s is %s%s%s", kind, job.job_id, job.status, reason, before)
        if self.hook.states.judge(job.status) is Verdict.UNKNOWN:
            log.warning("%s %s: status %r is not known; waiting on", kind, job.job_id, job.status)
        self.status, self._since = job.status, time.monotonic()
