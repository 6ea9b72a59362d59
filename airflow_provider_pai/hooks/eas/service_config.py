"""Values in a service JSON, by dotted keys as EAS's documents write them; and the version that a JSON is.

Nobody has written down in which order EAS lists a service's versions, which bear no number, nor whether a new number of
instances is a version: here both are found out from the JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_pai.costs import QUOTA
from airflow_provider_pai.remote import Json

# What EAS, or a call of its own, changes without anything being deployed.
_NOT_DEPLOYED = (
    "metadata.instance",
    "metadata.traffic_state",
    "networking.traffic_state",
    "metadata.rpc.mirror",
    "rpc.mirror",
    "metadata.autoscaler",
    "autoscaler",
    "labels",
    "token",
)

_MACHINES = ("metadata.resource", "metadata.quota_id", "cloud.computing.instances", "cloud.computing.instance_type")


def value_at(config: Mapping[str, Any], key: str) -> Any:
    """Return what stands under a dotted key; None where nothing does."""
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def with_value(config: Mapping[str, Any], key: str, value: Any) -> Json:
    """Return a copy with a value under a dotted key."""
    first, _, rest = key.partition(".")
    return {**config, first: with_value(config.get(first) or {}, rest, value) if rest else value}


def without(config: Mapping[str, Any], *keys: str) -> Json:
    """Return a copy with nothing under some dotted keys; what is left empty by that goes, too."""
    left = dict(config)
    for key in keys:
        first, _, rest = key.partition(".")
        inner = without(left[first], rest) if rest and isinstance(left.get(first), Mapping) else None
        if inner:
            left[first] = inner
        elif inner is not None or not rest:
            left.pop(first, None)
    return left


def runs_on(config: Mapping[str, Any]) -> bool:
    """Tell whether a service JSON says which machines the service runs on."""
    return any(value_at(config, key) for key in _MACHINES)


def service_usage(service: Json) -> Json:
    """Return what is billed of a service, as `costs.Usage` has it: its instances since it was created.

    Page "Elastic Algorithm Service (EAS) billing": from when instances are provisioned until the service is stopped.

    :param service: DescribeService's answer.
    """
    config = json.loads(service.get("ServiceConfig") or "{}")
    types = [each.get("type") for each in value_at(config, "cloud.computing.instances") or () if each.get("type")]
    group = value_at(config, "metadata.resource") or value_at(config, "metadata.quota_id")
    kind = f"{QUOTA}{group}" if group else next(iter(types), value_at(config, "cloud.computing.instance_type"))
    count = service.get("TotalInstance") or value_at(config, "metadata.instance") or 1
    return {"nodes": [{"type": kind or "unknown", "count": count}], "began": service.get("CreateTime") or ""}


def fingerprint(service_config: str | None) -> int:
    """Return a number that tells what is deployed, whatever its instances; 0: unknown.

    :param service_config: the JSON as DescribeService and ListServiceVersions return it.
    """
    if not service_config:
        return 0
    deployed = json.dumps(without(json.loads(service_config), *_NOT_DEPLOYED), sort_keys=True)
    return int(hashlib.sha256(deployed.encode()).hexdigest()[:8], 16)


def numbered(listed: list[Json], service: Json) -> dict[int, Json]:
    """Return the versions that ListServiceVersions lists by EAS's numbers of them.

    The times tell the order; where they are alike, the JSON of the version that serves does. The last has the highest
    number, since EAS may have cleared away the first.

    :param service: DescribeService's answer.
    """
    orders = [order for order in (listed[::-1], listed) if sorted(order, key=_built) == order]
    first = (service.get("LatestVersion") or len(listed)) - len(listed) + 1
    serving = fingerprint(service.get("ServiceConfig"))
    numberings = [dict(enumerate(order, first)) for order in orders or [sorted(listed, key=_built)]]
    for numbers in numberings:
        if fingerprint(numbers.get(service.get("CurrentVersion") or 0, {}).get("ServiceConfig")) == serving:
            return numbers
    return numberings[0]


def deployed_version(versions: Mapping[int, Json], current: int) -> int:
    """Return the version that brought in what a version serves: versions that only scale it come behind."""
    prints = {number: fingerprint(version.get("ServiceConfig")) for number, version in versions.items()}
    while prints.get(current) and prints.get(current - 1) == prints[current]:
        current -= 1
    return current


def _built(version: Json) -> str:
    return str(version.get("BuildTime"))


def takes_traffic(service: Json) -> bool:
    """Tell whether a service may answer its group's requests: a member that is not called `standalone` may.

    Taken for one that has none, what serves would be stopped, or replaced by itself. Two states are documented,
    `grouping` and `standalone`: alibabacloud_eas20210701.models.ReleaseServiceRequest.
    """
    state = service.get("TrafficState")
    return state == "grouping" or (bool(service.get("ServiceGroup")) and state != "standalone")
