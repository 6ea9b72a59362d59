"""Hook of DLC (Deep Learning Containers) 2020-12-03: distributed training jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from importlib.metadata import version
from itertools import islice
from typing import Any

from airflow_provider_pai.causes import Cause, Evidence, diagnose
from airflow_provider_pai.exceptions import (
    PaiAnswerError,
    PaiConfigError,
    PaiError,
    PaiNotFoundError,
)
from airflow_provider_pai.hooks.answers import JsonText, Needed, Page, fits
from airflow_provider_pai.hooks.dlc.billed import BILLED, job_usage
from airflow_provider_pai.hooks.dlc.spans import newest_first
from airflow_provider_pai.hooks.jobs import JobHook
from airflow_provider_pai.hooks.lines import EVIDENCE_LINES, TAIL_CHARACTERS, TAIL_LINES, tail
from airflow_provider_pai.hooks.paging import all_items
from airflow_provider_pai.hooks.waiting import Cursor, advance
from airflow_provider_pai.inputs import mapping, whole_number
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.states import DLC_JOB, DLC_POD
from airflow_provider_pai.versions import utc_text

_SDK = "alibabacloud-pai-dlc20201203"

# The maximum page size is not documented; PAI's own SDK uses 50.
PAGE_SIZE = 50

MAX_REQUEST_BYTES = 60 * 1024
"""Of what CreateJob is sent: the page allows 65,536, but "including system-generated parameters", told by nobody."""

_MAX_LOG_LINES = 2000
# Clocks differ, and lines come late: public clients ask for two minutes before they give up.
_OVERLAP = timedelta(minutes=5)

# What is read of a job's answers.
_CREATED = {"JobId": Needed(str)}
_JOB = {
    "JobId": Needed(str),
    "Status": Needed(str),
    "ReasonCode": str,
    "ReasonMessage": str,
    "GmtCreateTime": str,
    "DisplayName": str,
    "Duration": JsonText(int),
    "JobMaxRunningTimeMinutes": JsonText(int),
    "Settings": {"Tags": {str: str}},
    "Pods": [{"PodId": Needed(str), "Status": str, "SubStatus": str}],
    **BILLED,
}
_ECS_SPEC = {"InstanceType": Needed(str), "GpuType": str, "IsAvailable": bool}
_STOPPED_BY_USER = "JobStoppedByUser"
# A job is ended at the first look after its limit, but its running time is cut to whole seconds.
_TIME_LIMIT_SLACK = 5
_LIST_LAG_SECONDS = 35.0
# Of the pods that failed: what made one fail first is in its own log, and the others' tell of it.
_PODS_READ = 8


class DlcHook(JobHook):
    """Jobs of DLC.

    API: alibabacloud_pai_dlc20201203.client.Client.
    """

    service = "dlc"
    states = DLC_JOB
    page = "/dlc/jobs/{job_id}/overview"

    def ping(self) -> None:
        """Ask for a page of jobs."""
        next(self.list_jobs(), None)

    def submit(self, body: Json) -> str:
        """Create a job from a CreateJob body in the API's field names and return its id."""
        from alibabacloud_pai_dlc20201203.models import CreateJobRequest

        request = CreateJobRequest().from_map(self._request(body))
        answer = self.ask("CreateJob", lambda: self.client.create_job(request), _CREATED, repeatable=False)
        return str(answer["JobId"])

    def check_body(self, body: Json) -> None:
        """Refuse a CreateJob body that is too large, or has a field that the SDK's models would drop silently.

        :raises PaiConfigError: naming the field and, near the top, those that stand beside it.
        """
        from alibabacloud_pai_dlc20201203.models import CreateJobRequest, JobSettings

        try:
            kept = CreateJobRequest().from_map(body).to_map()
        except (AttributeError, TypeError) as error:
            raise PaiConfigError("job", str(error), "a CreateJob request, objects and lists as in the API") from None
        for path in _lost(body, kept):
            parent, _, name = path.rpartition(".")
            models = {"": ("job", CreateJobRequest), "Settings": ("settings", JobSettings)}
            argument, model = models.get(parent, ("job", None))
            old = f"the API has no such field there, or {_SDK} {version(_SDK)} is too old for it"
            allowed = f"the API has {', '.join(_names(model))}" if model else old
            raise PaiConfigError(argument, name if model else path, allowed)
        size = len(json.dumps(self._request(body), ensure_ascii=False).encode(errors="replace"))
        if size > MAX_REQUEST_BYTES:
            raise PaiConfigError("job", f"{size} bytes", f"a CreateJob request of at most {MAX_REQUEST_BYTES} bytes")

    def _request(self, body: Json) -> Json:
        return {"WorkspaceId": self.connection.workspace_id, **mapping("body", body)}

    def describe(self, job_id: str) -> Json:
        """Return GetJob's answer in the API's field names."""
        from alibabacloud_pai_dlc20201203.models import GetJobRequest

        return self.ask("GetJob", lambda: self.client.get_job(job_id, GetJobRequest(need_detail=True)), _JOB)

    def get(self, job_id: str) -> RemoteJob:
        """Describe one job."""
        return _remote(self.describe(job_id))

    def get_many(self, job_ids: Sequence[str]) -> dict[str, RemoteJob | PaiAnswerError]:
        """Describe jobs in pages of 50; one that the list leaves out is asked for by GetJob before it is gone.

        So is one whose item can't be read: it keeps nobody from the rest of the page.
        """
        jobs: dict[str, RemoteJob | PaiAnswerError] = {}
        for start in range(0, len(job_ids), PAGE_SIZE):
            page = job_ids[start : start + PAGE_SIZE]
            listed = self._all_spans(Page("Jobs", object), job_ids=",".join(page))
            # No more than are there: an earlier span is asked for when the list is read on.
            jobs |= {job["JobId"]: _remote(job) for job in islice(listed, len(page))}
        missing = [job_id for job_id in job_ids if job_id not in jobs]
        return jobs | super().get_many(missing)

    def list_jobs(self, **filters: Any) -> Iterator[Json]:
        """Yield jobs of the last 90 days in the API's field names, page by page, the newest first.

        The SDK's method makes a model of every job, which takes as long as all the rest of the call.

        :param filters: fields of ListJobsRequest in Python's spelling.
        """
        return self._all_spans(Page("Jobs", _JOB), **filters)

    def _all_spans(self, shape: Page, **filters: Any) -> Iterator[Json]:
        """Yield the jobs that can be read; how much has to be, the shape says."""

        def listed(start: str, end: str | None) -> Iterator[Json]:
            jobs = self._list_jobs(shape, **filters, start_time=start, end_time=end)
            return (job for job in jobs if fits(job, _JOB))

        return newest_first(self, listed, "JobId")

    def _list_jobs(self, shape: Page, **filters: Any) -> Iterator[Json]:
        from alibabacloud_pai_dlc20201203.models import ListJobsRequest

        query = ListJobsRequest(workspace_id=self.connection.workspace_id, page_size=PAGE_SIZE, **filters).to_map()
        if "Tags" in query:
            query["Tags"] = json.dumps(query["Tags"])

        def page(number: int) -> Json:
            asked = {**query, "PageNumber": number}
            return self.request("ListJobs", "2020-12-03", "GET", "/api/v1/jobs", query=asked, shape=shape)

        return all_items("Jobs", page)

    def ecs_specs(self, **filters: Any) -> Iterator[Json]:
        """Yield the public pool's instance types in the API's field names, page by page.

        :param filters: fields of ListEcsSpecsRequest in Python's spelling.
        """
        from alibabacloud_pai_dlc20201203.models import ListEcsSpecsRequest

        def page(number: int) -> Json:
            request = ListEcsSpecsRequest(page_number=number, page_size=PAGE_SIZE, **filters)
            return self.ask("ListEcsSpecs", lambda: self.client.list_ecs_specs(request), Page("EcsSpecs", _ECS_SPEC))

        return all_items("EcsSpecs", page)

    def tagged(self, tags: Mapping[str, str]) -> list[RemoteJob]:
        """Return every job that bears these tags."""
        return [_remote(job) for job in self.list_jobs(tags=dict(tags))]

    def request_stop(self, job_id: str) -> None:
        """Ask for a stop; a finished job answers BadRequest, a deleted one NotFound: neither is an error.

        One that is being prepared may refuse, too (the skill alibabacloud-pai-dlc-job stops jobs that are Running or
        Queuing only): it is asked again, for `retry_seconds`.

        :raises PaiApiError: it has refused all the while.
        """
        over = self.states.succeeded | self.states.failed | self.states.stopping
        self.insist("StopJob", lambda: self.client.stop_job(job_id), lambda: self.going(job_id, over))

    def delete(self, job_id: str) -> None:
        """Delete a finished job; one that is gone is no error: the answer of an earlier call may have been lost."""
        with suppress(PaiNotFoundError):
            self.ask("DeleteJob", lambda: self.client.delete_job(job_id))

    def events(self, job_id: str, limit: int = 100) -> list[str]:
        """Return a job's events, one text each."""
        from alibabacloud_pai_dlc20201203.models import GetJobEventsRequest

        request = GetJobEventsRequest(max_events_num=whole_number("limit", limit, least=1))
        answer = self.ask("GetJobEvents", lambda: self.client.get_job_events(job_id, request), {"Events": [str]})
        return answer.get("Events") or []

    def pod_logs(self, job_id: str, pod_id: str, *, max_lines: int = 2000, start_time: str | None = None) -> list[str]:
        """Return the lines of one pod's log; `start_time` is ISO 8601 in UTC, default 7 days ago."""
        from alibabacloud_pai_dlc20201203.models import GetPodLogsRequest

        max_lines = whole_number("max_lines", max_lines, least=1)
        request = GetPodLogsRequest(max_lines=max_lines, start_time=start_time)
        answer = self.ask("GetPodLogs", lambda: self.client.get_pod_logs(job_id, pod_id, request), {"Logs": [str]})
        return answer.get("Logs") or []

    def new_log_lines(self, job_id: str, cursor: Cursor) -> list[str]:
        """Return what all pods have written since the last call.

        GetPodLogs has no cursor and its lines bear no time: a look asks for `_OVERLAP` more than is new, and finds the
        place by the last lines that it has seen.
        """
        since = cursor.get("since")
        now = utc_text(self.service_clock.utc() - _OVERLAP)
        lines = []
        for pod in self.describe(job_id).get("Pods") or []:
            pod_lines = self.pod_logs(job_id, pod["PodId"], max_lines=_MAX_LOG_LINES, start_time=since)
            lines += advance(cursor, pod["PodId"], pod_lines, full=len(pod_lines) >= _MAX_LOG_LINES)
        cursor["since"] = now
        return lines

    def log_tail(self, job: RemoteJob, lines: int = TAIL_LINES) -> str:
        """Return the last lines of each pod, prefixed with the pod's id; failed pods first, until it is enough."""
        pods = self.describe(job.job_id).get("Pods") or []
        pods.sort(key=lambda pod: pod.get("Status") not in DLC_POD.failed)
        shown = ""
        for number, pod in enumerate(pods):
            if len(shown) > TAIL_CHARACTERS:
                return f"{shown}… {len(pods) - number} more pods: {self.console_url(job.job_id)}"
            for line in tail(self.pod_logs(job.job_id, pod["PodId"]), lines):
                shown += f"[{pod['PodId']}] {line}\n"
        return shown.removesuffix("\n")

    def evidence(self, job: RemoteJob) -> Evidence:
        """Return what tells why a job has failed: its reason, pods and their logs; events where nothing does."""
        pods = self.describe(job.job_id).get("Pods") or []
        failed = [pod["PodId"] for pod in pods if pod.get("Status") in DLC_POD.failed]
        logs = ["\n".join(tail(self.pod_logs(job.job_id, each), EVIDENCE_LINES)) for each in failed[:_PODS_READ]]
        states = " ".join(pod.get("SubStatus") or "" for pod in pods)
        seen = super().evidence(job)._replace(pods=states, logs=logs)
        if diagnose(seen).cause is not Cause.UNKNOWN:
            return seen
        return seen._replace(events="\n".join(self.events(job.job_id)))

    def _limit_met(self, job: RemoteJob) -> float:
        """Return the seconds that a job might run, where it has: GetJob tells how long it ran, ListJobs the limit.

        Whether such a job is Stopped or Failed, and with which reason, is not documented.
        """
        if job.status not in self.states.failed or job.reason_code == _STOPPED_BY_USER:
            return 0
        try:
            ran = int(self.describe(job.job_id).get("Duration") or 0) + _TIME_LIMIT_SLACK
            limit = 60 * self._limit(job.job_id) if ran >= 60 else 0
        except PaiError as error:
            self.log.warning("Whether %s met its time limit is not known: %s", job.job_id, error)
            return 0
        return limit if ran >= limit else 0

    def _limit(self, job_id: str) -> int:
        """Return the minutes that a job may run, 0: any number; a list may be behind."""
        end = self.clock.monotonic() + _LIST_LAG_SECONDS
        while (listed := next(self.list_jobs(job_id=job_id), None)) is None and self.clock.monotonic() < end:
            self.clock.sleep(2)
        return int((listed or {}).get("JobMaxRunningTimeMinutes") or 0)


