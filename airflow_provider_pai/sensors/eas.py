"""Sensor for EAS services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.hooks.eas.goals import GOALS, Until
from airflow_provider_pai.inputs import one_of, required
from airflow_provider_pai.labels import ServedModel
from airflow_provider_pai.links import EasServiceLink
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.sensors.base import RemoteSensor
from airflow_provider_pai.states import Verdict
from airflow_provider_pai.triggers.eas import EasServiceTrigger

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas import EasHook


class EasServiceSensor(RemoteSensor["EasHook"]):
    """Wait until a service that something else has made is ready with every instance; never changes it.

    A service that rests, or is not there yet, is waited for. One that has failed raises `PaiJobFailedError` with its
    reason and the last lines of its logs.

    :param service_name: the service. (templated)
    :param until: `ready`, `stopped` or `deleted`. (templated)
    :returns: `{"service", "status", "instances", "version", "url"}`; version is that of the artifact that it serves,
        None where no operator of this provider has made it.
    """

    about = "Wait until service {service_name} is {until}"
    came = "Service {service} is {status} with {instances} instances"

    link = EasServiceLink
    operator_extra_links = (EasServiceLink(),)
    template_fields: Sequence[str] = ("service_name", "until")

    def __init__(self, *, service_name: str, until: str = "ready", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.service_name = service_name
        self.until = until

    @property
    def hook_class(self) -> type[EasHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.eas import EasHook

        return EasHook

    def watched(self) -> str:
        """Return the service's name."""
        return required("service_name", self.service_name, "the name of an EAS service")

    @property
    def goal(self) -> Until:
        """Return what the service is to become.

        :raises PaiConfigError: it can't become that.
        """
        return Until(state=one_of("until", self.until, GOALS))

    def judge(self, job: RemoteJob) -> Verdict:
        """Return what the service's state means."""
        return self.goal.judge(job)

    def progress(self, job: RemoteJob) -> str:
        """Return what the log says of a service that is waited for."""
        return f"{super().progress(job)}, {job.facts.get('running', 0)} of {job.facts.get('total', 0)} instances"

    def facts(self, job: RemoteJob) -> Json:
        """Return the XCom."""
        return {
            "service": job.job_id,
            "status": job.status,
            "instances": job.facts.get("running", 0),
            "version": ServedModel.of(job.tags).version or None,
            "url": self.hook.console_url(job.job_id),
        }

    def make_trigger(self, poll_interval: float, deadline: str) -> EasServiceTrigger:
        """Return the trigger; the service is not the sensor's to change."""
        return EasServiceTrigger(
            hook_arguments=self.hook_arguments,
            poll_interval=poll_interval,
            deadline=deadline,
            task={},
            service=self.service_name,
            goal=self.goal.to_dict(),
        )
