"""Rules for a CreateJob request: required fields, limits and exclusions, checked before a job exists.

That each field has the type which the SDK's model says was checked before.

The rules follow the comments of the SDK's CreateJobRequest and JobSpec and the page of CreateJob.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from airflow_provider_pai.emulator.ecs import check_ecs_spec, is_lingjun, is_spot
from airflow_provider_pai.emulator.errors import InvalidParameterError
from airflow_provider_pai.emulator.runtime.mounts import check_mount_path, parse_oss_uri
from airflow_provider_pai.emulator.types import Json

MAX_BYTES = 65_536
"""Of all parameters, "including system-generated parameters" (page CreateJob)."""
SYSTEM_BYTES = 2_048
"""What those come to: how much it is nobody tells."""
MAX_PODS = 10_000
"""Of one role: more than any machine bears; the API's own limit is not published."""
REQUIRED = ("DisplayName", "JobType", "JobSpecs", "UserCommand")
RESTART_POLICIES = ("Always", "Never", "OnFailure", "ExitCode")
RESERVED_POLICIES = ("Always", "OnFailure", "OnSucceed")

_MASTER_WORKER = r"Master|Worker"
ROLES = {
    "TFJob": r"Chief|PS|Worker|Evaluator|GraphLearn",
    "PyTorchJob": _MASTER_WORKER,
    "XGBoostJob": _MASTER_WORKER,
    "OneFlowJob": _MASTER_WORKER,
    "ElasticBatchJob": _MASTER_WORKER,
    # The SDK names no roles for these two and MPIJob; Launcher is what MPIJob has in Kubeflow.
    "MPIJob": r"Launcher|Master|Worker",
    "SlurmJob": _MASTER_WORKER,
    "DataJuicerJob": r"Head|Master|Worker",
    "RayJob": r"Head|Worker(-\w+)?",
}
SPOT_TYPES = ("PyTorchJob",)
LINGJUN_SPOT_TYPES = ("PyTorchJob", "MPIJob")
"""Job types that run on preemptible resources (page "Use a preemptible job", Limits)."""


def check_create(request: Json) -> None:
    """Refuse a CreateJob request that the API would refuse.

    :raises InvalidParameterError: naming the field, the value and what is allowed.
    """
    for rule in RULES:
        rule(request)


