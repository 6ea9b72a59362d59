"""Sensor for DLC jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.inputs import required
from airflow_provider_pai.links import DlcJobLink
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.sensors.base import RemoteSensor
from airflow_provider_pai.states import DLC_JOB, Verdict
from airflow_provider_pai.triggers.job import PaiJobTrigger

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.dlc import DlcHook


class DlcJobSensor(RemoteSensor["DlcHook"]):
    """Wait until a job that something else has made has succeeded; never stops it.

    A job that ends otherwise raises `PaiJobFailedError` with its reason and the last lines of its logs.

    :param job_id: the job. (templated)
    :returns: `{"job_id", "status", "url"}`.
    """

    about = "Wait for DLC job {job_id}"
    came = "DLC job {job_id}: {status}"

    link = DlcJobLink
    operator_extra_links = (DlcJobLink(),)
    template_fields: Sequence[str] = ("job_id",)

    def __init__(self, *, job_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id

    @property
    def hook_class(self) -> type[DlcHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.dlc import DlcHook

        return DlcHook

    def watched(self) -> str:
        """Return the job's id."""
        return required("job_id", self.job_id, "the id of a DLC job")

    def judge(self, job: RemoteJob) -> Verdict:
        """Return what the job's status means."""
        return DLC_JOB.judge(job.status)

    def facts(self, job: RemoteJob) -> Json:
        """Return the XCom."""
        return {"job_id": job.job_id, "status": job.status, "url": self.hook.console_url(job.job_id)}

    def make_trigger(self, poll_interval: float, deadline: str) -> PaiJobTrigger:
        """Return the trigger; the job is not the sensor's to stop."""
        return PaiJobTrigger(
            hook_path=self.hook_path,
            hook_arguments=self.hook_arguments,
            job_id=self.job_id,
            poll_interval=poll_interval,
            deadline=deadline,
            cancel_on_kill=False,
            task={},
        )
