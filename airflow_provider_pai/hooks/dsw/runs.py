"""Hook for the commands that instances of DSW run at their start, seen as jobs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_pai.causes import Evidence
from airflow_provider_pai.exceptions import PaiError, PaiNotFoundError
from airflow_provider_pai.hooks.answers import Needed
from airflow_provider_pai.hooks.dsw.instances import INSTANCE, DswHook, remote
from airflow_provider_pai.hooks.lines import EVIDENCE_LINES, TAIL_LINES, readable, tail
from airflow_provider_pai.hooks.waiting import Cursor, newest
from airflow_provider_pai.identity import TaggedJob, TaskIdentity
from airflow_provider_pai.inputs import moment
from airflow_provider_pai.labels import Key
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.remote import (
    LOG_NAME,
    RESULT_NAME,
    RUN_URI,
    TIME_LIMIT,
    Json,
    RemoteJob,
)
from airflow_provider_pai.states import DSW_INSTANCE, DSW_RUN
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss import OssHook

_LOG_BYTES = 1 << 20
"""Of a run's log that one look reads at most: a task's log has no place for more."""


class DswRunHook(DswHook):
    """A command that an instance runs at its start, seen as a job.

    DSW has no API that runs a command or tells how its on-start command ended. So that starts a script of the run's
    folder on OSS, which writes `_result.json` there as its last act; a run's status is the instance's status until
    that file is there: then `RunSucceeded` or `RunFailed`.
    """

    states = DSW_RUN

    @cached_property
    def oss(self) -> OssHook:
        """Return the hook that reads results."""
        from airflow_provider_pai.hooks.oss import OssHook

        return self.sibling(OssHook)

    def get(self, job_id: str) -> RemoteJob:
        """Describe one run."""
        return self._run(self.describe(job_id))

    def variables(self, job_id: str, *needed: str) -> Json:
        """Return the environment variables of a run's instance, the run's folder and these among them.

        API: GetInstance.

        :raises PaiTransientError: the answer lacks one: the run's facts stand nowhere else.
        """
        shape = {**INSTANCE, "EnvironmentVariables": Needed(dict.fromkeys((RUN_URI, *needed), Needed(str)))}
        return dict(self.describe(job_id, shape)["EnvironmentVariables"])

    def find(self, identity: TaskIdentity) -> list[TaggedJob]:
        """Return every run that a task has made, as it ended; `tagged` tells what became of the instances."""
        runs = [self._run(instance) for instance in self.list_instances(labels={Key.TASK: identity.task})]
        return [run.tagged for run in runs if run.tagged is not None]

    def _run(self, instance: Json) -> RemoteJob:
        variables = instance.get("EnvironmentVariables") or {}
        job = remote(instance)
        if Key.LASTS in job.tags:  # it runs nothing that could fail: at rest it has done what it was made for
            return job._replace(status="RunSucceeded") if job.status in DSW_INSTANCE.stopped else job
        if not (uri := variables.get(RUN_URI)):
            return job
        facts = {"run_uri": uri}
        result = self._result(OssUri.parse(uri, RUN_URI))
        if result is None:
            return job._replace(facts=facts)
        return ended(job._replace(facts=facts), result)

    def _result(self, run: OssUri) -> Json | None:
        try:
            result = json.loads(self.oss.get(run.join(RESULT_NAME)))
        except (PaiNotFoundError, ValueError, RecursionError):  # not there yet, or still being written by the mount
            return None
        return result if isinstance(result, dict) else None

    def new_log_lines(self, job_id: str, cursor: Cursor) -> list[str]:
        """Return the whole lines that the run's log has got since the last call."""
        if "run_uri" not in cursor:
            cursor["run_uri"] = self.variables(job_id)[RUN_URI]
        read = cursor.get("read", 0)
        begin, data = self._log_from(cursor["run_uri"], read)
        *whole, rest = data.split(b"\n")
        if not whole:
            return []
        cursor["read"] = begin + len(data) - len(rest)
        missed = [f"… {begin - read} bytes are left out here"] if begin > read else []
        return [*missed, *newest([readable(line) for line in _texts(whole)])]

    def log_tail(self, job: RemoteJob, lines: int = TAIL_LINES) -> str:
        """Return the last lines of the run's log."""
        _, data = self._log_from(job.facts.get("run_uri"), 0)
        return "\n".join(tail(_texts(data.removesuffix(b"\n").split(b"\n")), lines))

    def _limit_met(self, job: RemoteJob) -> float:
        """Return the seconds until its timer, of a run whose instance was stopped then: DSW tells nothing of it."""
        if job.status not in DSW_INSTANCE.resting or not (ended := job.usage.get("ended")):
            return 0
        try:
            limit = float(self.variables(job.job_id).get(TIME_LIMIT) or math.inf)
        except PaiError as error:
            self.log.warning("Whether %s met its time limit is not known: %s", job.job_id, error)
            return 0
        lived = moment("GmtModifiedTime", ended) - moment("GmtCreateTime", job.created)
        return limit if lived.total_seconds() >= limit else 0

    def evidence(self, job: RemoteJob) -> Evidence:
        """Return what tells why a run has failed: besides the instance's own reason its exit code and its log."""
        log = self.log_tail(job, EVIDENCE_LINES)
        return super().evidence(job)._replace(exit_code=job.facts.get("exit_code"), logs=(log,))

    def _log_from(self, uri: str | None, start: int) -> tuple[int, bytes]:
        """Return where in the run's log the bytes begin that are read of what lies behind a byte, and these."""
        info = self.oss.head(OssUri.parse(uri).join(LOG_NAME)) if uri else None
        if info is None or info.size <= start:
            return start, b""
        begin = max(start, info.size - _LOG_BYTES)
        try:
            return begin, self.oss.get(info.uri, start=begin, size=info.size - begin)
        except PaiNotFoundError:
            return start, b""


def ended(job: RemoteJob, result: Json) -> RemoteJob:
    """Return a run that has left its result."""
    code = result.get("exit_code")
    done: Json = {
        "status": "RunSucceeded" if code == 0 else "RunFailed",
        "reason_code": None if code == 0 else "CommandFailed",
        "reason": None if code == 0 else f"the command exited with {code}",
        "facts": {**job.facts, **result},
    }
    return job._replace(**done)


def _texts(lines: Sequence[bytes]) -> list[str]:
    """Return lines for people: what a run writes need be no text."""
    return [line.removesuffix(b"\r").decode(errors="replace") for line in lines]
