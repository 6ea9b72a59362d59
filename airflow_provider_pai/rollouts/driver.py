"""Ticks of a rollout or a shadow run, and the loop in which a worker waits for its end."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from airflow_provider_pai.clock import SYSTEM_CLOCK, Clock
from airflow_provider_pai.exceptions import PaiPermissionError, PaiTransientError
from airflow_provider_pai.hooks.waiting import Patience
from airflow_provider_pai.remote import Json

_BACK_OFF, _MAX_BACK_OFF = 1.0, 15.0


class Tick(NamedTuple):
    """What one tick came to: an end, or seconds until the next."""

    pause: float = 0.0
    end: Json | None = None
    answered: bool = True


class Driver(Protocol):
    """One process's hand on what is carried through; what there is to do follows from what EAS shows."""

    def tick(self) -> Tick:
        """Look once and do the one next thing.

        :raises PaiTransientError: no answer; the next tick goes on.
        """
        ...

    def kill(self, why: str, seconds: float) -> None:
        """End what is carried through, at once; it can be called in the middle of a tick.

        :param seconds: how long it may take.
        """
        ...


def begin(driver: Driver, log: Any, back_off: float = _BACK_OFF) -> Tick:
    """Go on until the end or a pause, which lasts `back_off` seconds where no answer came."""
    while True:
        try:
            tick = driver.tick()
        except PaiTransientError as error:
            log.warning("No answer, waiting on: %s", error)
            return Tick(pause=back_off, answered=False)
        if tick.end is not None or tick.pause:
            return tick


def drive(driver: Driver, log: Any, clock: Clock = SYSTEM_CLOCK) -> Json:
    """Go on until the end, and return it."""
    back_off, patience = _BACK_OFF, Patience(clock, log, paid=True, denials=False)
    while True:
        try:
            tick = begin(driver, log, back_off)
            patience.answered()
        except PaiPermissionError as error:
            patience.bear(error)
            tick = Tick(pause=back_off, answered=False)
        if tick.end is not None:
            return tick.end
        back_off = _BACK_OFF if tick.answered else min(2 * back_off, _MAX_BACK_OFF)
        clock.sleep(tick.pause)
