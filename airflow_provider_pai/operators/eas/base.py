"""Bases of the operators on EAS, and of those that change a service and wait until the change is there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_pai.exceptions import PaiJobFailedError, PaiTimeoutError
from airflow_provider_pai.hooks.eas.diagnosis import Down
from airflow_provider_pai.hooks.eas.goals import Undo, Until
from airflow_provider_pai.inputs import Span, seconds
from airflow_provider_pai.links import EasServiceLink
from airflow_provider_pai.operators.base import PaiOperator
from airflow_provider_pai.operators.deferring import DeferringOperator
from airflow_provider_pai.remote import DEFAULT_POLL_INTERVAL, Json, RemoteJob
from airflow_provider_pai.states import Verdict
from airflow_provider_pai.triggers.eas import EasServiceTrigger

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas import EasHook


class EasOperator(PaiOperator["EasHook"]):
    """Base of the operators on EAS."""

    ui_color = "#d9f2e3"

    @property
    def hook_class(self) -> type[EasHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.eas import EasHook

        return EasHook


def triggered_by(context: Any) -> Json:
    """Return who has triggered the run, as ledger rows have it; None: nobody has, or Airflow before 3.1 runs it."""
    return {"triggered_by": getattr(context["dag_run"], "triggering_user_name", None)}


class WaitingOperator(DeferringOperator["EasHook"], EasOperator):
    """Base of the operators that change a service and wait for it.

    :param poll_interval: seconds between two looks at the service.
    :param wait_timeout: seconds after which the wait is given up; `execution_timeout` may end it sooner.
        (templated)
    """

    operator_extra_links = (EasServiceLink(),)
    template_fields: Sequence[str] = ("wait_timeout",)
    awaited: ClassVar[str] = "ready"
    """What the service is to become, as `Until` names it."""

    def __init__(
        self,
        *,
        poll_interval: Span = DEFAULT_POLL_INTERVAL,
        wait_timeout: Span = 1800.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.poll_interval = seconds("poll_interval", poll_interval)
        self.wait_timeout = wait_timeout
        self._begun: tuple[str, Undo] | None = None

    @abstractmethod
    def change(self, context: Any) -> str:
        """Check the input and ask for the change; return the service's name."""

    @property
    def goal(self) -> Until:
        """Return what the service is to become."""
        return Until(state=self.awaited)

    def begun(self, context: Any) -> tuple[str, Undo] | None:
        """Return the service that this task has changed, and the way back, as labels tell; by default there is none."""
        return None

    def under_way(self, context: Any) -> str | None:
        """Return the service that this task has changed and that can't be told from its trigger."""
        begun = self.begun(context)
        return begun[0] if begun else None

    def begin(self, context: Any) -> str:
        """Change the service, and keep the link to its page."""
        name = self.change(context)
        EasServiceLink.persist(context, self.hook.console_url(name))
        return name

    def look(self, name: str) -> RemoteJob | None:
        """Return the service if it is what it was to become already."""
        service = self.hook.get(name)
        if self.goal.is_over(service):
            return self._as_awaited(service)
        self.log.info("Waiting in the triggerer until service %s is %s", name, self.goal.state)
        return None

    def trigger(self, context: Any, name: str) -> EasServiceTrigger:
        """Return what waits for the service."""
        return EasServiceTrigger(
            hook_arguments=self.hook_arguments,
            poll_interval=self.poll_interval,
            deadline=self.hook.in_service_time(self._deadline(context).isoformat()),
            task=self.identity(context).origin,
            service=name,
            goal=self.goal.to_dict(),
            undo=self._begun[1].to_dict() if self._begun else None,
        )

    def wait_here(self, context: Any, name: str) -> RemoteJob:
        """Wait until the service is what it was to become."""
        deadline, is_over = self._deadline(context), self.goal.is_over
        try:
            service = self.hook.wait(name, poll_interval=self.poll_interval, deadline=deadline, until=is_over)
        except PaiTimeoutError as error:
            raise PaiTimeoutError(self.goal.told(self.hook, name).below(error.args[0])) from None
        return self._as_awaited(service)

    def outcome(self, context: Any, event: Mapping[str, Any]) -> RemoteJob:
        """Return the service that is what it was to become; one that the trigger lost sight of is waited for again.

        :raises PaiTimeoutError: it is not, and the deadline has passed.
        """
        if "job" in event:
            return self._as_awaited(RemoteJob.read(event["job"]))
        name = event["job_id"]
        service = self.hook.get(name)  # what the trigger met, the worker meets too, as a typed error
        if event.get("timed_out"):
            wanted = f"not {self.goal.state}"
            text = f"{self.hook.states.kind} {name} was {event['status']} when its deadline passed, {wanted}"
            raise PaiTimeoutError(Down(*event["down"]).below(text))
        if self.goal.is_over(service):
            return self._as_awaited(service)
        outcome: RemoteJob = self.go_on(context, name, event["error"])
        return outcome

    @abstractmethod
    def finish(self, context: Any, service: RemoteJob) -> Json:
        """Turn what was waited for into the XCom: the one end of every path."""

    def gives_up(self, context: Any, error: BaseException) -> bool:
        """Tell whether nobody goes on: with what has failed, is not as asked for, or was waited for in vain."""
        return isinstance(error, PaiJobFailedError | PaiTimeoutError) or super().gives_up(context, error)

    def give_up(self, why: str) -> None:
        """Undo what was begun."""
        if self._resumed is not None:
            self._begun = self.begun(self._resumed)
        if self._begun is not None:
            name, undo = self._begun
            undo.carry_out(self.hook, name)

    def _as_awaited(self, service: RemoteJob) -> RemoteJob:
        """Return the service.

        :raises PaiJobFailedError: it has become something else, with the last lines of its logs.
        """
        if self.goal.judge(service) is not Verdict.SUCCEEDED:
            raise self.hook.failure(service)
        return service

    def _deadline(self, context: Any) -> datetime:
        """Return when the wait ends: what `execution_timeout` and `wait_timeout` leave, both from the start."""
        identity = self.identity(context)
        own = identity.started + timedelta(seconds=seconds("wait_timeout", self.wait_timeout))
        framework = identity.deadline(self.execution_timeout)
        return min(own, datetime.fromisoformat(framework)) if framework else own
