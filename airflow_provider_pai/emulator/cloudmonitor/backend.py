"""Metrics of EAS services as CloudMonitor 2019-01-01 publishes them.

Namespace `acs_learn`, its metric names, its dimensions (`userId`, `serviceName`) and `rt` in microseconds
stand in an old public page; whether they still hold is UNCONFIRMED. So are the ids of the percentiles (`rt_tp50`
...; today's alert page names TP5 to TP100 without ids) and that a point bears the start of its period.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_provider_pai.emulator.account import Cloud
from airflow_provider_pai.emulator.eas.series import KEPT_SECONDS, Bucket, Series
from airflow_provider_pai.emulator.errors import InvalidParameterError, NotFoundError

Json = dict[str, Any]

NAMESPACE = "acs_learn"
SHORT_PERIODS = (1, 5, 15)
"""Periods below a minute; the cloud has 15 only, and multiples of 60 above."""
LONGEST_PAGE = 1440
PERCENTILES = (5, 10, 50, 75, 90, 95, 99, 100)


@dataclass(frozen=True)
class Metric:
    """How a metric is read from a period's requests; None: the period has no point."""

    unit: str
    description: str
    value: Callable[[Bucket, int], float | None]


def _rate(status_class: int) -> Metric:
    return Metric(
        "qps",
        f"Requests answered {status_class}xx, a second",
        lambda b, period: b.classes[status_class] / period,
    )


def _ratio(status_class: int) -> Metric:
    return Metric(
        "%",
        f"Share of requests answered {status_class}xx",
        lambda b, _: 100.0 * b.classes[status_class] / b.requests if b.requests else None,
    )


def _percentile(share: int) -> Metric:
    return Metric(
        "us",
        f"Response time that {share} % of the requests did not exceed",
        lambda b, _: b.percentile(share / 100) if b.requests else None,
    )


METRICS: dict[str, Metric] = {
    "qps_total": Metric("qps", "Requests a second", lambda b, period: b.requests / period),
    **{f"rps_status_{kind}xx": _rate(kind) for kind in (2, 4, 5)},
    **{f"rps_status_{kind}xx_ratio": _ratio(kind) for kind in (2, 4, 5)},
    "rt": Metric("us", "Mean response time", lambda b, _: b.latency_sum / b.requests if b.requests else None),
    **{f"rt_tp{share}": _percentile(share) for share in PERCENTILES},
}


@dataclass(frozen=True)
class Query:
    """What DescribeMetricLast and DescribeMetricList ask for; times in seconds."""

    metric: Metric
    period: int
    services: list[str]
    start: float
    end: float


def read_query(cloud: Cloud, given: dict[str, str]) -> Query:
    """Check a query.

    :raises NotFoundError: for a namespace or a metric that is not there.
    :raises InvalidParameterError: naming the parameter and what is allowed.
    """
    if given.get("Namespace") != NAMESPACE:
        raise NotFoundError(f"Namespace {given.get('Namespace')!r} is not {NAMESPACE}.", "ResourceNotFound")
    metric = METRICS.get(given.get("MetricName", ""))
    if metric is None:
        raise NotFoundError(f"MetricName {given.get('MetricName')!r} is none of {sorted(METRICS)}.", "ResourceNotFound")
    now = time.time()
    end = min(_moment(given, "EndTime", now), now)
    start = _moment(given, "StartTime", end - KEPT_SECONDS)
    if start > end:
        raise InvalidParameterError("StartTime must be earlier than EndTime.")
    return Query(metric, _period(given), _services(cloud, given), max(start, now - KEPT_SECONDS), end)


def points(cloud: Cloud, query: Query) -> Iterator[Json]:
    """Yield the points of every service in the order of their times; only periods that are over have one."""
    for service in query.services:
        series = cloud.eas.services[service].series
        for start in _periods(series, query):
            value = query.metric.value(series.window(start, query.period), query.period)
            if value is not None:
                yield {
                    "timestamp": start * 1000,
                    "userId": cloud.settings.account_id,
                    "serviceName": service,
                    "Average": value,
                    "Value": value,
                }


def describe_metrics(name: str | None) -> list[Json]:
    """Return the items of DescribeMetricMetaList."""
    periods = ",".join(map(str, (*SHORT_PERIODS, 60, 300)))
    return [
        {
            "Namespace": NAMESPACE,
            "MetricName": metric_name,
            "Description": metric.description,
            "Unit": metric.unit,
            "Dimensions": "userId,serviceName",
            "Periods": periods,
            "Statistics": "Average,Value",
            "Labels": "[]",
        }
        for metric_name, metric in METRICS.items()
        if name in (None, "", metric_name)
    ]


def _periods(series: Series, query: Query) -> Iterator[int]:
    """Yield the starts of the periods in (start, end] that the service lived in and that are over."""
    period = query.period
    first = int(max(query.start, series.since - period)) // period * period + period
    # A window from second s to s + period is complete once the clock shows s + period.
    last = min(query.end, time.time() - period)
    yield from (start for start in range(first, int(last) + 1, period) if start > query.start)


def _period(given: dict[str, str]) -> int:
    text = given.get("Period") or "60"
    period = int(text) if text.isdigit() else 0
    if period in SHORT_PERIODS or (period and period % 60 == 0):
        return period
    raise InvalidParameterError(f"Period must be one of {SHORT_PERIODS} or a multiple of 60, not {text!r}.")


def _services(cloud: Cloud, given: dict[str, str]) -> list[str]:
    """Return the services that the dimensions name; none given means all."""
    try:
        dimensions = json.loads(given.get("Dimensions") or "[]")
    except ValueError as error:
        raise InvalidParameterError(f"Dimensions is not JSON: {error}") from error
    wanted = dimensions if isinstance(dimensions, list) else [dimensions]
    if not all(isinstance(item, dict) and item.keys() <= {"userId", "serviceName"} for item in wanted):
        raise InvalidParameterError("Dimensions must be objects of userId and serviceName.")
    account = {"userId": cloud.settings.account_id}
    return [
        name
        for name in cloud.eas.services
        if not wanted or any(item.items() <= {**account, "serviceName": name}.items() for item in wanted)
    ]


def _moment(given: dict[str, str], field: str, default: float) -> float:
    text = given.get(field)
    if not text:
        return default
    if text.isdigit():
        return int(text) / 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidParameterError(f"{field} must be milliseconds or YYYY-MM-DD hh:mm:ss, not {text!r}.") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
