"""Operators on an EAS service that exists: start, stop, delete, lock, scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_pai.exceptions import PaiConfigError, PaiConflictError
from airflow_provider_pai.hooks.eas.goals import Until
from airflow_provider_pai.inputs import flag, one_of, required, whole_number
from airflow_provider_pai.operators.eas.base import EasOperator, WaitingOperator
from airflow_provider_pai.operators.eas.scaling import check_autoscaler
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.states import Verdict

LOCKS = ("all", "dangerous", "none")


class _ServiceOperator(WaitingOperator):
    """Base of the operators on one service.

    :param service_name: the service. (templated)
    :returns: `{"service", "status", "instances"}`.
    """

    came = "Service {service} is {status} with {instances} instances"

    template_fields: Sequence[str] = ("service_name",)

    def __init__(self, *, service_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.service_name = service_name

    def finish(self, context: Any, service: RemoteJob) -> Json:
        """Return the service's facts."""
        return {"service": service.job_id, "status": service.status, "instances": service.facts.get("running", 0)}

    def named(self) -> str:
        """Return the service's name.

        :raises PaiConfigError: there is none.
        """
        self.service_name = required("service_name", self.service_name, "the name of an EAS service")
        return self.service_name


class EasStartServiceOperator(_ServiceOperator):
    """Start a stopped service and wait until every instance is ready; one that runs is no error. API: StartService."""

    about = "Start service {service_name}"

    def change(self, context: Any) -> str:
        """Start the service."""
        self.hook.start(self.named(), poll_interval=self.poll_interval)
        return self.service_name


class EasStopServiceOperator(_ServiceOperator):
    """Stop a service and wait until it has stopped; one that rests is no error. API: StopService.

    Requests in flight end first. A service with a safety lock is left alone: `PaiConflictError`.
    """

    about = "Stop service {service_name}"

    awaited = "stopped"

    def change(self, context: Any) -> str:
        """Stop the service."""
        self.hook.stop(self.named())
        return self.service_name


class EasDeleteServiceOperator(_ServiceOperator):
    """Delete a service and wait until it is gone; one that is gone is no error. API: DeleteService.

    With its last service a group goes too. A service with a safety lock is left alone: `PaiConflictError`.
    """

    about = "Delete service {service_name}"

    awaited = "deleted"

    def change(self, context: Any) -> str:
        """Delete the service."""
        self.hook.delete(self.named())
        return self.service_name


class EasSetSafetyLockOperator(EasOperator):
    """Lock a service against mistakes, or lift the lock. API: UpdateServiceSafetyLock.

    :param service_name: the service. (templated)
    :param lock: `dangerous` forbids stop and delete, `all` every change, `none` nothing. (templated)
    """

    about = "Set the safety lock of service {service_name}: {lock}"
    came = "Service {service_name} has the lock {lock}"

    template_fields: Sequence[str] = ("service_name", "lock")

    def __init__(self, *, service_name: str, lock: str = "dangerous", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.service_name = service_name
        self.lock = lock

    def carry_out(self, context: Any) -> None:
        """Set the lock."""
        name = required("service_name", self.service_name, "the name of an EAS service")
        self.hook.set_safety_lock(name, one_of("lock", self.lock, LOCKS))


class EasScaleServiceOperator(_ServiceOperator):
    """Give a service a fixed number of instances, or let EAS move it, and wait until every instance is ready.

    With `instances` the task waits for exactly so many. An autoscaler would move a fixed number again, so a service
    that has one is refused unless `remove_autoscaler` says that it goes first.

    API: UpdateService; CreateServiceAutoScaler, UpdateServiceAutoScaler, DeleteServiceAutoScaler.

    :param instances: fixed number, from 0. (templated)
    :param autoscaler: `{"min", "max", "scaleStrategies": [{"metricName": "qps", "threshold": 20}], "behavior"}` as the
        API has it; takes the place of one that is there. (templated)
    :param remove_autoscaler: take away the service's autoscaler.
    """

    about = "Scale service {service_name} to {instances}{autoscaler}"

    template_fields: Sequence[str] = ("instances", "autoscaler")
    template_fields_renderers = {"autoscaler": "json"}

    def __init__(
        self,
        *,
        instances: int | str | None = None,
        autoscaler: Mapping[str, Any] | None = None,
        remove_autoscaler: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.instances = instances
        self.autoscaler = autoscaler
        self.remove_autoscaler = flag("remove_autoscaler", remove_autoscaler)

    @property
    def goal(self) -> Until:
        """Return what the service is to become."""
        return Until(state="ready", instances=self._count())

    def change(self, context: Any) -> str:
        """Set the number, or the autoscaler."""
        name, hook = self.named(), self.hook
        status = hook.describe(name)["Status"]
        if hook.states.judge(status) is Verdict.FAILED:
            raise PaiConflictError(
                "eas", "UpdateService", f"service_name: {name} is {status}; a service that runs is scaled"
            )
        fixed, scaled = self.instances is not None, self.autoscaler is not None
        if (fixed and scaled) or not (fixed or scaled or self.remove_autoscaler):
            raise PaiConfigError("instances", self.instances, "either instances or autoscaler, not both")
        count = self._count()
        if self.autoscaler is not None:
            hook.set_autoscaler(name, check_autoscaler(self.autoscaler))
        elif self.remove_autoscaler:
            hook.remove_autoscaler(name)
        elif scaler := hook.autoscaler(name):
            limits = f"{scaler['MinReplica']} to {scaler['MaxReplica']}"
            raise PaiConfigError("instances", count, f"{name} has an autoscaler ({limits}); remove_autoscaler ends it")
        if count is not None:
            hook.update(name, {"metadata": {"instance": count}})
        return name

    def _count(self) -> int | None:
        return None if self.instances is None else whole_number("instances", self.instances)


__all__ = [
    "EasDeleteServiceOperator",
    "EasScaleServiceOperator",
    "EasSetSafetyLockOperator",
    "EasStartServiceOperator",
    "EasStopServiceOperator",
]
