"""Sensor for EAS services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_pai.exceptions import PaiConfigError, PaiTransientError
from airflow_provider_pai.hooks.eas.goals import GOALS, Until
from airflow_provider_pai.links import EasServiceLink
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.sensors.base import PaiSensor
from airflow_provider_pai.states import Verdict
from airflow_provider_pai.triggers.eas import EasServiceTrigger


class EasServiceSensor(PaiSensor):
    """Wait until a service that something else has made is ready with every instance; never changes it.

    A service that rests, or is not there yet, is waited for. One that has failed raises `PaiJobFailedError` with its
    reason and the last lines of its logs. Returns `{"service", "status", "instances", "version", "url"}`; version is
    that of the artifact that it serves, None where no operator of this provider has made it.

    :param service_name: the service. (templated)
    :param until: `ready`, `stopped` or `deleted`. (templated)
    """

    hook_path = "airflow_provider_pai.hooks.eas.EasHook"
    operator_extra_links = (EasServiceLink(),)
    template_fields: Sequence[str] = (*PaiSensor.template_fields, "service_name", "until")

    def __init__(self, *, service_name: str, until: str = "ready", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.service_name = service_name
        self.until = until

    def execute(self, context: Any) -> Any:
        """Keep the link to the service's page, then wait."""
        if not isinstance(self.service_name, str) or not self.service_name.strip():
            raise PaiConfigError("service_name", self.service_name, "it must be the name of an EAS service")
        if self.until not in GOALS:
            raise PaiConfigError("until", self.until, f"one of {', '.join(GOALS)}")
        EasServiceLink.persist(context, self.hook.console_url(self.service_name))
        return super().execute(context)

    def check(self) -> Json | None:
        """Look at the service once."""
        try:
            return self._judge(self.hook.get(self.service_name))
        except PaiTransientError as error:
            self.log.warning("%s: no answer, waiting on: %s", self.service_name, error)
            return None

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> Any:
        """Go on where the trigger left off."""
        found = {"found": self._judge(RemoteJob(**event["service"]))} if "service" in event else {}
        return super().execute_complete(context, {**event, **found})

    def make_trigger(self, poll_interval: float, deadline: str) -> EasServiceTrigger:
        """Return the trigger; the service is not the sensor's to change."""
        return EasServiceTrigger(
            hook_arguments=self.hook_arguments,
            poll_interval=poll_interval,
            deadline=deadline,
            task={},
            service=self.service_name,
            goal=Until(state=self.until).to_dict(),
        )

    def _judge(self, service: RemoteJob) -> Json | None:
        """Return the facts of a service that is as awaited, None while it is not.

        :raises PaiJobFailedError: it will not become so by itself.
        """
        verdict = Until(state=self.until).judge(service)
        if verdict is Verdict.FAILED:
            raise self.hook.failure(service)
        running, total = service.facts.get("running", 0), service.facts.get("total", 0)
        if verdict is not Verdict.SUCCEEDED:
            self.log.info("%s is %s, %s of %s instances", service.job_id, service.status, running, total)
            return None
        return {
            "service": service.job_id,
            "status": service.status,
            "instances": running,
            "version": service.tags.get("airflow_version"),
            "url": self.hook.console_url(service.job_id),
        }
