"""A holder that freezes in the middle of a call, and wakes when others have gone on: its late call changes nothing."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_pai.canary.group import UNDER_WAY
from airflow_provider_pai.rollouts.fence import Fence
from airflow_provider_pai.rollouts.lease import LeaseLostError
from airflow_provider_pai.rollouts.takeover import Takeover
from tests.fake import FakeEas, goal
from tests.rollouts.test_rollout_driver import CANDIDATE, SECOND, STABLE, THIRD, bad, lease_of
from tests.rollouts.test_touched import served, to_its_end

MOVES = [f"release {STABLE} 90", f"release {CANDIDATE} 10", f"release {CANDIDATE} 50", f"release {STABLE} 50"]
MOVES += [f"release {CANDIDATE} 100", f"release {STABLE} 0", "customized", f"stop {STABLE}", f"label {CANDIDATE}"]


def freeze(eas: FakeEas, call: str, meanwhile) -> list[str]:
    """Let the holder freeze in a call, on its way to EAS, until others have done what they do."""
    frozen = []

    def before(now: str) -> None:
        if now.startswith(call) and not frozen:
            frozen.append(now)
            meanwhile()

    eas.before_call = before
    return frozen


def consistent(eas, serves):
    assert eas.serving == {serves: 1.0}
    assert [(one.name, one.weight) for one in eas.members.values() if one.grouping] == [(serves, 100)]
    assert [one.name for one in eas.members.values() if one.running] == [serves]
    assert not [one for one in eas.members.values() if one.progress.phase in UNDER_WAY]


@pytest.mark.parametrize("call", MOVES)
@pytest.mark.parametrize("error_rate", [lambda name: 0.0, bad])
def test_another_process_of_the_task_ends_the_rollout_meanwhile(call, error_rate):
    eas = served(error_rate=error_rate)
    eas.customized = call != "customized"
    ends = []
    frozen = freeze(eas, call, lambda: ends.append(to_its_end(eas, eas.driver(goal(SECOND)))))
    own = to_its_end(eas, eas.driver(goal(SECOND)))
    if frozen:
        assert own["outcome"] == ends[0]["outcome"]
    assert own["outcome"] == ("rolled_back" if error_rate is bad else "promoted")
    consistent(eas, STABLE if error_rate is bad else CANDIDATE)


@pytest.mark.parametrize("call", MOVES)
@pytest.mark.parametrize("ticks", range(1, 30, 4))
def test_another_process_of_the_task_is_in_the_middle_of_it(call, ticks):
    eas = served()
    eas.customized = call != "customized"
    heir, driver = eas.driver(goal(SECOND)), eas.driver(goal(SECOND))

    def a_while():
        for _ in range(ticks):
            eas.sleep(heir.tick().pause)

    frozen = freeze(eas, call, a_while)
    while not frozen:
        eas.sleep(driver.tick().pause)
    assert to_its_end(eas, heir)["outcome"] == "promoted"
    consistent(eas, CANDIDATE)


@pytest.mark.parametrize("call", MOVES)
def test_the_next_rollout_takes_the_group_meanwhile(call):
    eas = served()
    eas.customized = call != "customized"

    def next_night():
        eas.sleep(400)
        assert to_its_end(eas, eas.driver(goal(THIRD)))["outcome"] == "promoted"

    frozen = freeze(eas, call, next_night)
    to_its_end(eas, eas.driver(goal(SECOND)))
    assert frozen
    consistent(eas, goal(THIRD).service)


@pytest.mark.parametrize("call", MOVES)
@pytest.mark.parametrize("ticks", range(3, 40, 8))
def test_the_next_rollout_is_in_the_middle_of_it(call, ticks):
    """It goes on, or a person is told; what was withdrawn is not in the traffic again."""
    eas = served()
    eas.customized = call != "customized"
    heir, driver, ended = eas.driver(goal(THIRD)), eas.driver(goal(SECOND)), []

    def a_while():
        eas.sleep(400)
        for _ in range(ticks):
            tick = heir.tick()
            if tick.end is not None:
                ended.append(tick.end)
                return
            eas.sleep(tick.pause)

    frozen = freeze(eas, call, a_while)
    while not frozen:
        eas.sleep(driver.tick().pause)
    end = ended[0] if ended else to_its_end(eas, heir)
    assert end["outcome"] in ("promoted", "stopped"), end
    # What was on its way arrives; it is taken back with the next call, a tenth of a second later.
    assert eas.dropped <= 0.1 * eas.rate
    if "label" not in call and "stop" not in call and f"{CANDIDATE} 100" not in call:
        assert CANDIDATE not in eas.serving


def test_a_way_back_that_was_overtaken_moves_no_traffic():
    eas = served()
    eas.run(goal(SECOND))
    mine, other = lease_of(eas, "back"), lease_of(eas, "other")
    assert mine.take() is None
    log = logging.getLogger()
    back = Takeover(hook=eas, group="digits", service=STABLE, replaced=CANDIDATE, log=log, clock=eas.time.clock)
    eas.sleep(301)
    assert other.take() is None
    with pytest.raises(LeaseLostError):
        back.move(Fence(mine, eas, "digits"))
    assert eas.serving == {CANDIDATE: 1.0}
