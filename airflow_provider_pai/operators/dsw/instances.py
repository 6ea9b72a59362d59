"""Operators on a DSW instance that exists: start, stop, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.inputs import Span, flag, required, seconds
from airflow_provider_pai.operators.base import PaiOperator
from airflow_provider_pai.states import Verdict

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.dsw import DswHook


class _InstanceOperator(PaiOperator["DswHook"]):
    """Base of the operators on an instance that exists.

    :param instance_id: the instance. (templated)
    :param wait_for_completion: wait until it is there.
    :param poll_interval: seconds between two looks at the instance.
    """

    template_fields: Sequence[str] = ("instance_id",)

    def __init__(
        self, *, instance_id: str, wait_for_completion: bool = True, poll_interval: Span = 5, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id
        self.wait_for_completion = flag("wait_for_completion", wait_for_completion)
        self.poll_interval = seconds("poll_interval", poll_interval)

    @property
    def hook_class(self) -> type[DswHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.dsw import DswHook

        return DswHook

    def wait_for(self, verdict: Verdict) -> str:
        """Wait for a resting or a usable instance and return its status."""
        hook = self.hook
        if not self.wait_for_completion:
            return hook.get(self.instance_id).status
        job = hook.wait(
            self.instance_id,
            poll_interval=self.poll_interval,
            until=lambda job: hook.states.judge(job.status) is verdict or job.status in hook.states.broken,
        )
        if hook.states.judge(job.status) is not verdict:
            why = f"{job.status}: {job.reason_code}: {job.reason}"
            raise PaiError(f"DSW instance {job.job_id} is {why} → see its page in the console, then clear the task")
        return job.status


class DswStartInstanceOperator(_InstanceOperator):
    """Start a stopped instance. API: StartInstance.

    :returns: the instance's status.
    """

    about = "Start DSW instance {instance_id}"
    came = "DSW instance {instance_id} is {result}"

    def carry_out(self, context: Any) -> str:
        """Start the instance and return its status."""
        self.instance_id = required("instance_id", self.instance_id, "the id of a DSW instance")
        self.hook.start(self.instance_id)
        return self.wait_for(Verdict.SUCCEEDED)


class DswStopInstanceOperator(_InstanceOperator):
    """Stop an instance. API: StopInstance.

    :param save_image: save the environment as an image first.
    :returns: the instance's status.
    """

    about = "Stop DSW instance {instance_id}"
    came = "DSW instance {instance_id} is {result}"

    def __init__(self, *, save_image: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.save_image = flag("save_image", save_image)

    def carry_out(self, context: Any) -> str:
        """Stop the instance and return its status."""
        self.instance_id = required("instance_id", self.instance_id, "the id of a DSW instance")
        self.hook.request_stop(self.instance_id, save_image=self.save_image)
        return self.wait_for(Verdict.FAILED)


class DswDeleteInstanceOperator(_InstanceOperator):
    """Delete an instance; one that is gone is no error. API: DeleteInstance."""

    about = "Delete DSW instance {instance_id}"
    came = "DSW instance {instance_id} is deleted"

    def carry_out(self, context: Any) -> None:
        """Delete the instance."""
        self.instance_id = required("instance_id", self.instance_id, "the id of a DSW instance")
        self.hook.delete(self.instance_id)
