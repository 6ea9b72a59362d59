"""Carries a shadow run through in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_pai.remote import Json
from airflow_provider_pai.triggers.driver import DriverTrigger

if TYPE_CHECKING:
    from airflow_provider_pai.triggers.shadow_run import ShadowDriver


class ShadowTrigger(DriverTrigger):
    """Yields `{"end": …}` when a shadow run is over and taken down.

    :param shadow: `ShadowSpec.to_dict()`.
    """

    def __init__(self, *, hook_arguments: Json, shadow: Json, task: Json) -> None:
        super().__init__(hook_arguments=hook_arguments, task=task)
        self.shadow = shadow

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        return {"hook_arguments": self.hook_arguments, "shadow": self.shadow, "task": self.task_key}

    def make_driver(self, hook: Any) -> ShadowDriver:
        """Build the driver."""
        from airflow_provider_pai.triggers.shadow_run import ShadowDriver, ShadowSpec

        return ShadowDriver(ShadowSpec(**self.shadow), hook, self.log)

    def end(self, hook: Any) -> None:
        """Take everything down."""
        self.log.info("The task was ended: taking %s down", self.shadow["shadow"])
        self.driver(hook).kill()
