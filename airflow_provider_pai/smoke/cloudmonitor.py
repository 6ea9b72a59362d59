"""Probe of CloudMonitor: where EAS's metrics are, and what their points bear."""

from __future__ import annotations

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.cloudmonitor import CloudMonitorHook, Metric
from airflow_provider_pai.remote import Json
from airflow_provider_pai.smoke.round import Round

NAMESPACES = ("acs_pai_eas", "acs_learn")
STATISTICS = ("Average", "Value", "Maximum")
_LOOKS = 150
_SPAN = 600


def probe_metrics(one: Round, service: str) -> None:
    """Look for metrics, and for a point of a service that has just been asked; API: DescribeMetricMetaList."""
    hook = one.sibling(CloudMonitorHook)
    with one.told("CloudMonitor"):
        found = {namespace: metrics for namespace in NAMESPACES if (metrics := hook.metrics(namespace))}
        namespace = next(iter(found), None)
        seen = ", ".join(f"{name}: {len(metrics)} metrics" for name, metrics in found.items())
        one.facts.learn("cms_namespace", namespace, seen or f"no metrics in {' or '.join(NAMESPACES)}")
        if namespace is not None:
            _statistic(one, hook, namespace, found[namespace], service)


def _statistic(one: Round, hook: CloudMonitorHook, namespace: str, metrics: list[Metric], service: str) -> None:
    counted = next((metric for metric in metrics if metric.name.lower().startswith(("qps", "queryper"))), metrics[0])
    for _ in range(_LOOKS):
        if point := _point(hook, namespace, counted, service):
            statistic = next((name for name in STATISTICS if name in point), None)
            one.facts.learn("cms_statistics", statistic, f"a point of {counted.name} has {', '.join(point)}")
            return
        hook.clock.sleep(one.choice.pause)
    raise PaiError(f"{namespace} {counted.name} has no point of service {service} after {_LOOKS} looks")


def _point(hook: CloudMonitorHook, namespace: str, metric: Metric, service: str) -> Json | None:
    now = hook.service_clock.now()
    period = min(metric.periods, default=60)
    dimensions = [{"serviceName": service}]
    points = hook.points(namespace, metric.name, dimensions, period=period, start=now - _SPAN, end=now)
    return next(points, None)
