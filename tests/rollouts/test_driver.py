"""The loop in which a worker waits: pauses as they are asked for, and growing ones while nobody answers."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_pai.exceptions import PaiConflictError, PaiPermissionError, PaiTransientError
from airflow_provider_pai.rollouts.driver import Tick, drive
from tests.clock import VirtualClock


class Script:
    """A driver whose ticks are written down."""

    def __init__(self, *ticks):
        self._ticks = iter(ticks)

    def tick(self):
        tick = next(self._ticks)
        if isinstance(tick, Exception):
            raise tick
        return tick


def driven(*ticks):
    """Drive to the end; return it and the pauses."""
    pauses: list[float] = []
    return drive(Script(*ticks), logging.getLogger(), VirtualClock(on_sleep=pauses.append).clock), pauses


def test_waits_as_long_as_each_tick_asks_for():
    assert driven(Tick(), Tick(pause=5), Tick(pause=0.5), Tick(end={"outcome": "promoted"})) == (
        {"outcome": "promoted"},
        [5, 0.5],
    )


def test_waits_longer_and_longer_while_nobody_answers():
    lost = PaiTransientError("eas", "DescribeGroup", "no answer", "Timeout")
    end, pauses = driven(*[lost] * 6, Tick(pause=3), lost, Tick(end={}))
    assert (end, pauses) == ({}, [1, 2, 4, 8, 15, 15, 3, 1])


def test_waits_while_its_credentials_are_refused_but_not_for_a_right_that_it_never_had():
    gone = PaiPermissionError("eas", "DescribeGroup", "expired", "InvalidSecurityToken.Expired", 400)
    end, pauses = driven(Tick(pause=3), gone, gone, Tick(end={}))
    assert (end, pauses) == ({}, [3, 1, 2])
    with pytest.raises(PaiPermissionError, match="expired"):
        driven(*[gone] * 1000)
    with pytest.raises(PaiPermissionError, match="denied"):
        driven(Tick(), PaiPermissionError("eas", "CreateService", "denied", "Forbidden.RAM", 403))


def test_any_other_error_is_the_task_s():
    with pytest.raises(PaiConflictError):
        driven(Tick(), PaiConflictError("eas", "StopService", "locked", "SafetyLock"))
