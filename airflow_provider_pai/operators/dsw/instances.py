"""Operators on a DSW instance that exists: start, stop, delete."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.inputs import Span, flag, required
from airflow_provider_pai.links import DswInstanceLink
from airflow_provider_pai.operators.deferring import Settled
from airflow_provider_pai.operators.jobs import WatchingOperator
from airflow_provider_pai.remote import RemoteJob
from airflow_provider_pai.states import DSW_GONE, DSW_INSTANCE, Verdict

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.dsw import DswHook


class _InstanceOperator(WatchingOperator["DswHook"]):
    """Base of the operators on an instance that exists.

    :param instance_id: the instance. (templated)
    """

    link = DswInstanceLink
    operator_extra_links = (DswInstanceLink(),)
    ui_color = "#d6eaff"
    template_fields: Sequence[str] = ("instance_id",)

    def __init__(self, *, instance_id: str, poll_interval: Span = 5, **kwargs: Any) -> None:
        super().__init__(poll_interval=poll_interval, **kwargs)
        self.instance_id = instance_id

    @abstractmethod
    def change(self) -> str | None:
        """Ask for the change; return the instance's status where there is nothing to change."""

    def begin(self, context: Any) -> str | Settled:
        """Ask for the change; return the instance's id."""
        self.instance_id = required("instance_id", self.instance_id, "the id of a DSW instance")
        self.link.persist(context, self.hook.console_url(self.instance_id))
        status = self.change()
        return self.instance_id if status is None else Settled(status)

    def under_way(self, context: Any) -> str:
        """Return the instance's id."""
        return self.instance_id

    def finish(self, context: Any, job: RemoteJob) -> str | None:
        """Return the instance's status.

        :raises PaiJobFailedError: it has become something else than it was to.
        """
        if self.hook.states.judge(job.status) is not Verdict.SUCCEEDED:
            raise self.hook.failure(job)
        return job.status


class DswStartInstanceOperator(_InstanceOperator):
    """Start a stopped instance and wait until it runs; one that runs is no error. API: StartInstance.

    :param cancel_on_kill: stop it again when the task is killed, marked, cleared or timed out, or fails for good.
    :returns: the instance's status.
    """

    about = "Start DSW instance {instance_id}"
    came = "DSW instance {instance_id} is {result}"

    def __init__(self, *, cancel_on_kill: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cancel_on_kill = flag("cancel_on_kill", cancel_on_kill)

    @property
    def hook_class(self) -> type[DswHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.dsw import DswStartHook

        return DswStartHook

    def change(self) -> str | None:
        """Start the instance; what ran before is not the task's to stop."""
        status = self.hook.get(self.instance_id).status
        if status in DSW_INSTANCE.succeeded:
            return status
        self._job_id = self.instance_id
        self.hook.start(self.instance_id)
        return None

    def _begun(self) -> list[str]:
        return [self.instance_id] if self._resumed else []


class _EndOperator(_InstanceOperator):
    cancel_on_kill = False

    @property
    def hook_class(self) -> type[DswHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.dsw import DswRestHook

        return DswRestHook


class DswStopInstanceOperator(_EndOperator):
    """Stop an instance and wait until it rests; one that rests or is gone is no error. API: StopInstance.

    :param save_image: save the environment as an image first.
    :returns: the instance's status.
    """

    about = "Stop DSW instance {instance_id}"
    came = "DSW instance {instance_id} is {result}"

    def __init__(self, *, save_image: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.save_image = flag("save_image", save_image)

    def change(self) -> None:
        """Stop the instance."""
        self.hook.request_stop(self.instance_id, save_image=self.save_image)

    def finish(self, context: Any, job: RemoteJob) -> str | None:
        """Return the instance's status.

        :raises PaiJobFailedError: its environment could not be saved.
        """
        if self.save_image and job.status == "SaveFailed":
            raise self.hook.failure(job)
        return super().finish(context, job)


class DswDeleteInstanceOperator(_EndOperator):
    """Stop an instance, then delete it; one that is gone is no error. API: StopInstance, DeleteInstance.

    :returns: nothing.
    """

    about = "Delete DSW instance {instance_id}"
    came = "DSW instance {instance_id} is deleted"

    def change(self) -> None:
        """Stop the instance: only one at rest can be deleted."""
        self.hook.request_stop(self.instance_id)

    def finish(self, context: Any, job: RemoteJob) -> None:
        """Delete the instance."""
        super().finish(context, job)
        if job.status != DSW_GONE:
            self.hook.delete(job.job_id)
