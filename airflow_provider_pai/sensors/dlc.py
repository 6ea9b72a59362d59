"""Sensor for DLC jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_pai.exceptions import PaiConfigError, PaiTransientError
from airflow_provider_pai.links import DlcJobLink
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.sensors.base import PaiSensor
from airflow_provider_pai.states import Verdict
from airflow_provider_pai.triggers.job import PaiJobTrigger


class DlcJobSensor(PaiSensor):
    """Wait until a job that something else has made has succeeded; never stops it.

    Returns `{"job_id", "status", "url"}`. A job that ends otherwise raises `PaiJobFailedError` with its reason and
    the last lines of its logs.

    :param job_id: the job. (templated)
    :param workspace_id: overrides the connection's workspace. (templated)
    """

    hook_path = "airflow_provider_pai.hooks.dlc.DlcHook"
    operator_extra_links = (DlcJobLink(),)
    template_fields: Sequence[str] = (*PaiSensor.template_fields, "workspace_id", "job_id")

    def __init__(self, *, job_id: str, workspace_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.workspace_id = workspace_id

    @property
    def hook_arguments(self) -> Json:
        """Return what builds a hook on this sensor's connection."""
        return {**super().hook_arguments, "workspace_id": self.workspace_id}

    def execute(self, context: Any) -> Any:
        """Keep the link to the job's page, then wait."""
        if not isinstance(self.job_id, str) or not self.job_id.strip():
            raise PaiConfigError("job_id", self.job_id, "it must be the id of a DLC job")
        DlcJobLink.persist(context, self.hook.console_url(self.job_id))
        return super().execute(context)

    def check(self) -> Json | None:
        """Look at the job once."""
        try:
            job = self.hook.get(self.job_id)
        except PaiTransientError as error:
            self.log.warning("%s: no answer, waiting on: %s", self.job_id, error)
            return None
        return self._judge(job)

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> Any:
        """Go on where the trigger left off."""
        found = {"found": self._judge(RemoteJob(**event["job"]))} if "job" in event else {}
        return super().execute_complete(context, {**event, **found})

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

    def _judge(self, job: RemoteJob) -> Json | None:
        """Return the facts of a job that has succeeded, None while it runs.

        :raises PaiJobFailedError: it has ended otherwise.
        """
        states = self.hook.states
        if not states.is_final(job.status):
            self.log.info("%s is %s", job.job_id, job.status)
            return None
        if states.judge(job.status) is not Verdict.SUCCEEDED:
            raise self.hook.failure(job)
        return {"job_id": job.job_id, "status": job.status, "url": self.hook.console_url(job.job_id)}