def _remote(job: Json) -> RemoteJob:
    return RemoteJob(
        job_id=job["JobId"],
        status=job.get("Status") or "",
        reason_code=job.get("ReasonCode"),
        reason=job.get("ReasonMessage"),
        created=job.get("GmtCreateTime") or "",
        tags=(job.get("Settings") or {}).get("Tags") or {},
        usage=job_usage(job),
    )


class _Anything:
    """A value of every type that a model's to_map may meet: models name their fields only there, and only those set."""

    def to_map(self) -> Json:
        return {}

    def __iter__(self) -> Iterator[Any]:
        return iter(())


def _names(model: type[Any]) -> list[str]:
    """Return the API's names of a model's fields."""
    sample = model()
    for name in vars(sample):
        setattr(sample, name, _Anything())
    return sorted(sample.to_map())


def _lost(body: Any, kept: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of what a model has not taken over."""
    if isinstance(body, Mapping) and isinstance(kept, Mapping):
        for name, value in body.items():
            here = f"{path}.{name}" if path else name
            if name in kept:
                yield from _lost(value, kept[name], here)
            elif value is not None:
                yield here
    elif isinstance(body, list) and isinstance(kept, list):
        for index, (value, other) in enumerate(zip(body, kept, strict=False)):
            yield from _lost(value, other, f"{path}[{index}]")
