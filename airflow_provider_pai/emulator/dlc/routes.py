"""DLC 2020-12-03 on the wire."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from starlette.routing import BaseRoute

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.dlc.backend import DlcBackend
from airflow_provider_pai.emulator.queries import time_range
from airflow_provider_pai.emulator.types import Json
from airflow_provider_pai.emulator.wire import Call, api_route

VERSION = "2020-12-03"
MODELS = "alibabacloud_pai_dlc20201203.models"
PAGE_SIZE = 10
"""Default page; the API's own is not published."""
LINES = 2000


def routes(account: Account, backend: DlcBackend) -> list[BaseRoute]:
    """Return the routes of jobs and instance types."""
    route = partial(api_route, account, version=VERSION)

    def paging(call: Call) -> tuple[int, int]:
        return call.integer("PageNumber", 1), call.integer("PageSize", PAGE_SIZE)

    def span(call: Call) -> tuple[datetime, datetime]:
        return time_range(call.query, account.now())

    def create(call: Call) -> Json:
        return backend.create(call.body)

    def get(call: Call) -> Json:
        return backend.get(call.path["job"], call.boolean("NeedDetail", True))

    def list_jobs(call: Call) -> Json:
        return backend.list(call.query, call.mapping("Tags"), *paging(call))

    def update(call: Call) -> Json:
        return backend.update(call.path["job"], call.body)

    def stop(call: Call) -> Json:
        return backend.stop(call.path["job"])

    def delete(call: Call) -> Json:
        return backend.delete(call.path["job"])

    def logs(call: Call) -> Json:
        limit, uid = call.integer("MaxLines", LINES), call.query.get("PodUid") or ""
        return backend.logs(call.path["job"], call.path["pod"], uid, span(call), limit)

    def pod_events(call: Call) -> Json:
        limit = call.integer("MaxEventsNum", LINES)
        return backend.pod_events(call.path["job"], call.path["pod"], span(call), limit)

    def job_events(call: Call) -> Json:
        return backend.job_events(call.path["job"], span(call), call.integer("MaxEventsNum", LINES))

    def ecs_specs(call: Call) -> Json:
        return backend.ecs_specs(call.query, *paging(call))

    jobs = "/api/v1/jobs"
    job, pod = jobs + "/{job}", jobs + "/{job}/pods/{pod}"
    return [
        route("POST", jobs, "CreateJob", handler=create, model=f"{MODELS}:CreateJobRequest"),
        route("GET", jobs, "ListJobs", handler=list_jobs),
        route("GET", job, "GetJob", handler=get),
        route("PUT", job, "UpdateJob", handler=update, model=f"{MODELS}:UpdateJobRequest"),
        route("DELETE", job, "DeleteJob", handler=delete),
        route("POST", job + "/stop", "StopJob", handler=stop),
        route("GET", job + "/events", "GetJobEvents", handler=job_events),
        route("GET", pod + "/logs", "GetPodLogs", handler=logs),
        route("GET", pod + "/events", "GetPodEvents", handler=pod_events),
        route("GET", "/api/v1/ecsspecs", "ListEcsSpecs", handler=ecs_specs),
    ]
