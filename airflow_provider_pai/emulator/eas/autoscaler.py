"""Horizontal auto scaling: a service's number of instances follows its requests a second.

Follows "Horizontal auto scaling" (help: enable-or-disable-the-horizontal-auto-scaling-feature): the number wanted is
ceil(instances * value / threshold), the largest of all strategies counts, within 10 % of the threshold nothing is
done, and the stabilization windows are those of CreateServiceAutoScaler (0 s up, 300 s down). Only `qps` is acted
on; other metrics are kept and shown. A service is never scaled to 0.
"""

from __future__ import annotations

import asyncio
import math
import time

from airflow_provider_pai.emulator.eas.service import Service
from airflow_provider_pai.emulator.errors import ConflictError, InvalidParameterError, NotFoundError
from airflow_provider_pai.emulator.types import Json

TOLERANCE = 0.1
# Seconds of a minute of 60: how often is looked, over how many seconds requests are counted.
_PERIOD, _WINDOW = 5.0, 10.0
_STABLE = {"scaleUp": 0.0, "scaleDown": 300.0}


def create(service: Service, settings: Json) -> None:
    """Give a service an autoscaler."""
    if service.record.autoscaler is not None:
        raise ConflictError(f"Service {service.record.name} has an autoscaler.", "InvalidAutoScaler.AlreadyExists")
    _set(service, settings)


def update(service: Service, settings: Json) -> None:
    """Change the autoscaler."""
    _of(service)
    _set(service, settings)


def delete(service: Service) -> None:
    """Take the autoscaler away; the number of instances stays."""
    _of(service)
    service.record.autoscaler = None
    service.save()


def describe(service: Service) -> Json:
    """Return the fields of DescribeServiceAutoScaler."""
    settings = _of(service)
    return {
        "ServiceName": service.record.name,
        "MinReplica": settings["min"],
        "MaxReplica": settings["max"],
        "ScaleStrategies": settings["scaleStrategies"],
        "Behavior": settings.get("behavior") or {},
        "CurrentMetrics": [{"metricName": "qps", "service": service.record.name, "value": _qps(service)}],
    }


def start(service: Service) -> None:
    """Begin to scale a service that has an autoscaler."""
    if service.record.autoscaler is not None and (service.scaler is None or service.scaler.done()):
        service.scaler = service.account.spawn(_watch(service), f"eas-autoscaler-{service.record.name}")


async def _watch(service: Service) -> None:
    """Scale a service for as long as it has an autoscaler; one that gets another at once keeps this watch."""
    wanted: list[tuple[float, int]] = []
    while (settings := service.record.autoscaler) is not None and service.record.wanted != "Deleted":
        if service.record.status == "Running":
            now = time.monotonic()
            wanted.append((now, _wanted(service, settings)))
            wanted = [item for item in wanted if now - item[0] <= 2 * max(_stable(service, kind) for kind in _STABLE)]
            count = _stabilized(service, wanted or [(now, _wanted(service, settings))], now)
            if count != service.spec.instances:
                service.scale(count)
        await asyncio.sleep(_PERIOD * _second(service))


def _set(service: Service, settings: Json) -> None:
    least, most, strategies = (settings.get(key) for key in ("min", "max", "scaleStrategies"))
    if not isinstance(least, int) or not isinstance(most, int) or not 0 <= least < most:
        raise InvalidParameterError(f"max must be more than min, and both whole numbers, not {most!r} and {least!r}.")
    if not strategies or not all(item.get("metricName") and item.get("threshold") for item in strategies):
        raise InvalidParameterError(f"scaleStrategies must have metricName and threshold, not {strategies!r}.")
    service.record.autoscaler = settings
    service.save()
    start(service)


def _of(service: Service) -> Json:
    if service.record.autoscaler is None:
        raise NotFoundError(f"Service {service.record.name} has no autoscaler.", "InvalidAutoScaler.NotFound")
    return service.record.autoscaler


def _wanted(service: Service, settings: Json) -> int:
    """Return the number of instances that the requests of the last seconds ask for, within the limits."""
    count = service.spec.instances
    thresholds = [item["threshold"] for item in settings["scaleStrategies"] if item["metricName"] == "qps"]
    ratios = [_qps(service) / threshold for threshold in thresholds]
    asked = [count if abs(ratio - 1) <= TOLERANCE else math.ceil(count * ratio) for ratio in ratios]
    wanted: int = min(max(max(asked, default=count), settings["min"], 1), settings["max"])
    return wanted


def _stabilized(service: Service, wanted: list[tuple[float, int]], now: float) -> int:
    """Return the number that every look within the window agrees to: none more to rise, none less to fall."""
    count = service.spec.instances
    up, down = (
        [number for moment, number in wanted if now - moment <= _stable(service, kind)]
        for kind in ("scaleUp", "scaleDown")
    )
    if min(up) > count:
        return min(up)
    if max(down) < count and now - wanted[0][0] >= _stable(service, "scaleDown"):
        return max(down)
    return count


def _stable(service: Service, kind: str) -> float:
    behavior = ((service.record.autoscaler or {}).get("behavior") or {}).get(kind) or {}
    return float(behavior.get("stabilizationWindowSeconds", _STABLE[kind])) * _second(service)


def _qps(service: Service) -> float:
    """Return the requests a second of one instance."""
    seconds = max(1, round(_WINDOW * _second(service)))
    requests = service.series.window(int(service.series.now()) - seconds, seconds).requests
    return requests / seconds / max(1, service.spec.instances)


def _second(service: Service) -> float:
    return service.account.settings.minute / 60
