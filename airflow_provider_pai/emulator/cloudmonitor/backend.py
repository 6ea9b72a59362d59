"""Metrics of EAS services, as CloudMonitor 2019-01-01 publishes them.

The metrics' names, their dimensions (`userId`, `serviceName`) and `rt` in microseconds stand in an old public page;
whether they still hold is UNCONFIRMED. So are the ids of the percentiles (today's alert page has TP5, TP80, TP90, TP95,
TP99 and TP100, without ids) and that a point bears the start of its period. Namespace and statistic: `World`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.eas.backend import EasBackend
from airflow_provider_pai.emulator.eas.series import KEPT_SECONDS, Counts, Series
from airflow_provider_pai.emulator.errors import InvalidParameterError, NotFoundError
from airflow_provider_pai.emulator.queries import parse_time, whole_number
from airflow_provider_pai.emulator.types import Json

SHORT_PERIODS = (1, 5, 15)
"""Periods below a minute; the cloud has 15 only, and multiples of 60 above."""
LONGEST_PAGE = 1440
PERCENTILES = (5, 80, 90, 95, 99, 100)


@dataclass(frozen=True)
class Metric:
    """A metric and the function that reads it from a period's requests; None: the period has no point."""

    unit: str
    description: str
    value: Callable[[Counts, int], float | None]


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
    """A checked query of DescribeMetricLast or DescribeMetricList; times in seconds."""

    metric: Metric
    period: int
    services: list[str]
    start: float
    end: float


class CloudMonitorBackend:
    """The metrics of one account's EAS services."""

    def __init__(self, account: Account, eas: EasBackend) -> None:
        self.account = account
        self._eas = eas

    def query(self, parameters: dict[str, str]) -> Query:
        """Check a query.

        :raises NotFoundError: for a namespace or a metric that is not there.
        :raises InvalidParameterError: naming the parameter and what is allowed.
        """
        namespace, name = parameters.get("Namespace"), parameters.get("MetricName")
        if namespace != self.account.world.cms_namespace:
            raise NotFoundError(f"Namespace {namespace!r} does not exist.", "ResourceNotFound")
        metric = METRICS.get(name or "")
        if metric is None:
            raise NotFoundError(f"MetricName {name!r} is none of {sorted(METRICS)}.", "ResourceNotFound")
        now = self.account.metrics_time()
        end = min(_moment(parameters, "EndTime", now), now)
        start = _moment(parameters, "StartTime", end - KEPT_SECONDS)
        if start > end:
            raise InvalidParameterError("StartTime must be earlier than EndTime.")
        services = self._services(parameters)
        return Query(metric, _period(parameters), services, max(start, now - KEPT_SECONDS), end)

    def points(self, query: Query) -> Iterator[Json]:
        """Yield the points of every service in the order of their times; only periods that are over have one."""
        for service in query.services:
            series = self._eas.services[service].series
            for start in _periods(series, query):
                value = query.metric.value(series.window(start, query.period), query.period)
                if value is not None:
                    yield {
                        "timestamp": start * 1000,
                        "userId": self.account.settings.account_id,
                        "serviceName": service,
                        self.account.world.cms_statistics: value,
                    }

    def metrics(self, namespace: str | None, name: str | None) -> list[Json]:
        """Return the items of DescribeMetricMetaList; of a namespace that is not there none (INFERRED)."""
        world = self.account.world
        if namespace not in (None, "", world.cms_namespace):
            return []
        return [
            {
                "Namespace": world.cms_namespace,
                "MetricName": metric_name,
                "Description": metric.description,
                "Unit": metric.unit,
                "Dimensions": "userId,serviceName",
                "Periods": ",".join(map(str, (*SHORT_PERIODS, 60, 300))),
                "Statistics": world.cms_statistics,
                "Labels": "[]",
            }
            for metric_name, metric in METRICS.items()
            if name in (None, "", metric_name)
        ]

    def _services(self, parameters: dict[str, str]) -> list[str]:
        """Return the services that the dimensions name; without dimensions all."""
        wanted = _dimensions(parameters)
        user_id = self.account.settings.account_id
        return [
            name
            for name in self._eas.services
            if not wanted or any(item.items() <= {"userId": user_id, "serviceName": name}.items() for item in wanted)
        ]


def _periods(series: Series, query: Query) -> Iterator[int]:
    """Yield the starts of the periods in (start, end] that the service lived in and that are over."""
    period = query.period
    first = int(max(query.start, series.since - period)) // period * period + period
    # A window from second s to s + period is complete once the clock shows s + period.
    last = min(query.end, series.now() - period)
    yield from (start for start in range(first, int(last) + 1, period) if start > query.start)


def _period(parameters: dict[str, str]) -> int:
    text = parameters.get("Period") or "60"
    period = whole_number(text) or 0
    if period in SHORT_PERIODS or (period > 0 and period % 60 == 0):
        return period
    raise InvalidParameterError(f"Period must be one of {SHORT_PERIODS} or a multiple of 60, not {text!r}.")


def _dimensions(parameters: dict[str, str]) -> list[Json]:
    try:
        dimensions = json.loads(parameters.get("Dimensions") or "[]")
    except ValueError as error:
        raise InvalidParameterError(f"Dimensions is not JSON: {error}") from error
    wanted = dimensions if isinstance(dimensions, list) else [dimensions]
    if not all(isinstance(item, dict) and item.keys() <= {"userId", "serviceName"} for item in wanted):
        raise InvalidParameterError("Dimensions must be objects of userId and serviceName.")
    return wanted


def _moment(parameters: dict[str, str], field: str, default: float) -> float:
    text = parameters.get(field)
    if not text:
        return default
    if (milliseconds := whole_number(text)) is not None:
        return milliseconds / 1000
    return parse_time(text, field).timestamp()
