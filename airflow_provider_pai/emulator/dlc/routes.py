"""Routes of DLC 2020-12-03: jobs and instance types."""

from __future__ import annotations

from datetime import datetime

from starlette.routing import BaseRoute

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.dlc.backend import DlcBackend
from airflow_provider_pai.emulator.queries import time_range
from airflow_provider_pai.emulator.types import Json
from airflow_provider_pai.emulator.wire import Action, Call, api_route

VERSION = "2020-12-03"
MODELS = "alibabacloud_pai_dlc20201203.models"
PAGE_SIZE = 10
"""Default page; the API's own is not published."""
LINES = 2000

_JOBS = "/api/v1/jobs"
_JOB = f"{_JOBS}/{{job}}"
_POD = f"{_JOB}/pods/{{pod}}"


def routes(account: Account, backend: DlcBackend) -> list[BaseRoute]:
    """Return the route of each action."""
    calls = _Calls(account, backend)
    actions = [
        Action("POST", _JOBS, "CreateJob", calls.create, strict=True),
        Action("GET", _JOBS, "ListJobs", calls.list),
        Action("GET", _JOB, "GetJob", calls.get),
        Action("PUT", _JOB, "UpdateJob", calls.update, strict=True),
        Action("DELETE", _JOB, "DeleteJob", calls.delete),
        Action("POST", f"{_JOB}/stop", "StopJob", calls.stop),
        Action("GET", f"{_JOB}/events", "GetJobEvents", calls.job_events),
        Action("GET", f"{_POD}/logs", "GetPodLogs", calls.logs),
        Action("GET", f"{_POD}/events", "GetPodEvents", calls.pod_events),
        Action("GET", "/api/v1/ecsspecs", "ListEcsSpecs", calls.ecs_specs),
    ]
    return [api_route(account, VERSION, action, MODELS) for action in actions]


class _Calls:
    """One method per action: reads the call, asks the backend."""

    def __init__(self, account: Account, backend: DlcBackend) -> None:
        self.account = account
        self.backend = backend

    def create(self, call: Call) -> Json:
        return self.backend.create(call.body)

    def list(self, call: Call) -> Json:
        return self.backend.list(call.query, call.mapping("Tags"), *call.paging(PAGE_SIZE))

    def get(self, call: Call) -> Json:
        return self.backend.get(call.path["job"], call.boolean("NeedDetail", True))

    def update(self, call: Call) -> Json:
        return self.backend.update(call.path["job"], call.body)

    def delete(self, call: Call) -> Json:
        return self.backend.delete(call.path["job"])

    def stop(self, call: Call) -> Json:
        return self.backend.stop(call.path["job"])

    def job_events(self, call: Call) -> Json:
        return self.backend.job_events(call.path["job"], self._span(call), call.integer("MaxEventsNum", LINES))

    def logs(self, call: Call) -> Json:
        limit, uid = call.integer("MaxLines", LINES), call.query.get("PodUid") or ""
        return self.backend.logs(call.path["job"], call.path["pod"], uid, self._span(call), limit)

    def pod_events(self, call: Call) -> Json:
        limit = call.integer("MaxEventsNum", LINES)
        return self.backend.pod_events(call.path["job"], call.path["pod"], self._span(call), limit)

    def ecs_specs(self, call: Call) -> Json:
        return self.backend.ecs_specs(call.query, *call.paging(PAGE_SIZE))

    def _span(self, call: Call) -> tuple[datetime, datetime]:
        return time_range(call.query, self.account.now())
