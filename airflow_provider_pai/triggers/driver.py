"""What carries a rollout or a shadow run through, tick by tick: the loop of a worker and that of a trigger."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from airflow_provider_pai.exceptions import PaiTransientError
from airflow_provider_pai.remote import Json
from airflow_provider_pai.triggers.base import OwningTrigger

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.base import PaiHook

_BACK_OFF, _MAX_BACK_OFF = 1.0, 15.0

# A tick is a dozen calls: repeating one is cheaper than beginning the tick anew.
_RETRY_SECONDS = 5.0


class Tick(NamedTuple):
    """What one tick came to: an end, or seconds until the next."""

    pause: float = 0.0
    end: Json | None = None


class Driver(Protocol):
    """One process's hand on what is carried through; what there is to do follows from what EAS shows."""

    def tick(self) -> Tick:
        """Look once and do the one next thing.

        :raises PaiTransientError: no answer; the next tick goes on.
        """
        ...


def drive(driver: Driver, log: Any) -> Json:
    """Go on until the end, and return it."""
    back_off = _BACK_OFF
    while True:
        try:
            tick = driver.tick()
            back_off = _BACK_OFF
        except PaiTransientError as error:
            log.warning("No answer, waiting on: %s", error)
            tick = Tick(pause=back_off)
            back_off = min(2 * back_off, _MAX_BACK_OFF)
        if tick.end is not None:
            return tick.end
        time.sleep(tick.pause)


class DriverTrigger(OwningTrigger):
    """Yields `{"end": …}` when what it carries through is over, whatever came of it."""

    hook_path = "airflow_provider_pai.hooks.eas.EasHook"

    def __init__(self, *, hook_arguments: Json, task: Json) -> None:
        super().__init__(hook_arguments=hook_arguments, poll_interval=_BACK_OFF, task=task)
        self._driver: Any = None

    def make_hook(self) -> PaiHook:
        """Build the hook."""
        hook = super().make_hook()
        hook.retry_seconds = _RETRY_SECONDS
        return hook

    @abstractmethod
    def make_driver(self, hook: Any) -> Driver:
        """Build the driver."""

    def driver(self, hook: Any) -> Any:
        """Return the driver, which is built once."""
        self._driver = self._driver or self.make_driver(hook)
        return self._driver

    async def poll(self, hook: Any) -> Json | None:
        """Go on until it is over; the SDK blocks, so every tick has a thread."""
        driver = self.driver(hook)
        while True:
            tick = await asyncio.to_thread(driver.tick)
            if tick.end is not None:
                return {"end": tick.end}
            await asyncio.sleep(tick.pause)
