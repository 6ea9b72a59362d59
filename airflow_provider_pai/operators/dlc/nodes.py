"""Nodes of a DLC job: size, spot limits and network, from arguments to the API's fields."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import flag, known, number, one_of, optional, required, texts, whole_number
from airflow_provider_pai.remote import Json

log = logging.getLogger(__name__)

RESOURCE_NAMES = ("CPU", "GPU", "GPUType", "Memory", "SharedMemory")

_SPOT_LIMITS = {"discount_limit": "SpotDiscountLimit", "price_limit": "SpotPriceLimit"}
_LAST_ON_DEMAND = "last_try_on_demand"
# Job types that run on preemptible resources: general-purpose and Lingjun's (page "Use a preemptible job", Limits).
_SPOT_TYPES = ("PyTorchJob",)
_LINGJUN_SPOT_TYPES = ("PyTorchJob", "MPIJob")

_VPC_NAMES = {
    "vpc_id": "VpcId",
    "switch_id": "SwitchId",
    "security_group_id": "SecurityGroupId",
    "extended_cidrs": "ExtendedCIDRs",
    "default_route": "DefaultRoute",
}
_VPC_IDS = ("vpc_id", "switch_id", "security_group_id")
_VPC_REQUIRED = ("vpc_id", "security_group_id")
_ROUTES = ("eth0", "eth1")


def check_size(
    ecs_spec: str | None, config: Mapping[str, str] | None, gpu_type: str | None, gpus: Any, resource_id: str | None
) -> None:
    """Refuse a node of no size, of two, or of one that its pool does not have.

    :raises PaiConfigError: naming the arguments.
    """
    given = {"ecs_spec": ecs_spec, "resource_config": config, "gpu_type": gpu_type}
    if sum(map(bool, given.values())) != 1:
        raise PaiConfigError(", ".join(given), given, "exactly one of the three")
    if gpus is not None and not gpu_type:
        raise PaiConfigError("gpus", gpus, "it goes with gpu_type")
    if gpu_type:
        whole_number("gpus", 1 if gpus is None else gpus, least=1)
    if config:
        if not resource_id:
            raise PaiConfigError("resource_id", resource_id, "resource_config needs the id of a quota")
        known("resource_config", config, RESOURCE_NAMES)


def spec_with_gpus(specs: Iterable[Json], gpu_type: str, gpus: int) -> str:
    """Return the smallest instance type, by cores and memory, that has exactly these GPUs.

    :param specs: ListEcsSpecs' items.
    :raises PaiConfigError: none has; naming GPU types and counts that can be had.
    """
    with_gpus = [spec for spec in specs if spec.get("Gpu") and spec.get("IsAvailable") is not False]
    fitting = [spec for spec in with_gpus if plain_gpu(spec["GpuType"]) == plain_gpu(gpu_type) and spec["Gpu"] == gpus]
    if not fitting:
        allowed = sorted({(spec["GpuType"], spec["Gpu"]) for spec in with_gpus})
        listed = ", ".join(f"{count} x {kind}" for kind, count in allowed) or "none"
        raise PaiConfigError("gpu_type", f"{gpus} x {gpu_type}", f"the public pool has {listed}")
    smallest = min(fitting, key=lambda spec: (spec["Cpu"], spec["Memory"], spec["InstanceType"]))
    return str(smallest["InstanceType"])


def spot_spec(spot: Mapping[str, Any] | None, last_try: bool = False) -> Json:
    """Return the part of a JobSpec that asks for spot instances.

    :param last_try: Airflow starts no other after it.
    :raises PaiConfigError: not exactly one limit, or one that is out of range.
    """
    if not spot:
        return {}
    known("spot", spot, (*_SPOT_LIMITS, _LAST_ON_DEMAND))
    limits = {name: value for name, value in spot.items() if name in _SPOT_LIMITS}
    if len(limits) != 1:
        raise PaiConfigError("spot", dict(spot), f"exactly one of {', '.join(_SPOT_LIMITS)}")
    ((name, value),) = limits.items()
    limit = number(f"spot[{name!r}]", value, above=0, most=1 if name == "discount_limit" else None)
    if last_try and _is_last_on_demand(spot):
        log.info("The last try: on demand, not on spot instances")
        return {}
    return {"SpotSpec": {"SpotStrategy": "SpotWithPriceLimit", _SPOT_LIMITS[name]: limit}}


def check_spot(
    spot: Mapping[str, Any] | None, job_type: str, ecs_spec: str | None, resource_id: str | None, retries: int | None
) -> None:
    """Refuse spot instances where PAI has none, and a last try on demand where it is the only one.

    :raises PaiConfigError: naming the field.
    """
    if not spot_spec(spot):
        return
    allowed = _LINGJUN_SPOT_TYPES if (ecs_spec or "").startswith("ml.") else _SPOT_TYPES
    if job_type not in allowed:
        named = f"a {' or '.join(_SPOT_TYPES)}, on instance types ml.… for a {' or '.join(_LINGJUN_SPOT_TYPES)}"
        raise PaiConfigError("spot", dict(spot or {}), f"PAI has it for {named}, not for a {job_type}")
    if resource_id:
        raise PaiConfigError("resource_id", resource_id, "spot instances are of no quota: leave out one of the two")
    if _is_last_on_demand(spot or {}) and not retries:
        field = f"spot[{_LAST_ON_DEMAND!r}]"
        raise PaiConfigError(field, True, "it goes with retries of the task: the only try would be on demand")


def _is_last_on_demand(spot: Mapping[str, Any]) -> bool:
    return flag(f"spot[{_LAST_ON_DEMAND!r}]", spot.get(_LAST_ON_DEMAND, False))


def user_vpc(vpc: Mapping[str, Any] | None) -> Json | None:
    """Return UserVpc.

    :raises PaiConfigError: an unknown or missing name, a switch without the CIDR blocks, or what is no such block.
    """
    if not vpc:
        return None
    known("vpc", vpc, _VPC_NAMES)
    ids = {name: optional(f"vpc[{name!r}]", vpc.get(name), "an id") for name in _VPC_IDS}
    for name in _VPC_REQUIRED:
        required(f"vpc[{name!r}]", ids[name], "an id")
    blocks = texts("vpc['extended_cidrs']", vpc.get("extended_cidrs")) or ()
    if ids["switch_id"] and not blocks:
        raise PaiConfigError("vpc['extended_cidrs']", list(blocks), "with switch_id, all CIDR blocks of the VPC")
    if not all(map(_is_network, blocks)):
        raise PaiConfigError("vpc['extended_cidrs']", list(blocks), "a list of CIDR blocks, e.g. ['192.168.0.0/16']")
    if vpc.get("default_route") is not None:
        one_of("vpc['default_route']", vpc["default_route"], _ROUTES)
    read = {**vpc, **ids, "extended_cidrs": list(blocks)}
    return {_VPC_NAMES[name]: read[name] for name in _VPC_NAMES if read.get(name)}


def plain_gpu(gpu_type: str) -> str:
    """Return a GPU type as people and lists both spell it: `NVIDIA v100` and `V100` are one."""
    return re.sub(r"[\s_-]", "", gpu_type.casefold().removeprefix("nvidia"))


def _is_network(text: Any) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True
