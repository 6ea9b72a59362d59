"""Filters and orders of ListJobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from airflow_provider_pai.emulator.dlc.job import Job
from airflow_provider_pai.emulator.ecs import is_spot
from airflow_provider_pai.emulator.errors import InvalidParameterError
from airflow_provider_pai.emulator.queries import choice, fuzzy, time_range


def payment(job: Job) -> str:
    """Return how a job is paid for."""
    if job.request.get("ResourceId"):
        return "PrePaid"
    return "Spot" if is_spot(job.request["JobSpecs"]) else "PostPaid"


SORT_KEYS: dict[str, Callable[[Job], object]] = {
    "GmtCreateTime": lambda job: job.document["CreatedAt"],
    "GmtFinishTime": lambda job: job.document["Times"].get("GmtFinishTime", ""),
    "DisplayName": lambda job: job.request["DisplayName"],
    "JobType": lambda job: job.request["JobType"],
    "Status": lambda job: job.status,
}

# Filters that compare one value with one value.
EQUAL: dict[str, Callable[[Job], str | None]] = {
    "Status": lambda job: job.status,
    "JobType": lambda job: job.request["JobType"],
    "WorkspaceId": lambda job: job.request["WorkspaceId"],
    "ResourceId": lambda job: job.request.get("ResourceId"),
    "Accessibility": lambda job: job.request["Accessibility"],
    "PaymentType": payment,
    "PipelineId": lambda job: job.settings.get("PipelineId"),
    "BusinessUserId": lambda job: job.settings.get("BusinessUserId"),
    "Caller": lambda job: job.settings.get("Caller"),
}

# The account has one user, so these leave nothing out.
NO_EFFECT = (
    "ShowOwn",
    "FromAllWorkspaces",
    "UserIdForFilter",
    "Username",
    "PageNumber",
    "PageSize",
    "SortBy",
    "Order",
)
READ_ELSEWHERE = ("StartTime", "EndTime", "JobId", "JobIds", "DisplayName", "Tags")


def matches(query: dict[str, str], tags: dict[str, str], now: datetime, days: int) -> Callable[[Job], bool]:
    """Return the test of a query.

    Without StartTime only jobs created in the last seven days pass, even if JobIds or Tags name an older one.

    :param days: how long the time may be that is asked for; 0: any.
    :raises InvalidParameterError: it is longer, or for a filter that the emulator does not have.
    """
    for name, value in query.items():
        if value and name not in (*EQUAL, *NO_EFFECT, *READ_ELSEWHERE):
            raise InvalidParameterError(f"The emulator's ListJobs has no filter {name}.")
    start, end = time_range(query, now, days)
    ids = {part for part in (query.get("JobId") or query.get("JobIds") or "").split(",") if part}

    def test(job: Job) -> bool:
        own_tags = job.settings.get("Tags") or {}
        return (
            (not ids or job.id in ids)  # first: pollers ask by id, and the other tests are slower
            and start <= job.created <= end
            and fuzzy(query.get("DisplayName"), job.request["DisplayName"])
            and all(own_tags.get(key) == value for key, value in tags.items())
            and all(query.get(name) in (None, "", read(job)) for name, read in EQUAL.items())
        )

    return test


def order(query: dict[str, str], jobs: Iterable[Job]) -> list[Job]:
    """Sort jobs as the query says; newest first by default."""
    key = SORT_KEYS[choice(query, "SortBy", "GmtCreateTime", tuple(SORT_KEYS))]
    descending = choice(query, "Order", "desc", ("desc", "asc")) == "desc"
    return sorted(jobs, key=key, reverse=descending)  # type: ignore[arg-type]
