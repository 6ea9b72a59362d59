"""Instance types: the items of ListEcsSpecs, and the resources that a job asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from airflow_provider_pai.emulator.errors import InvalidParameterError
from airflow_provider_pai.emulator.types import Json


@dataclass(frozen=True)
class EcsSpec:
    """One instance type; memory in GiB."""

    instance_type: str
    cpu: int
    memory: int
    gpu: int = 0
    gpu_type: str = ""
    gpu_memory: int = 0

    @property
    def price(self) -> float:
        """Return CNY for an hour; made up."""
        return round(0.25 * self.cpu + 8.0 * self.gpu, 2)

    @property
    def accelerator(self) -> str:
        """Return CPU or GPU."""
        return "GPU" if self.gpu else "CPU"


ECS_SPECS = (
    EcsSpec("ecs.g6.large", 2, 8),
    EcsSpec("ecs.g6.xlarge", 4, 16),
    EcsSpec("ecs.g6.2xlarge", 8, 32),
    EcsSpec("ecs.g6.4xlarge", 16, 64),
    EcsSpec("ecs.g6.8xlarge", 32, 128),
    EcsSpec("ecs.c6.large", 2, 4),
    EcsSpec("ecs.c6.xlarge", 4, 8),
    EcsSpec("ecs.c6.2xlarge", 8, 16),
    EcsSpec("ecs.r6.large", 2, 16),
    EcsSpec("ecs.gn6i-c4g1.xlarge", 4, 15, 1, "T4", 16),
    EcsSpec("ecs.gn6i-c24g1.6xlarge", 24, 93, 1, "T4", 16),
    EcsSpec("ecs.gn6v-c8g1.2xlarge", 8, 32, 1, "V100", 16),
    EcsSpec("ecs.gn6v-c8g1.8xlarge", 32, 128, 4, "V100", 16),
    EcsSpec("ecs.gn7i-c8g1.2xlarge", 8, 30, 1, "A10", 24),
    EcsSpec("ecs.gn7i-c32g1.8xlarge", 32, 188, 1, "A10", 24),
    EcsSpec("ecs.gn7-c12g1.12xlarge", 48, 380, 4, "A100", 40),
)
_BY_TYPE = {spec.instance_type: spec for spec in ECS_SPECS}


def check_ecs_spec(field: str, instance_type: str) -> None:
    """Refuse what is no instance type; the table above is small, so others of the right form pass.

    :raises InvalidParameterError: naming the field and the value.
    """
    if not re.fullmatch(r"(ecs|ml)\.[a-z0-9-]+\.[a-z0-9-]+", instance_type):
        raise InvalidParameterError(f"{field} must be an instance type such as ecs.g6.large, not {instance_type!r}.")


def filter_specs(query: dict[str, str]) -> list[EcsSpec]:
    """Return the instance types that a ListEcsSpecs query asks for, in its order."""
    types = [part for part in (query.get("InstanceTypes") or "").split(",") if part]
    specs = [
        spec
        for spec in ECS_SPECS
        if (not types or spec.instance_type in types)
        and query.get("AcceleratorType") in (None, "", spec.accelerator)
        and query.get("ResourceType") in (None, "", "ECS")
    ]
    keys = {"CPU": lambda spec: spec.cpu, "GPU": lambda spec: spec.gpu, "Memory": lambda spec: spec.memory}
    if key := keys.get(query.get("SortBy") or ""):
        specs.sort(key=key, reverse=(query.get("Order") or "desc").lower() == "desc")
    return specs


def describe_spec(spec: EcsSpec) -> Json:
    """Return the item of DLC's ListEcsSpecs."""
    return {
        "AcceleratorType": spec.accelerator,
        "Cpu": spec.cpu,
        "Gpu": spec.gpu,
        "GpuType": spec.gpu_type,
        "GpuMemory": spec.gpu_memory,
        "InstanceType": spec.instance_type,
        "IsAvailable": True,
        "Memory": spec.memory,
        "PaymentTypes": ["PostPaid"],
        "ResourceType": "ECS",
    }


def gpus_of(job_spec: Json) -> int:
    """Return the number of GPUs of one pod."""
    return int(_resources(job_spec)[1])


def demand(job_specs: Iterable[Json]) -> dict[str, float]:
    """Return the sums that a job asks for: `pods`, `cpu`, `gpu`, `memory` (GiB)."""
    sums = {"pods": 0.0, "cpu": 0.0, "gpu": 0.0, "memory": 0.0}
    for job_spec in job_specs:
        for name, amount in zip(sums, (1.0, *_resources(job_spec)), strict=True):
            sums[name] += amount * job_spec["PodCount"]
    return sums


def requested(job_specs: Iterable[Json]) -> Json:
    """Return the sums that a job asks for, as GetJob shows them."""
    sums = demand(job_specs)
    return {"RequestCPU": int(sums["cpu"]), "RequestGPU": sums["gpu"], "RequestMemory": sums["memory"]}


def nodes(request: Json) -> list[Json]:
    """Return the nodes that a CreateJob request asks for, as they are billed; those of a quota are in its price."""
    quota = request.get("ResourceId")
    return [
        {"Type": f"quota/{quota}" if quota else spec["EcsSpec"], "Count": spec["PodCount"], "Spot": is_spot([spec])}
        for spec in request["JobSpecs"]
    ]


def is_spot(job_specs: Iterable[Json]) -> bool:
    """Tell whether a job bids for spot instances."""
    return any(spec.get("UseSpotInstance") or (spec.get("SpotSpec") or {}).get("SpotStrategy") for spec in job_specs)


def is_lingjun(job_specs: Iterable[Json]) -> bool:
    """Tell whether a job runs on Lingjun, whose public instance types begin with `ml.`."""
    return any((spec.get("EcsSpec") or "").startswith("ml.") for spec in job_specs)


def _resources(job_spec: Json) -> tuple[float, float, float]:
    config = job_spec.get("ResourceConfig")
    if config:
        return _number(config.get("CPU")), _number(config.get("GPU")), _number(config.get("Memory"))
    spec = _BY_TYPE.get(job_spec.get("EcsSpec", ""), EcsSpec("", 0, 0))
    return spec.cpu, spec.gpu, spec.memory


def _number(text: str | None) -> float:
    """Read the number of `4` or `16Gi`."""
    match = re.match(r"[0-9]{1,18}(\.[0-9]{1,18})?", text or "")
    return float(match.group()) if match else 0.0
