"""Autoscaler settings of a service, checked before they are sent.

Follows CreateServiceAutoScaler (help.aliyun.com/zh/pai/developer-reference/api-eas-2021-07-01-createserviceautoscaler).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import known, mapping, number, whole_number
from airflow_provider_pai.remote import Json

_FIELDS = ("min", "max", "scaleStrategies", "behavior")
_STRATEGY = ("metricName", "threshold", "service")
_BEHAVIOR = {
    "scaleUp": ("stabilizationWindowSeconds",),
    "scaleDown": ("stabilizationWindowSeconds",),
    "onZero": ("scaleDownGracePeriodSeconds", "scaleUpActivationReplicas"),
}


def check_autoscaler(autoscaler: Mapping[str, Any] | str) -> Json:
    """Return settings with their numbers read.

    :raises PaiConfigError: naming the field, its value and what is allowed; the SDK would drop what it does not know.
    """
    given = mapping("autoscaler", autoscaler)
    _known("autoscaler", given, _FIELDS)
    least, most = (whole_number(f"autoscaler[{name!r}]", given.get(name)) for name in ("min", "max"))
    if most <= least:
        raise PaiConfigError("autoscaler['max']", most, f"more than min, {least}")
    strategies = given.get("scaleStrategies")
    if not isinstance(strategies, list | tuple) or not strategies:
        raise PaiConfigError("autoscaler['scaleStrategies']", strategies, "at least one metricName with its threshold")
    return {
        "min": least,
        "max": most,
        "scaleStrategies": [_strategy(index, item) for index, item in enumerate(strategies)],
        **({"behavior": _behavior(given["behavior"])} if given.get("behavior") else {}),
    }


def _strategy(index: int, given: Any) -> Json:
    place = f"autoscaler['scaleStrategies'][{index}]"
    _known(place, given, _STRATEGY)
    if not given.get("metricName"):
        raise PaiConfigError(
            f"{place}['metricName']", given.get("metricName"), "qps, cpu, gpu[util] or one of your own"
        )
    return {**given, "threshold": number(f"{place}['threshold']", given.get("threshold"), above=0)}


def _behavior(given: Any) -> Json:
    _known("autoscaler['behavior']", given, tuple(_BEHAVIOR))
    for name, part in given.items():
        _known(f"autoscaler['behavior'][{name!r}]", part, _BEHAVIOR[name])
    return {
        name: {
            field: whole_number(f"autoscaler['behavior'][{name!r}][{field!r}]", value) for field, value in part.items()
        }
        for name, part in given.items()
    }


def _known(place: str, given: Any, names: tuple[str, ...]) -> None:
    if not isinstance(given, Mapping):
        raise PaiConfigError(place, given, f"an object with {', '.join(names)}")
    known(place, given, names, "fields:")
