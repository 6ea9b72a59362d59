"""Carries a shadow run through in the triggerer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.triggers.base import Json, OwningTrigger

if TYPE_CHECKING:
    from airflow_provider_pai.triggers.shadow_run import ShadowDriver

_BACK_OFF = 1.0
_RETRY_SECONDS = 5.0


class ShadowTrigger(OwningTrigger):
    """Yields `{"end": …}` when a shadow run is over and taken down.

    :param shadow: `ShadowSpec.to_dict()`.
    """

    hook_path = "airflow_provider_pai.hooks.eas.EasHook"

    def __init__(self, *, hook_arguments: Json, shadow: Json, task: Json) -> None:
        super().__init__(hook_arguments=hook_arguments, poll_interval=_BACK_OFF, task=task)
        self.shadow = shadow
        self._driver: ShadowDriver | None = None

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        return {"hook_arguments": self.hook_arguments, "shadow": self.shadow, "task": self.task_key}

    def make_hook(self) -> PaiHook:
        """Build the hook; a tick is several calls, and repeating one is cheaper than beginning anew."""
        hook = super().make_hook()
        hook.retry_seconds = _RETRY_SECONDS
        return hook

    async def poll(self, hook: Any) -> Json | None:
        """Go on until the run is over; the SDK blocks, so every tick has a thread."""
        driver = self._of(hook)
        while True:
            step = await asyncio.to_thread(driver.tick)
            if step.end is not None:
                return {"end": step.end}
            await asyncio.sleep(step.pause)

    def end(self, hook: Any) -> None:
        """Take everything down."""
        self.log.info("The task was ended: taking %s down", self.shadow["shadow"])
        self._of(hook).kill()

    def _of(self, hook: Any) -> ShadowDriver:
        from airflow_provider_pai.triggers.shadow_run import ShadowDriver, ShadowSpec

        if self._driver is None:
            self._driver = ShadowDriver(ShadowSpec(**self.shadow), hook, self.log)
        return self._driver
