"""Metrics source CloudMonitor: request counts of EAS services."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from airflow_provider_pai.canary.analysis import Sample
from airflow_provider_pai.exceptions import PaiApiError, PaiTransientError
from airflow_provider_pai.hooks.cloudmonitor import CloudMonitorHook
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.inputs import mapping, number, seconds, whole_number


@dataclass(frozen=True)
class CloudMonitorMetrics:
    """Counts from rates: each point says how many requests a second there were in its period.

    Namespace and metric names stand in an old public page of CloudMonitor; that they still hold is UNCONFIRMED,
    and so is the id of the 95th percentile. Look them up in the console (or DescribeMetricMetaList) and set what
    differs. Minute data comes a minute or two late, so steps should last several minutes.

    :param period: seconds that a point stands for; the cloud has 60 and its multiples.
    :param delay: seconds that a point may come late: a period counts only after them, or of two services that are
        compared one might have requests that the other's points do not show yet. By default two periods.
    :param p95_metric: None: latencies are not asked for.
    :param quantile_metrics: percentile to metric; they tell whether a slow 95th percentile is chance.
    :param latency_unit_ms: milliseconds in one unit of the latency metric; `rt` is in microseconds.
    :param user_id: account that owns the services; by default the one that EAS names.
    """

    eas: EasHook
    period: int = 60
    delay: int | None = None
    namespace: str = "acs_learn"
    requests_metric: str = "qps_total"
    errors_metric: str = "rps_status_5xx"
    p95_metric: str | None = "rt_tp95"
    quantile_metrics: Mapping[str, str] = field(
        default_factory=lambda: {"10": "rt_tp10", "50": "rt_tp50", "75": "rt_tp75", "90": "rt_tp90"}
    )
    latency_unit_ms: float = 0.001
    statistic: str = "Average"
    user_id: str | None = None

    def __post_init__(self) -> None:
        period = int(seconds("metrics['period']", self.period, least=1))
        delay = 2 * period if self.delay is None else int(seconds("metrics['delay']", self.delay, least=0))
        allowed = "an object of percentiles (50, 75, …) to metric names"
        metrics = mapping("metrics['quantile_metrics']", self.quantile_metrics, allowed)
        quantiles = {
            str(whole_number("metrics['quantile_metrics']", percent, least=1, most=99)): metric
            for percent, metric in metrics.items()
        }
        read = {"period": period, "delay": delay, "quantile_metrics": quantiles}
        read["latency_unit_ms"] = number("metrics['latency_unit_ms']", self.latency_unit_ms, above=0)
        for name, value in read.items():
            object.__setattr__(self, name, value)

    @property
    def names(self) -> Collection[str]:
        """Return the values that checks may name."""
        return {"error_rate", "p95_ms", *(f"p{percent}_ms" for percent in self.quantile_metrics)}

    @cached_property
    def _hook(self) -> CloudMonitorHook:
        return self.eas.sibling(CloudMonitorHook)

    @property
    def lateness(self) -> float:
        """Return the seconds after which a moment's requests are in a point, and that has come."""
        return self.period + (self.delay or 0)

    def check(self) -> None:
        """Ask for the metric of requests once."""
        now = time.time()
        list(self._points(self.requests_metric, {}, now - self.period, now))

    def sample(self, service: str, start: float, end: float) -> Sample:
        """Return a service's counts over the whole periods in a span, without those that may come yet."""
        end -= self.lateness
        if end < start:
            return Sample(requests=0, errors=0)
        dimensions = {"userId": self.user_id or self._owner(service), "serviceName": service}
        rates = dict(self._points(self.requests_metric, dimensions, start, end))
        requests = sum(round(rate * self.period) for rate in rates.values())
        failed = self._points(self.errors_metric, dimensions, start, end)
        errors = sum(round(rate * self.period) for at, rate in failed if at in rates)
        if not requests or self.p95_metric is None:
            return Sample(requests=requests, errors=min(errors, requests))
        p95 = self._latency(self.p95_metric, dimensions, rates, start, end)
        found = {
            int(percent): self._latency(metric, dimensions, rates, start, end)
            for percent, metric in self.quantile_metrics.items()
        }
        quantiles = {percent: ms for percent, ms in found.items() if ms is not None}
        return Sample(requests=requests, errors=min(errors, requests), p95_ms=p95, quantiles=quantiles)

    def _latency(
        self, metric: str, dimensions: dict[str, str], rates: dict[int, float], start: float, end: float
    ) -> float | None:
        """Return the periods' percentiles, each weighted by its requests: near, not equal, to the span's own."""
        try:
            points = list(self._points(metric, dimensions, start, end))
        except PaiTransientError:
            raise
        except PaiApiError as error:
            # The ids of percentiles are unconfirmed: one that is refused must not end rollouts.
            self.eas.log.warning("CloudMonitor does not know %s: %s", metric, error)
            return None
        weight = sum(rates.get(at, 0.0) for at, _ in points)
        if not weight:
            return None
        return sum(value * rates.get(at, 0.0) for at, value in points) / weight * self.latency_unit_ms

    def _points(self, metric: str, dimensions: dict[str, str], start: float, end: float) -> Iterator[tuple[int, float]]:
        points = self._hook.points(
            self.namespace, metric, [dimensions] if dimensions else [], period=self.period, start=start, end=end
        )
        for point in points:
            yield int(point["timestamp"]), float(point[self.statistic])

    def _owner(self, service: str) -> str:
        return str(self.eas.describe(service).get("ParentUid") or "")
