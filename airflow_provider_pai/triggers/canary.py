"""Carries a canary rollout through in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_pai.remote import Json
from airflow_provider_pai.triggers.approval import gate_of
from airflow_provider_pai.triggers.driver import DriverTrigger

if TYPE_CHECKING:
    from airflow_provider_pai.triggers.rollout import RolloutDriver


class CanaryTrigger(DriverTrigger):
    """Yields `{"end": …}` when a rollout is over, whatever came of it.

    The deadline stands in the rollout itself: when it passes, the candidate is taken out, and the end says so.

    :param rollout: `RolloutSpec.to_dict()`.
    """

    def __init__(self, *, hook_arguments: Json, rollout: Json, task: Json) -> None:
        super().__init__(hook_arguments=hook_arguments, task=task)
        self.rollout = rollout

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        return {"hook_arguments": self.hook_arguments, "rollout": self.rollout, "task": self.task_key}

    def make_driver(self, hook: Any) -> RolloutDriver:
        """Build the driver."""
        # Here, as in the operator: a DAG file that is parsed has no use for the canary floor.
        from airflow_provider_pai.triggers.rollout import RolloutDriver
        from airflow_provider_pai.triggers.spec import RolloutSpec

        spec = RolloutSpec.from_dict(self.rollout)
        return RolloutDriver(spec, hook, self.log, gate_of(self.task_key, spec.goal.approval))

    def end(self, hook: Any) -> None:
        """Take the candidate out of the traffic."""
        self.log.info("The task was ended: taking the candidate's traffic away")
        self.driver(hook).kill("the task was ended by hand", self.kill_seconds)
