"""Triggers that carry a rollout or a shadow run through."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.remote import Json
from airflow_provider_pai.triggers.eas import EasTrigger
from airflow_provider_pai.triggers.threads import in_thread

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas import EasHook
    from airflow_provider_pai.rollouts.driver import Driver
    from airflow_provider_pai.rollouts.rollout_driver import RolloutDriver
    from airflow_provider_pai.rollouts.shadow_driver import ShadowDriver

# A tick is a dozen calls: repeating one is cheaper than beginning the tick anew.
_RETRY_SECONDS = 5.0


class DriverTrigger(EasTrigger):
    """Yields `{"end": …}` when what it carries through is over, whatever came of it."""

    bears_denials = False

    def __init__(self, *, hook_arguments: Json, task: Json, **kwargs: Any) -> None:
        super().__init__(hook_arguments=hook_arguments, poll_interval=1.0, task=task, **kwargs)
        self._driver: Driver | None = None

    def make_hook(self) -> EasHook:
        """Build the hook."""
        hook = super().make_hook()
        hook.retry_seconds = _RETRY_SECONDS
        return hook

    @abstractmethod
    def make_driver(self, hook: EasHook) -> Driver:
        """Build the driver."""

    def driver(self, hook: EasHook) -> Driver:
        """Return the driver, which is built once."""
        self._driver = self._driver or self.make_driver(hook)
        return self._driver

    async def poll(self, hook: EasHook) -> Json | None:
        """Go on until it is over; the SDK blocks, so every tick has a thread."""
        driver = self.driver(hook)
        while True:
            tick = await in_thread("tick", hook.address, driver.tick)
            self.patience.answered()
            if tick.end is not None:
                return {"end": tick.end}
            await asyncio.sleep(tick.pause)

    def end(self, hook: EasHook) -> None:
        """End what it carries through."""
        self.driver(hook).kill("the task was ended by hand", self.kill_seconds)


class CanaryTrigger(DriverTrigger):
    """Yields `{"end": …}` when a rollout is over, whatever came of it.

    The deadline stands in the rollout itself: when it passes, the candidate is taken out, and the end says so.

    :param rollout: `RolloutSpec.to_dict()`.
    """

    def __init__(self, *, rollout: Json, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rollout = rollout

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        return {"hook_arguments": self.hook_arguments, "rollout": self.rollout, "task": self.task_key}

    def make_driver(self, hook: EasHook) -> RolloutDriver:
        """Build the driver."""
        # Here, as in the operator: a DAG file that is parsed has no use for the canary floor.
        from airflow_provider_pai.rollouts.rollout_driver import RolloutDriver
        from airflow_provider_pai.rollouts.spec import RolloutSpec

        return RolloutDriver(RolloutSpec.from_dict(self.rollout), hook, self.log)


class ShadowTrigger(DriverTrigger):
    """Yields `{"end": …}` when a shadow run is over and taken down.

    :param shadow: `ShadowSpec.to_dict()`.
    """

    def __init__(self, *, shadow: Json, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shadow = shadow

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        return {"hook_arguments": self.hook_arguments, "shadow": self.shadow, "task": self.task_key}

    def make_driver(self, hook: EasHook) -> ShadowDriver:
        """Build the driver."""
        from airflow_provider_pai.rollouts.shadow_driver import ShadowDriver, ShadowSpec

        return ShadowDriver(ShadowSpec(**self.shadow), hook, self.log)
