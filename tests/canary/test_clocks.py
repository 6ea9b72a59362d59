"""Clocks: what is decided does not hang on them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_pai.clock import Clock
from airflow_provider_pai.hooks.service_time import ServiceTime
from airflow_provider_pai.rollouts.rollout_driver import RolloutDriver
from tests.fake import PLAN, FakeEas, goal, spec_of
from tests.hooks.test_service_time import answer

FIRST, SECOND = "20261121T1800Z-aaaaaaaa", "20261122T1800Z-bbbbbbbb"
HOUR = 3600.0


class Worker:
    """A process whose clock is wrong, and whose monotonic clock began at some time; it hears what services answer."""

    def __init__(self, eas: FakeEas, skew: float, booted: float) -> None:
        self._eas, self._time, self._booted = eas, ServiceTime(), booted
        self._own = Clock(now=lambda: eas.now + skew, monotonic=self._monotonic, sleep=eas.sleep)

    def _monotonic(self) -> float:
        return self._eas.now - self._booted

    def driver(self, aim, plan) -> RolloutDriver:
        """Return its hand on a rollout."""
        answer(self._time, self._eas.now, self._monotonic(), self._monotonic())
        clock, log = self._time.clock(self._own), self._eas.log
        return RolloutDriver(spec_of(aim, plan), self._eas, log, lambda: "open", clock, self._eas.lookout)


def ends(skews, *, plan=PLAN, error_rate=0.0, ready_after=6.0):
    """Let one process after the other carry a rollout for some ticks, each with its own clock; tell how it ends."""
    eas = FakeEas(ready_after=ready_after)
    eas.run(goal(FIRST))
    eas.error_rate = lambda name: error_rate if name == goal(SECOND).service else 0.0
    began, aim = eas.now, goal(SECOND)
    for number, skew in enumerate(skews * 400):
        driver = Worker(eas, skew, booted=1000.0 * number).driver(aim, plan)
        for _ in range(7):
            tick = driver.tick()
            if tick.end is not None:
                return tick.end["outcome"], [step["percent"] for step in tick.end["steps"]], eas.now - began
            eas.sleep(tick.pause)
    raise AssertionError("no end in sight")


SKEWS = st.sampled_from([-HOUR, -10.0, 0.0, 10.0, HOUR])


@settings(max_examples=15, deadline=None)
@given(st.lists(SKEWS, min_size=1, max_size=3), st.sampled_from([0.0, 0.3]), st.sampled_from([6.0, 50.0, 1000.0]))
def test_what_is_decided_is_the_same_under_any_clocks(skews, error_rate, ready_after):
    outcome, percents, seconds = ends([0.0] * len(skews), error_rate=error_rate, ready_after=ready_after)
    skewed = ends(skews, error_rate=error_rate, ready_after=ready_after)
    assert skewed[:2] == (outcome, percents)
    assert skewed[2] == pytest.approx(seconds, abs=20)


@pytest.mark.parametrize("skew", [-HOUR, HOUR])
def test_a_candidate_that_starts_is_waited_for(skew):
    outcome, _, _ = ends([0.0, skew], ready_after=50.0)
    assert outcome == "promoted"
