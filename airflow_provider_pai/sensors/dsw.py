"""Sensor for DSW instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.inputs import one_of, required
from airflow_provider_pai.links import DswInstanceLink
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.sensors.base import RemoteSensor
from airflow_provider_pai.states import Verdict
from airflow_provider_pai.triggers.job import PaiJobTrigger

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.dsw import DswHook

GOALS = ("running", "stopped")


class DswInstanceSensor(RemoteSensor["DswHook"]):
    """Wait until an instance that something else has made runs, or rests; never changes it.

    One that is to run may rest when the wait begins; `PaiJobFailedError` tells that it has failed. One that is to rest
    may be gone.

    :param instance_id: the instance. (templated)
    :param until: `running` or `stopped`. (templated)
    :returns: `{"instance_id", "status", "url"}`.
    """

    about = "Wait until DSW instance {instance_id} is {until}"
    came = "DSW instance {instance_id} is {status}"

    link = DswInstanceLink
    operator_extra_links = (DswInstanceLink(),)
    template_fields: Sequence[str] = ("instance_id", "until")

    def __init__(self, *, instance_id: str, until: str = "running", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id
        self.until = until

    @property
    def hook_class(self) -> type[DswHook]:
        """Return the hook's class, whose states say what is waited for."""
        from airflow_provider_pai.hooks.dsw import DswRestHook, DswStartHook

        return DswRestHook if one_of("until", self.until, GOALS) == "stopped" else DswStartHook

    def watched(self) -> str:
        """Return the instance's id."""
        return required("instance_id", self.instance_id, "the id of a DSW instance")

    def judge(self, job: RemoteJob) -> Verdict:
        """Return what the instance's status means."""
        return self.hook.states.judge(job.status)

    def facts(self, job: RemoteJob) -> Json:
        """Return the XCom."""
        return {"instance_id": job.job_id, "status": job.status, "url": self.hook.console_url(job.job_id)}

    def make_trigger(self, poll_interval: float, deadline: str) -> PaiJobTrigger:
        """Return the trigger; the instance is not the sensor's to stop."""
        return PaiJobTrigger(
            hook_path=self.hook_path,
            hook_arguments=self.hook_arguments,
            job_id=self.instance_id,
            poll_interval=poll_interval,
            deadline=deadline,
            cancel_on_kill=False,
            task={},
        )
