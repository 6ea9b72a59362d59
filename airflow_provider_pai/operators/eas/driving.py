"""Base of the operators that carry something through step by step: a rollout, a shadow run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.operators.deferring import DeferringOperator
from airflow_provider_pai.operators.eas.spec import ServiceOperator
from airflow_provider_pai.remote import Json
from airflow_provider_pai.schemas import DEPLOYMENT, SCHEMA_VERSION

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas import EasHook  # noqa: F401 - in a text below
    from airflow_provider_pai.rollouts.driver import Driver

# Airflow 3 ends a killed task after five seconds.
_KILL_SECONDS = 4.0


class DrivingOperator(DeferringOperator["EasHook"], ServiceOperator):
    """Base of the operators whose work is a driver's, in the worker as in the triggerer."""

    _driver: Driver | None = None
    _line = ""

    @abstractmethod
    def begin(self, context: Any) -> Any:
        """Check the input, make the driver, and return what tells the triggerer's driver the same."""

    def wait_here(self, context: Any, spec: Any) -> Json:
        """Go on until the end, and return it."""
        from airflow_provider_pai.rollouts.driver import drive

        assert self._driver is not None
        return drive(self._driver, self.log, self.clock)

    def outcome(self, context: Any, event: Mapping[str, Any]) -> Json:
        """Return the end that the trigger's driver has come to."""
        if "end" not in event:
            raise PaiError(event["error"])
        end: Json = event["end"]
        return end

    def ended(self, context: Any, end: Json, error: type[Exception] | None, line: str, details: str = "") -> Json:
        """Return the end, or raise it; the line is the log's last, the error's first, and the XCom `summary`.

        :param error: None: it is a good one.
        :param details: what stands below the line in the error, and above it in the log.
        """
        push = context["ti"].xcom_push
        end = {SCHEMA_VERSION: DEPLOYMENT.number, **end}
        push(key="summary", value=line)
        if error is None:
            self._line = line
            return end
        push(key="return_value", value=end)
        if details:
            self.log.info("%s", details)
        self.log.warning("%s", line)
        raise error("\n".join(filter(None, (line, details)))) from None

    def record_overlap(self, context: Any, usage: Json | None, version: str) -> None:
        """Write the ledger row of what has run beside production."""
        if usage is None:
            return
        from airflow_provider_pai.costs import Usage
        from airflow_provider_pai.ledger import Event

        identity = self.identity(context)
        event = Event.used(Usage.read(usage), identity.origin, task=identity.task, version=version)
        self.ledger.record(event, self.artifact_uri)

    def told(self, result: Any) -> str:
        """Return the line that the end has in common with the XCom `summary`."""
        return self._line

    def give_up(self, why: str) -> None:
        """End what was begun."""
        if self._driver is not None:
            self._driver.kill(why, _KILL_SECONDS)
