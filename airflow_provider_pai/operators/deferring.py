"""Lifecycle of the operators that begin something on PAI and wait for it, in the worker or in the triggerer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.providers.common.compat.sdk import AirflowException, conf

from airflow_provider_pai.clock import in_words
from airflow_provider_pai.connected import HookT
from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError
from airflow_provider_pai.inputs import flag
from airflow_provider_pai.operators.base import PaiOperator

if TYPE_CHECKING:
    from airflow_provider_pai.clock import Clock
    from airflow_provider_pai.triggers.base import OwningTrigger

# Airflow 3 ends a killed task after five seconds: so long a call of `on_kill` may be repeated.
_KILL_SECONDS = 3.0
_KILLED = "the task was ended by hand"

# A trigger that has failed so soon will fail again.
_SOON = 60.0

REAPER = "`airflow pai jobs orphans --stop` ends it"
"""What ends jobs that no task ends any more."""


class Settled(NamedTuple):
    """Result of a task that has nothing to begin and nothing to wait for."""

    result: Any


class DeferringOperator(PaiOperator[HookT]):
    """Base of the operators that begin something and wait for it.

    A task begins, waits here or defers, and finishes, whatever way it takes. What it has begun never goes on without
    it: it is given up when the task is killed, and when it fails with no later try to take the work over.

    :param deferrable: wait in the triggerer.
    """

    def __init__(
        self,
        *,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = flag("deferrable", deferrable)
        self._killed = False
        self._deferred_for = 0.0
        # The context of a task that comes back from the triggerer: another process has begun the work.
        self._resumed: Any = None

    @property
    def clock(self) -> Clock:
        """Return the hook's clock."""
        return self.hook.clock

    @abstractmethod
    def begin(self, context: Any) -> Any:
        """Check the input, then begin the work or go on with an earlier try's; return it, or what is `Settled`."""

    def look(self, work: Any) -> Any:
        """Return the outcome of work that needs no trigger, None where there is something to wait for."""
        return None

    @abstractmethod
    def trigger(self, context: Any, work: Any) -> OwningTrigger[Any]:
        """Return what waits in the triggerer."""

    @abstractmethod
    def wait_here(self, context: Any, work: Any) -> Any:
        """Wait in this process and return the outcome."""

    @abstractmethod
    def outcome(self, context: Any, event: Mapping[str, Any]) -> Any:
        """Return the outcome that the trigger's event tells.

        :raises PaiError: it tells of a failure.
        """

    @abstractmethod
    def finish(self, context: Any, outcome: Any) -> Any:
        """Turn the outcome into the task's result: the one end of every path."""

    @abstractmethod
    def give_up(self, why: str) -> None:
        """End or undo what the task has begun, in this process or in the one before a deferral."""

    def gives_up(self, context: Any, error: BaseException) -> bool:
        """Tell whether nobody goes on after a failure: by default that of the last try, and bad input."""
        is_last = context["ti"].try_number > context["ti"].max_tries
        return isinstance(error, PaiConfigError) or (isinstance(error, Exception) and is_last)

    def leave(self, context: Any, error: BaseException) -> None:
        """Give the work up for a failure after which nobody goes on."""
        self.give_up(first_line(error))

    def pre_execute(self, context: Any) -> None:
        """Let `on_kill` know that the task resumes: 2.11 times it out before `execute_complete`."""
        super().pre_execute(context)
        if getattr(context["ti"], "next_method", None):
            self._resumed = context

    def carry_out(self, context: Any) -> Any:
        """Begin, wait here or in the triggerer, finish."""
        with self.leaving(context):
            work = self.begin(context)
            if isinstance(work, Settled):
                return work.result
            outcome = self.wait(context, work)
        return self.finish(context, outcome)

    def wait(self, context: Any, work: Any) -> Any:
        """Return the outcome, or hand the work over to the triggerer."""
        if not self.deferrable:
            return self.wait_here(context, work)
        outcome = self.look(work)
        if outcome is None:
            trigger = self.trigger(context, work)
            kwargs = {"since": self.clock.utc().isoformat(), "subject": trigger.subject()}
            self.defer(trigger=trigger, method_name="execute_complete", kwargs=kwargs)
        return outcome

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Go on after a deferral; a failure of the trigger itself has lost its event, and kwargs, too."""
        self._resumed = context
        if next_method != "__fail__":
            return super().resume_execution(next_method, next_kwargs, context)
        with self.leaving(context):
            try:
                return super().resume_execution(next_method, next_kwargs, context)
            except AirflowException as error:
                # 2.11 tells a time-out, which is the task's, by the text alone.
                if "timeout" in str(error).lower() or (work := self.under_way(context)) is None:
                    raise
                outcome = self.go_on(context, work, str(error))
        return self.say_end(self.finish(context, outcome))

    def execute_complete(
        self,
        context: Any,
        event: Mapping[str, Any],
        since: str | None = None,
        subject: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> Any:
        """Go on where the trigger left off, in this version or in another one, which may have handed over more.

        :param since: ISO 8601, when the task was deferred.
        :param subject: what every event of its trigger names.
        """
        if since is not None:
            self._deferred_for = (self.clock.utc() - datetime.fromisoformat(since)).total_seconds()
            self.log.info("Back in a worker, deferred for %s", in_words(self._deferred_for))
        with self.leaving(context):
            if subject is None or _tells_of(event, subject):
                outcome = self.outcome(context, event)
            else:  # SQLite gives the ids of triggers again
                work = subject.get("job_id") or self.begin(context)
                outcome = self.go_on(context, work, "the event of another task's trigger came")
        return self.say_end(self.finish(context, outcome))

    def under_way(self, context: Any) -> Any:
        """Return work that an earlier process has begun and that goes on; by default nobody can tell."""
        return None

    def go_on(self, context: Any, work: Any, why: str) -> Any:
        """Wait again for work that goes on, though its trigger does not; return the outcome, or defer."""
        here = not self.deferrable or self._deferred_for < _SOON
        where = "here" if here else "in the triggerer again"
        self.log.warning("%s goes on, waiting for it %s: %s", work, where, why)
        return self.wait_here(context, work) if here else self.wait(context, work)

    def on_kill(self) -> None:
        """Give up what was begun; the task goes on where it was interrupted until Airflow ends its process."""
        self._killed = True
        self.hook.retry_seconds = _KILL_SECONDS
        self.give_up(_KILLED)

    def heed_kill(self) -> None:
        """Give up what was just begun if a kill came meanwhile, and found nothing yet."""
        if self._killed:
            self.give_up(_KILLED)

    @contextmanager
    def leaving(self, context: Any) -> Iterator[None]:
        """Let no failure leave work behind that no later try takes over."""
        try:
            yield
        except BaseException as error:
            if self.gives_up(context, error):
                self._leave(context, error)
            raise

    def _leave(self, context: Any, error: BaseException) -> None:
        """Give the work up; what can't be ended is told beside the failure, not in its place."""
        try:
            self.leave(context, error)
        except PaiApiError as refusal:
            self.log.error("What the task has begun MAY GO ON and cost; a person is needed: %s", refusal)  # noqa: TRY400


def _tells_of(event: Any, subject: Mapping[str, Any]) -> bool:
    """Tell whether an event is of the trigger with this subject."""
    return isinstance(event, Mapping) and all(event.get(name) == subject.get(name) for name in {"job_id", *subject})


def first_line(error: BaseException) -> str:
    """Return what an error says, without the log that it may bring along."""
    return str(error).partition("\n")[0]
