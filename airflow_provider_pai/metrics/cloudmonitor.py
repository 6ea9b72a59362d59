"""Metrics source CloudMonitor: request counts of EAS services."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from airflow_provider_pai.canary.samples import Sample
from airflow_provider_pai.exceptions import PaiMetricsError
from airflow_provider_pai.hooks.cloudmonitor import CloudMonitorHook, Metric
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.inputs import mapping, number, seconds, whole_number
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.values import finite

# What no current page tells is looked for among these, in this order: an old page of CloudMonitor has `acs_learn` and
# the first name of each metric, an old page of EAS ("Enable service monitoring and alerting") the second.
NAMESPACES = ("acs_pai_eas", "acs_learn")
_REQUESTS = ("qps_total", "QueryPerSecondTotal")
_ERRORS = ("rps_status_5xx", "ResponsePerSecondWithStatusCode5xx")
_PERCENTILE = re.compile(r"(?:^|_)tp_?(\d{1,2})$", re.IGNORECASE)
# Today's alerts know these, and TP100 ("Configure service monitoring alerts", 2026).
_PERCENTILES = (5, 80, 90, 95, 99)
_STATISTICS = ("Average", "Value", "Sum", "Maximum")
_UNITS_MS = {"us": 0.001, "μs": 0.001, "ms": 1.0, "s": 1000.0}


class Names(NamedTuple):
    """Under which names an account counts the requests of its EAS services.

    :param latencies: percentile to metric.
    :param unit_ms: milliseconds in one unit of these.
    """

    namespace: str
    requests: str
    errors: str
    latencies: Mapping[int, str]
    unit_ms: float


@dataclass(frozen=True)
class CloudMonitorMetrics:
    """Counts from rates: each point says how many requests a second there were in its period.

    What is not given is found out by DescribeMetricMetaList. Minute data comes a minute or two late, so steps should
    last several minutes.

    :param period: seconds that a point stands for; the cloud has 60 and its multiples.
    :param delay: seconds that a point may come late: a period counts only after them, or of two services that are
        compared one might have requests that the other's points do not show yet. By default two periods.
    :param quantile_metrics: percentile to metric: the 95th is the latency, others tell whether it is slow by chance.
        Empty: latencies are not asked for.
    :param latency_unit_ms: milliseconds in one unit of these metrics.
    :param statistic: which of a point's values counts; one that has none of it has another of Average, Value, …
    :param dimension: which one holds the service's name. CloudMonitor fills in the account's id (its page "Overview").
    """

    eas: EasHook
    period: int = 60
    delay: int | None = None
    namespace: str | None = None
    requests_metric: str | None = None
    errors_metric: str | None = None
    quantile_metrics: Mapping[Any, str] | None = None
    latency_unit_ms: float | None = None
    statistic: str = "Average"
    dimension: str = "serviceName"

    def __post_init__(self) -> None:
        period = int(seconds("metrics['period']", self.period, least=1))
        read: dict[str, Any] = {"period": period, "delay": 2 * period}
        if self.delay is not None:
            read["delay"] = int(seconds("metrics['delay']", self.delay, least=0))
        if self.quantile_metrics is not None:
            read["quantile_metrics"] = _percentiles("metrics['quantile_metrics']", self.quantile_metrics)
        if self.latency_unit_ms is not None:
            read["latency_unit_ms"] = number("metrics['latency_unit_ms']", self.latency_unit_ms, above=0)
        for name, value in read.items():
            object.__setattr__(self, name, value)

    @property
    def names(self) -> Collection[str]:
        """Return the values that checks may name."""
        percentiles = _PERCENTILES if self.quantile_metrics is None else self.quantile_metrics
        return {"error_rate", "p95_ms", *(f"p{percent}_ms" for percent in percentiles)}

    @cached_property
    def _hook(self) -> CloudMonitorHook:
        return self.eas.sibling(CloudMonitorHook)

    @property
    def lateness(self) -> float:
        """Return the seconds after which a moment's requests are in a point, and that has come."""
        return self.period + (self.delay or 0)

    def check(self, counts: bool = True) -> None:
        """Make sure that the metrics are there, and may be read.

        :raises PaiMetricsError: they are not; it names those that are.
        """
        now = self.eas.service_clock.now()
        list(self._points(self.found.requests, {}, now - self.period, now))

    @cached_property
    def found(self) -> Names:
        """Return the names, as this account has them.

        :raises PaiMetricsError: nothing of the kind is there; it names what is.
        """
        there = {}
        for namespace in (self.namespace,) if self.namespace else NAMESPACES:
            there[namespace] = {metric.name: metric for metric in self._hook.metrics(namespace)}
            requests = _first(self.requests_metric, _REQUESTS, there[namespace])
            errors = _first(self.errors_metric, _ERRORS, there[namespace])
            if requests and errors:
                return self._named(namespace, there[namespace], requests, errors)
        raise PaiMetricsError(
            f"CloudMonitor has no {self.requests_metric or ' or '.join(_REQUESTS)} with "
            f"{self.errors_metric or ' or '.join(_ERRORS)}; there are: {_told(there)}. "
            "Name what counts your services' requests in `metrics`: namespace, requests_metric, errors_metric"
        )

    def _named(self, namespace: str, metrics: Mapping[str, Metric], requests: str, errors: str) -> Names:
        latencies = self.quantile_metrics
        if latencies is None:
            latencies = {int(found[1]): name for name in metrics if (found := _PERCENTILE.search(name))}
        for name in (requests, errors, *latencies.values()):
            if name not in metrics:
                raise PaiMetricsError(f"CloudMonitor has no {name}; there are: {_told({namespace: metrics})}")
            if wrong := self._misfit(metrics[name]):
                raise PaiMetricsError(f"CloudMonitor's {namespace} {name} {wrong}")
        unit = next((metrics[name].unit for name in latencies.values()), "").strip().lower()
        return Names(namespace, requests, errors, latencies, self.latency_unit_ms or _UNITS_MS.get(unit, 0.001))

    def _misfit(self, metric: Metric) -> str:
        """Return what this source asks for and the metric does not have; what CloudMonitor does not tell is tried."""
        if metric.periods and not any(self.period % period == 0 for period in metric.periods):
            return f"has points for each {_listed(metric.periods)} seconds, not {self.period}: set metrics['period']"
        if metric.dimensions and self.dimension not in metric.dimensions:
            listed = _listed(metric.dimensions)
            return f"has no dimension {self.dimension}, but {listed}: set metrics['dimension'] to the service's name"
        if metric.statistics and not {self.statistic, *_STATISTICS} & set(metric.statistics):
            return f"has the statistics {_listed(metric.statistics)}, not {self.statistic}: set metrics['statistic']"
        return ""

    def sample(self, service: str, start: float, end: float) -> Sample:
        """Return a service's counts over the whole periods in a span, without those that may come yet."""
        end -= self.lateness
        if end < start:
            return Sample(requests=0, errors=0)
        found, dimensions = self.found, {self.dimension: service}
        rates: dict[int, float] = {}
        for at, rate in self._points(found.requests, dimensions, start, end):
            rates[at] = rates.get(at, 0.0) + rate  # a service may have a point for each of its resource groups
        requests = sum(round(rate * self.period) for rate in rates.values())
        failed = self._points(found.errors, dimensions, start, end)
        errors = sum(round(rate * self.period) for at, rate in failed if at in rates)
        latencies = {}
        for percent, metric in found.latencies.items() if requests else ():
            points = list(self._points(metric, dimensions, start, end))
            if (mean := _weighted(points, rates)) is not None:
                latencies[percent] = mean * found.unit_ms
        p95 = latencies.pop(95, None)
        return Sample(requests=requests, errors=min(errors, requests), p95_ms=p95, quantiles=latencies)

    def further(self, service: str, start: float, end: float) -> Mapping[str, float]:
        """It has none."""
        return {}

    def _points(self, metric: str, dimensions: dict[str, str], start: float, end: float) -> Iterator[tuple[int, float]]:
        points = self._hook.points(
            self.found.namespace, metric, [dimensions] if dimensions else [], period=self.period, start=start, end=end
        )
        for point in points:
            names = (self.statistic, *_STATISTICS)
            value = next((read for name in names if (read := finite(point.get(name))) is not None), None)
            at = finite(point.get("timestamp"))
            if value is None or at is None:
                raise PaiMetricsError(f"CloudMonitor's {metric} has none of {_listed(names)}, but {_listed(point)}")
            yield int(at), value


def _percentiles(field: str, given: Mapping[str, str]) -> dict[int, str]:
    metrics = mapping(field, given, "an object of percentiles (80, 95, …) to metric names")
    return {whole_number(field, percent, least=1, most=99): str(metric) for percent, metric in metrics.items()}


def _first(given: str | None, known: Sequence[str], metrics: Collection[str]) -> str | None:
    """Return the first name that is there."""
    return next((name for name in ((given,) if given else known) if name in metrics), None)


def _weighted(points: Sequence[tuple[int, float]], rates: Mapping[int, float]) -> float | None:
    """Return the periods' percentiles, each weighted by its requests: near, not equal, to the span's own."""
    weight = sum(rates.get(at, 0.0) for at, _ in points)
    return sum(value * rates.get(at, 0.0) for at, value in points) / weight if weight else None


def _listed(names: Collection[object]) -> str:
    return ", ".join(map(str, dict.fromkeys(names)))


def _told(there: Mapping[str, Collection[str]]) -> str:
    """Return what each namespace has, for people."""
    return "; ".join(f"{namespace}: {_listed(sorted(metrics)) or 'nothing'}" for namespace, metrics in there.items())
