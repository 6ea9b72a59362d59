"""Traffic mirroring: copies of a share of a service's requests, whose answers are dropped.

CreateServiceMirror and its kin. That answers are dropped, that every target gets every copy, that a second
CreateServiceMirror is refused and that a missing mirror is not found are UNCONFIRMED.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_pai.emulator.eas.service import Service
from airflow_provider_pai.emulator.errors import ConflictError, InvalidParameterError, NotFoundError
from airflow_provider_pai.emulator.types import Json


def create(service: Service, target: Any, ratio: Any, known: Any) -> None:
    """Begin to mirror.

    :param known: the names of the services that there are.
    """
    if service.record.mirror is not None:
        raise ConflictError(f"Service {service.record.name} is mirrored already.", "InvalidMirror.AlreadyExists")
    _set(service, target, ratio, known)


def update(service: Service, target: Any, ratio: Any, known: Any) -> None:
    """Change targets and ratio."""
    describe(service)
    _set(service, target, ratio, known)


def describe(service: Service) -> Json:
    """Return the fields of DescribeServiceMirror: texts, as its page shows them."""
    mirror = service.record.mirror
    if mirror is None:
        raise NotFoundError(f"Service {service.record.name} is not mirrored.", "InvalidMirror.NotFound")
    target = ",".join(mirror["target"])
    return {"ServiceName": service.record.name, "Target": target, "Ratio": str(mirror["ratio"])}


def delete(service: Service) -> None:
    """End the mirroring."""
    describe(service)
    service.record.mirror = None
    service.save()


def next_targets(service: Service) -> list[str]:
    """Return who gets a copy of the request that comes now: of a hundred requests exactly `ratio` are copied."""
    mirror = service.record.mirror
    if mirror is None:
        return []
    service.mirror_credit += mirror["ratio"]
    if service.mirror_credit < 100:
        return []
    service.mirror_credit -= 100
    return list(mirror["target"])


def _set(service: Service, target: Any, ratio: Any, known: Any) -> None:
    if not isinstance(ratio, int) or isinstance(ratio, bool) or not 0 <= ratio <= 100:
        raise InvalidParameterError(f"Ratio must be a whole number from 0 to 100, not {ratio!r}.")
    if not isinstance(target, list) or not target:
        raise InvalidParameterError(f"Target must be a list of services, not {target!r}.")
    for name in target:
        if name not in known or name == service.record.name:
            raise InvalidParameterError(f"Target {name!r} is not another service.")
    service.record.mirror = {"target": target, "ratio": ratio}
    service.mirror_credit = 0
    service.save()
