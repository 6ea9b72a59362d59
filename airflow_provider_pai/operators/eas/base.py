"""Bases of the operators on EAS, and of those that change a service and wait until the change is there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import conf

from airflow_provider_pai.exceptions import PaiError, PaiTimeoutError
from airflow_provider_pai.hooks.eas.goals import Undo, Until
from airflow_provider_pai.inputs import seconds
from airflow_provider_pai.links import EasServiceLink
from airflow_provider_pai.operators.base import PaiOperator, deadline_of
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


class WaitingOperator(EasOperator):
    """Base of the operators that wait for a service.

    :param deferrable: wait in the triggerer.
    :param poll_interval: seconds between two looks at the service.
    :param wait_timeout: seconds after which the wait is given up; `execution_timeout` may end it sooner.
    """

    operator_extra_links = (EasServiceLink(),)
    template_fields: Sequence[str] = ("wait_timeout",)

    def __init__(
        self,
        *,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        wait_timeout: float | str = 1800.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.wait_timeout = wait_timeout
        self._kill: tuple[str, Undo] | None = None
        self._killed = False

    @abstractmethod
    def finish(self, context: Any, service: RemoteJob) -> Json:
        """Turn what was waited for into the XCom: the one end of every path."""

    def undo_of(self, context: Any, name: str) -> Undo | None:
        """Return how to undo what this task has begun; by default nothing is."""
        return None

    def wait(self, context: Any, name: str, goal: Until) -> Json:
        """Wait until the service is what it was to become, here or in the triggerer, then finish."""
        hook = self.hook
        EasServiceLink.persist(context, hook.console_url(name))
        undo = self.undo_of(context, name)
        self._kill = (name, undo) if undo else None
        service = hook.get(name)
        if not goal.is_over(service):
            deadline = self._deadline(context)
            if self.deferrable:
                self._defer(context, name, goal, undo, deadline)
            try:
                with self.leaving(context, name):
                    service = hook.wait(name, poll_interval=self.poll_interval, deadline=deadline, until=goal.is_over)
            except PaiTimeoutError as error:
                self.give_up(context, name, error)
        return self._end(context, goal, service)

    def execute_complete(self, context: Any, event: Mapping[str, Any], goal: Mapping[str, Any]) -> Json:
        """Go on where the trigger left off."""
        name = event["job_id"]
        if "job" in event:
            return self._end(context, Until(**goal), RemoteJob(**event["job"]))
        self.hook.get(name)  # what the trigger met, the worker meets too, as a typed error
        if event.get("timed_out"):
            text = f"{self.hook.states.kind} {name} was {event['status']} when its deadline passed, not {goal['state']}"
            self.give_up(context, name, PaiTimeoutError(text))
        with self.leaving(context, name):
            raise PaiError(event["error"])

    def give_up(self, context: Any, name: str, error: PaiError) -> NoReturn:
        """Undo what was begun and raise the error.

        :raises PaiError: always.
        """
        undo = self.undo_of(context, name)
        if undo is not None:
            undo.carry_out(self.hook, name)
        raise error

    @contextmanager
    def leaving(self, context: Any, name: str) -> Iterator[None]:
        """Let no failure leave a change that no later try goes on with."""
        try:
            yield
        except Exception:
            last = context["ti"].try_number > context["ti"].max_tries
            if last and (undo := self.undo_of(context, name)):
                undo.carry_out(self.hook, name)
            raise

    def on_kill(self) -> None:
        """Undo what was begun; Airflow 3 gives five seconds."""
        self._killed = True
        if self._kill is not None:
            name, undo = self._kill
            self.hook.retry_seconds = 3
            undo.carry_out(self.hook, name)

    def _end(self, context: Any, goal: Until, service: RemoteJob) -> Json:
        if goal.judge(service) is not Verdict.SUCCEEDED:
            self.give_up(context, service.job_id, self.hook.failure(service))
        return self.finish(context, service)

    def _deadline(self, context: Any) -> datetime:
        """Return when the wait ends: what `execution_timeout` and `wait_timeout` leave, both from the start."""
        started = context["ti"].start_date or datetime.now(UTC)
        own = started + timedelta(seconds=seconds("wait_timeout", self.wait_timeout))
        framework = deadline_of(started, self.execution_timeout)
        return min(own, datetime.fromisoformat(framework)) if framework else own

    def _defer(self, context: Any, name: str, goal: Until, undo: Undo | None, deadline: datetime) -> None:
        self.log.info("Waiting in the triggerer until service %s is %s", name, goal.state)
        trigger = EasServiceTrigger(
            hook_arguments=self.hook_arguments,
            poll_interval=self.poll_interval,
            deadline=deadline.isoformat(),
            task=self.identity(context).origin,
            service=name,
            goal=goal.to_dict(),
            undo=undo.to_dict() if undo else None,
        )
        self.defer(trigger=trigger, method_name="execute_complete", kwargs={"goal": goal.to_dict()})
