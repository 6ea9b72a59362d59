"""Operator that stops a DLC job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.inputs import Span, flag, required, seconds
from airflow_provider_pai.operators.base import PaiOperator

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.dlc import DlcHook


class DlcStopJobOperator(PaiOperator["DlcHook"]):
    """Stop a job; one that has ended is no error.

    :param job_id: the job. (templated)
    :param wait_for_completion: wait until it has stopped.
    :param poll_interval: seconds between two looks at the job.
    :returns: the job's last status.
    """

    about = "Stop DLC job {job_id}"
    came = "DLC job {job_id}: {result}"

    template_fields: Sequence[str] = ("job_id",)

    def __init__(
        self, *, job_id: str, wait_for_completion: bool = True, poll_interval: Span = 5, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.wait_for_completion = flag("wait_for_completion", wait_for_completion)
        self.poll_interval = seconds("poll_interval", poll_interval)

    @property
    def hook_class(self) -> type[DlcHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.dlc import DlcHook

        return DlcHook

    def carry_out(self, context: Any) -> str:
        """Stop the job and return its last status."""
        self.job_id = required("job_id", self.job_id, "the id of a DLC job")
        hook = self.hook
        hook.request_stop(self.job_id)
        if self.wait_for_completion:
            return hook.wait(self.job_id, poll_interval=self.poll_interval).status
        return hook.get(self.job_id).status
