"""Bases of the sensors: one check, asked in the worker or in the triggerer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_pai.connected import Connected, HookT
from airflow_provider_pai.exceptions import PaiError, PaiTransientError
from airflow_provider_pai.inputs import flag
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.states import Verdict
from airflow_provider_pai.triggers.base import PollTrigger

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.jobs import WatchedHook
    from airflow_provider_pai.links import PaiLink

WatchedHookT = TypeVar("WatchedHookT", bound="WatchedHook")


class PaiSensor(Connected[HookT], BaseSensorOperator):
    """Base of the sensors.

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

    @abstractmethod
    def check(self) -> Any | None:
        """Look once; return what was waited for, or None."""

    @abstractmethod
    def make_trigger(self, poll_interval: float, deadline: str) -> PollTrigger[Any]:
        """Return the trigger that looks in the same way; its event bears `found`."""

    def result(self, context: Any, found: Any) -> Any:
        """Turn what was found into the XCom; the one end of both ways to wait."""
        return found

    def poke(self, context: Any) -> PokeReturnValue:
        """Look once."""
        found = self.check()
        return PokeReturnValue(is_done=found is not None, xcom_value=found)

    def execute(self, context: Any) -> Any:
        """Wait in the worker or the triggerer."""
        self.say_aim()
        if not self.deferrable:
            return self.say_end(self.result(context, super().execute(context)))
        found = self.check()
        if found is not None:
            return self.say_end(self.result(context, found))
        trigger = self.make_trigger(float(self.poke_interval), self._deadline(context))
        self.defer(trigger=trigger, method_name="execute_complete")
        raise AssertionError("defer raises")

    def _deadline(self, context: Any) -> str:
        """Return when the sensor's time-out passes, by the services' time; it counts from the task's first start."""
        started: datetime = context["ti"].start_date or datetime.now(UTC)
        return self.hook.in_service_time((started + timedelta(seconds=self.timeout)).isoformat())

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> Any:
        """Go on where the trigger left off."""
        if "found" in event:
            return self.say_end(self.result(context, event["found"]))
        if not event.get("timed_out"):
            self.check()  # what the trigger met, the worker meets too, as a typed error
            raise PaiError(event["error"])
        message = f"{self.task_id} waited {self.timeout:.0f} s in vain"
        if self.soft_fail:
            raise AirflowSkipException(message)
        raise AirflowSensorTimeout(message)


class RemoteSensor(PaiSensor[WatchedHookT]):
    """Base of the sensors that wait for one job or service, and never change it."""

    link: ClassVar[type[PaiLink]]

    @abstractmethod
    def watched(self) -> str:
        """Return the name of what is waited for.

        :raises PaiConfigError: there is none.
        """

    @abstractmethod
    def judge(self, job: RemoteJob) -> Verdict:
        """Return what a look means; what has failed does not become as awaited by itself."""

    @abstractmethod
    def facts(self, job: RemoteJob) -> Json:
        """Return the XCom."""

    def progress(self, job: RemoteJob) -> str:
        """Return what the log says of one that is waited for."""
        return f"{job.job_id} is {job.status}"

    def execute(self, context: Any) -> Any:
        """Keep the link to the page in the console, then wait."""
        self.link.persist(context, self.hook.console_url(self.watched()))
        return super().execute(context)

    def check(self) -> Json | None:
        """Look once."""
        try:
            job = self.hook.get(self.watched())
        except PaiTransientError as error:
            self.log.warning("%s: no answer, waiting on: %s", self.watched(), error)
            return None
        return self._found(job)

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> Any:
        """Go on where the trigger left off."""
        found = {"found": self._found(RemoteJob.read(event["job"]))} if "job" in event else {}
        return super().execute_complete(context, {**event, **found})

    def _found(self, job: RemoteJob) -> Json | None:
        """Return the XCom of one that is as awaited, None while it is not.

        :raises PaiJobFailedError: it will not become so, with the reason and the last lines of its logs.
        """
        verdict = self.judge(job)
        if verdict is Verdict.FAILED:
            raise self.hook.failure(job)
        if verdict is Verdict.SUCCEEDED:
            return self.facts(job)
        self.log.info("%s", self.progress(job))
        return None
