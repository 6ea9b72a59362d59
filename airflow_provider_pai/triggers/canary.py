"""Carries a canary rollout through in the triggerer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.triggers.approval import gate_of
from airflow_provider_pai.triggers.base import Json, OwningTrigger

if TYPE_CHECKING:
    from airflow_provider_pai.triggers.rollout import RolloutDriver

_BACK_OFF = 1.0

# A tick is a dozen calls: repeating one is cheaper than beginning the tick anew.
_RETRY_SECONDS = 5.0


class CanaryTrigger(OwningTrigger):
    """Yields `{"end": …}` when a rollout is over, whatever came of it.

    The deadline stands in the rollout itself: when it passes, the candidate is taken out, and the end says so.

    :param rollout: `RolloutSpec.to_dict()`.
    """

    hook_path = "airflow_provider_pai.hooks.eas.EasHook"

    def __init__(self, *, hook_arguments: Json, rollout: Json, task: Json) -> None:
        super().__init__(hook_arguments=hook_arguments, poll_interval=_BACK_OFF, task=task)
        self.rollout = rollout
        self._driver: RolloutDriver | None = None

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        return {"hook_arguments": self.hook_arguments, "rollout": self.rollout, "task": self.task_key}

    def make_hook(self) -> PaiHook:
        """Build the hook."""
        hook = super().make_hook()
        hook.retry_seconds = _RETRY_SECONDS
        return hook

    async def poll(self, hook: Any) -> Json | None:
        """Go on until the rollout is over; the SDK blocks, so every tick has a thread."""
        driver = self._of(hook)
        while True:
            tick = await asyncio.to_thread(driver.tick)
            if tick.end is not None:
                return {"end": tick.end}
            await asyncio.sleep(tick.pause)

    def end(self, hook: Any) -> None:
        """Take the candidate out of the traffic."""
        self.log.info("The task was ended: taking the candidate's traffic away")
        self._of(hook).kill("the task was ended by hand", self.kill_seconds)

    def _of(self, hook: Any) -> RolloutDriver:
        # Here, as in the operator: a DAG file that is parsed has no use for the canary floor.
        from airflow_provider_pai.triggers.rollout import RolloutDriver
        from airflow_provider_pai.triggers.spec import RolloutSpec

        if self._driver is None:
            spec = RolloutSpec.from_dict(self.rollout)
            self._driver = RolloutDriver(spec, hook, self.log, gate_of(self.task_key, spec.goal.approval))
        return self._driver
