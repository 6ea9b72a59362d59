"""The base of the sensors: one check, asked in the worker or in the triggerer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar

from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.remote import DEFAULT_CONN_ID, Json
from airflow_provider_pai.triggers.base import PollTrigger


class PaiSensor(BaseSensorOperator):
    """Base of the sensors.

    :param pai_conn_id: connection of type `pai`. (templated)
    :param region: overrides the connection's region. (templated)
    :param deferrable: wait in the triggerer.
    """

    hook_path: ClassVar[str]
    """The hook's class: a path, so that parsing a DAG file imports no hook."""
    template_fields: Sequence[str] = ("pai_conn_id", "region")

    def __init__(
        self,
        *,
        pai_conn_id: str = DEFAULT_CONN_ID,
        region: str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pai_conn_id = pai_conn_id
        self.region = region
        self.deferrable = deferrable

    @property
    def hook_arguments(self) -> Json:
        """Return what builds a hook on this sensor's connection."""
        return {"pai_conn_id": self.pai_conn_id, "region": self.region}

    @cached_property
    def hook(self) -> Any:
        """Return the sensor's hook."""
        return import_string(self.hook_path)(**self.hook_arguments)

    @abstractmethod
    def check(self) -> Any | None:
        """Look once; return what was waited for, or None."""

    @abstractmethod
    def make_trigger(self, poll_interval: float, deadline: str) -> PollTrigger:
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
        if not self.deferrable:
            return self.result(context, super().execute(context))
        found = self.check()
        if found is not None:
            return self.result(context, found)
        started = context["ti"].start_date or datetime.now(UTC)
        deadline = (started + timedelta(seconds=self.timeout)).isoformat()
        self.defer(trigger=self.make_trigger(float(self.poke_interval), deadline), method_name="execute_complete")
        raise AssertionError("defer raises")

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> Any:
        """Go on where the trigger left off."""
        if "found" in event:
            return self.result(context, event["found"])
        if not event.get("timed_out"):
            self.check()  # what the trigger met, the worker meets too, as a typed error
            raise PaiError(event["error"])
        message = f"{self.task_id} waited {self.timeout:.0f} s in vain"
        if self.soft_fail:
            raise AirflowSkipException(message)
        raise AirflowSensorTimeout(message)