def check_choice(field: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Refuse a value that is given and is not one of a few."""
    if value is not None and value not in allowed:
        raise InvalidParameterError(f"{field} must be one of {', '.join(allowed)}, not {value!r}.")


def check_number(field: str, value: int | None, low: int, high: int | None = None) -> None:
    """Refuse a value that is given and is not a whole number within limits."""
    if value is not None and (value < low or (high and value > high)):
        span = f"from {low} to {high}" if high else f"of at least {low}"
        raise InvalidParameterError(f"{field} must be a whole number {span}, not {value!r}.")


def _size(request: Json) -> None:
    size = len(json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()) + SYSTEM_BYTES
    if size > MAX_BYTES:
        text = f"The parameters have {size} bytes, those of the system among them; {MAX_BYTES} are allowed."
        raise InvalidParameterError(text)


def _required(request: Json) -> None:
    for field in REQUIRED:
        if not request.get(field):
            raise InvalidParameterError(f"{field} is required.")


def _display_name(request: Json) -> None:
    name = request["DisplayName"]
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,256}", name):
        raise InvalidParameterError(f"DisplayName must have 1 to 256 letters, digits, '_', '.' and '-', not {name!r}.")


def _scalars(request: Json) -> None:
    check_choice("JobType", request["JobType"], tuple(ROLES))
    check_choice("SuccessPolicy", request.get("SuccessPolicy"), ("ChiefWorker", "AllWorkers"))
    check_choice("Accessibility", request.get("Accessibility"), ("PUBLIC", "PRIVATE"))
    check_number("Priority", request.get("Priority"), 1, 9)
    check_number("JobMaxRunningTimeMinutes", request.get("JobMaxRunningTimeMinutes"), 1)
    settings = request.get("Settings") or {}
    check_number("Settings.TerminationGracePeriodSeconds", settings.get("TerminationGracePeriodSeconds"), 0)
    check_number("Settings.JobReservedMinutes", settings.get("JobReservedMinutes"), 0)
    check_choice("Settings.JobReservedPolicy", settings.get("JobReservedPolicy"), RESERVED_POLICIES)
    if request.get("SuccessPolicy") and request["JobType"] != "TFJob":
        raise InvalidParameterError("SuccessPolicy is for TFJob only.")


def _job_specs(request: Json) -> None:
    types: set[str] = set()
    for index, spec in enumerate(request["JobSpecs"]):
        here = f"JobSpecs[{index}]"
        kind = spec.get("Type") or ""
        if not re.fullmatch(ROLES[request["JobType"]], kind):
            allowed = ROLES[request["JobType"]].replace("|", ", ")
            raise InvalidParameterError(f"{here}.Type of a {request['JobType']} is one of {allowed}, not {kind!r}.")
        if kind in types:
            raise InvalidParameterError(f"{here}.Type {kind} is there twice.")
        types.add(kind)
        _job_spec(here, spec, request.get("ResourceId"))
    for single in ("Master", "Chief", "Head", "Launcher"):
        if any(spec["Type"] == single and spec["PodCount"] != 1 for spec in request["JobSpecs"]):
            raise InvalidParameterError(f"PodCount of {single} must be 1.")
    if sum(bool(spec.get("IsChief")) for spec in request["JobSpecs"]) > 1:
        raise InvalidParameterError("Only one of the JobSpecs may have IsChief.")


def _job_spec(here: str, spec: Json, resource_id: str | None) -> None:
    if "PodCount" not in spec:
        raise InvalidParameterError(f"{here}.PodCount is required.")
    check_number(f"{here}.PodCount", spec["PodCount"], 1, MAX_PODS)
    if not spec.get("Image"):
        raise InvalidParameterError(f"{here}.Image is required.")
    check_choice(f"{here}.RestartPolicy", spec.get("RestartPolicy"), RESTART_POLICIES)
    _spot_spec(f"{here}.SpotSpec", spec.get("SpotSpec") or {})
    if bool(spec.get("EcsSpec")) == bool(spec.get("ResourceConfig")):
        raise InvalidParameterError(f"{here} must have either EcsSpec or ResourceConfig.")
    if spec.get("EcsSpec"):
        check_ecs_spec(f"{here}.EcsSpec", spec["EcsSpec"])
    elif not resource_id:
        raise InvalidParameterError(f"{here}.ResourceConfig needs ResourceId, the id of a resource quota.")


def _spot_spec(here: str, spot: Json) -> None:
    check_choice(f"{here}.SpotStrategy", spot.get("SpotStrategy"), ("SpotWithPriceLimit",))
    limits = [name for name in ("SpotDiscountLimit", "SpotPriceLimit") if spot.get(name) is not None]
    if len(limits) > 1:
        raise InvalidParameterError(f"{here} must have only one of SpotDiscountLimit and SpotPriceLimit.")


def _spot(request: Json) -> None:
    """Refuse spot for a job type that has none, and in a quota.

    A job's resources are a quota's, preemptible ones or public ones (ListJobsRequest.payment_type).
    """
    if not is_spot(request["JobSpecs"]):
        return
    allowed = LINGJUN_SPOT_TYPES if is_lingjun(request["JobSpecs"]) else SPOT_TYPES
    if request["JobType"] not in allowed:
        raise InvalidParameterError(f"SpotSpec is for {', '.join(allowed)} there, not for {request['JobType']}.")
    if request.get("ResourceId"):
        raise InvalidParameterError("SpotSpec is for preemptible resources; ResourceId names those of a quota.")


def _user_vpc(request: Json) -> None:
    vpc = request.get("UserVpc") or {}
    check_choice("UserVpc.DefaultRoute", vpc.get("DefaultRoute"), ("eth0", "eth1"))
    if vpc.get("SwitchId") and not vpc.get("ExtendedCIDRs"):
        raise InvalidParameterError("UserVpc.ExtendedCIDRs is required when SwitchId is given.")


def _data_sources(request: Json) -> None:
    for index, source in enumerate(request.get("DataSources") or []):
        here = f"DataSources[{index}]"
        if bool(source.get("DataSourceId")) == bool(source.get("Uri")):
            raise InvalidParameterError(f"{here} must have either DataSourceId or Uri.")
        if source.get("DataSourceId"):
            raise InvalidParameterError(f"{here}.DataSourceId {source['DataSourceId']!r} does not exist; use Uri.")
        parse_oss_uri(source["Uri"], f"{here}.Uri")
        check_mount_path(source.get("MountPath") or "", f"{here}.MountPath")
        check_choice(f"{here}.MountAccess", source.get("MountAccess"), ("RO", "RW"))


def _code_source(request: Json) -> None:
    source = request.get("CodeSource") or {}
    if source and not source.get("CodeSourceId"):
        raise InvalidParameterError("CodeSource.CodeSourceId is required.")
    if source.get("MountPath"):
        check_mount_path(source["MountPath"], "CodeSource.MountPath")


RULES: tuple[Callable[[Json], None], ...] = (
    _size,
    _required,
    _display_name,
    _scalars,
    _job_specs,
    _spot,
    _user_vpc,
    _data_sources,
    _code_source,
)
