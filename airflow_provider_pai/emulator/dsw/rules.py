"""Rules for a CreateInstance request, after the comments of the SDK's CreateInstanceRequest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from airflow_provider_pai.emulator.errors import InvalidParameterError
from airflow_provider_pai.emulator.runtime.mounts import check_mount_path, check_mounts, parse_oss_uri
from airflow_provider_pai.emulator.types import Json
from airflow_provider_pai.emulator.world import World

EXCLUSIVE = (("EcsSpec", "ResourceId"), ("ImageId", "ImageUrl"))


def check_instance(request: Json, world: World) -> None:
    """Refuse an instance that the API would refuse.

    :raises InvalidParameterError: naming the field, the value and what is allowed.
    """
    name = request.get("InstanceName") or ""
    if not re.fullmatch(r"[A-Za-z0-9_]{1,27}", name):
        raise InvalidParameterError(f"InstanceName must have 1 to 27 letters, digits and '_', not {name!r}.")
    for one, other in EXCLUSIVE:
        if bool(request.get(one)) == bool(request.get(other)):
            raise InvalidParameterError(f"Either {one} or {other} must be given.")
    if request.get("ResourceId") and not request.get("RequestedResource"):
        raise InvalidParameterError("ResourceId needs RequestedResource.")
    priority = request.get("Priority")
    if priority is not None and priority not in range(1, 10):
        raise InvalidParameterError(f"Priority must be from 1 to 9, not {priority!r}.")
    _datasets(request)
    _environment(request)
    _on_start(request, world.dsw_on_start_size)
    check_labels(request.get("Labels") or [])
    check_labels(request.get("Tag") or [], "Tag")


def check_labels(labels: Sequence[Json], field: str = "Labels") -> None:
    """Refuse labels without a key or a value, or with a key twice."""
    keys = [label.get("Key") for label in labels]
    if not all(keys) or any(label.get("Value") is None for label in labels):
        raise InvalidParameterError(f"{field} must have a Key and a Value each.")
    if len(set(keys)) < len(keys):
        raise InvalidParameterError(f"{field} must not have a key twice.")


def due_time(request: Json, now: datetime) -> datetime:
    """Return when the timer of a CreateInstanceShutdownTimer request acts.

    :raises InvalidParameterError: it names no time, or one that is none.
    """
    span, due = request.get("RemainingTimeInMs"), request.get("DueTime")
    try:
        return now + timedelta(milliseconds=span) if span else datetime.fromisoformat(due or "").astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        allowed = "DueTime must be a time as 2021-01-12T14:36:01Z, or RemainingTimeInMs a number"
        raise InvalidParameterError(f"{allowed}, not {due!r} and {span!r}.") from None


def check_culler(request: Json) -> Json:
    """Return the rule of a CreateIdleInstanceCuller request.

    :raises InvalidParameterError: a percentage is none from 1 to 100, or the time is no number of minutes.
    """
    for name in ("CpuPercentThreshold", "GpuPercentThreshold"):
        if (percent := request.get(name)) is not None and percent not in range(1, 101):
            raise InvalidParameterError(f"{name} must be from 1 to 100, not {percent!r}.")
    minutes = request.get("MaxIdleTimeInMinutes")
    if not isinstance(minutes, int) or minutes < 1:
        raise InvalidParameterError(f"MaxIdleTimeInMinutes must be a number of minutes, not {minutes!r}.")
    return dict(request)


def _datasets(request: Json) -> None:
    datasets = request.get("Datasets") or []
    for index, dataset in enumerate(datasets):
        here = f"Datasets[{index}]"
        if bool(dataset.get("DatasetId")) == bool(dataset.get("Uri")):
            raise InvalidParameterError(f"{here} must have either DatasetId or Uri.")
        if dataset.get("DatasetId"):
            raise InvalidParameterError(f"{here}.DatasetId {dataset['DatasetId']!r} does not exist; use Uri.")
        parse_oss_uri(dataset["Uri"], f"{here}.Uri")
        check_mount_path(dataset.get("MountPath") or "", f"{here}.MountPath")
        if dataset.get("MountAccess") not in (None, "RO", "RW"):
            raise InvalidParameterError(f"{here}.MountAccess must be RO or RW, not {dataset['MountAccess']!r}.")
        if dataset.get("OptionType") and dataset.get("Options"):
            raise InvalidParameterError(f"{here} must not have both OptionType and Options.")
    check_mounts(dataset["MountPath"] for dataset in datasets)


def _environment(request: Json) -> None:
    variables = request.get("EnvironmentVariables") or {}
    if not isinstance(variables, dict) or not all(isinstance(value, str) for value in variables.values()):
        raise InvalidParameterError(f"EnvironmentVariables must map texts to texts, not {variables!r}.")


def _on_start(request: Json, most: int) -> None:
    content = ((request.get("UserCommand") or {}).get("OnStart") or {}).get("Content") or ""
    if most and len(content) > most:
        raise InvalidParameterError(f"UserCommand.OnStart.Content may have {most} characters, not {len(content)}.")
