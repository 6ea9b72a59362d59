"""Killed anywhere, resumed anywhere: every rollout ends, with the right weights and never a second candidate."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace

import pytest

from airflow_provider_pai.canary.actions import Finish, Look
from airflow_provider_pai.canary.group import UNDER_WAY
from tests.fake import FakeEas, KilledError, goal

FIRST, SECOND, THIRD = "20261121T1800Z-aaaaaaaa", "20261122T1800Z-bbbbbbbb", "20261123T1800Z-cccccccc"


class Killer:
    """Ends the process between two calls."""

    def __init__(self, dice: random.Random, chance: float) -> None:
        self.dice, self.chance = dice, chance

    def __call__(self, call: str) -> None:
        if self.dice.random() < self.chance:
            raise KilledError(call)


def run_through_kills(eas: FakeEas, aim, dice: random.Random) -> Finish:
    for _ in range(200):
        try:
            finish = eas.run(aim)
        except KilledError:
            eas.sleep(dice.choice([0, 0, 3, 40]))
            continue
        eas.before_call = lambda call: None
        assert eas.run(aim) == finish, "the end is heard again"
        return finish
    raise AssertionError("never ended")


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("error_rate", [0.0, 0.25])
def test_ends_promoted_or_rolled_back(seed, error_rate):
    dice = random.Random(seed)
    eas = FakeEas(dice=random.Random(seed))
    eas.run(goal(FIRST))
    candidate = goal(SECOND).service
    eas.error_rate = lambda name: error_rate if name == candidate else 0.0
    eas.before_call = Killer(dice, 0.15)
    finish = run_through_kills(eas, goal(SECOND), dice)
    winner = goal(SECOND).service if finish.outcome == "promoted" else goal(FIRST).service
    assert finish.outcome == ("rolled_back" if error_rate else "promoted")
    assert eas.serving == {winner: 1.0}
    assert sum(max(0, m.weight) for m in eas.members.values() if m.grouping) == 100
    assert eas.created == [goal(FIRST).service, candidate]
    assert [m.name for m in eas.members.values() if m.running] == [winner]
    assert not [m for m in eas.members.values() if m.progress.phase in UNDER_WAY]
    assert eas.dropped == 0


@pytest.mark.parametrize("seed", range(30))
def test_the_next_night_cleans_up_after_a_rollout_that_nobody_resumes(seed):
    dice = random.Random(seed)
    eas = FakeEas(dice=random.Random(seed))
    eas.run(goal(FIRST))
    eas.before_call = Killer(dice, 0.06)
    with suppress(KilledError):
        eas.run(goal(SECOND))
    eas.before_call = Killer(dice, 0.1)
    assert run_through_kills(eas, goal(THIRD), dice).outcome == "promoted"
    assert eas.serving == {goal(THIRD).service: 1.0}
    assert [m.name for m in eas.members.values() if m.running] == [goal(THIRD).service]
    assert eas.dropped == 0


@pytest.mark.parametrize("seed", range(20))
def test_another_hand_at_a_random_moment_never_leaves_the_candidate_in_charge_unseen(seed):
    """Whatever someone sets, the rollout ends: promoted, rolled back, or stopped with what they set untouched."""
    dice = random.Random(seed)
    eas = FakeEas(dice=random.Random(seed))
    eas.run(goal(FIRST))
    moment = dice.randrange(3, 30)
    for count, action in enumerate(eas.actions(goal(SECOND))):
        if count == moment and goal(SECOND).service in eas.members and not isinstance(action, Look):
            name = dice.choice(list(eas.members))
            eas.members[name] = replace(eas.members[name], weight=dice.randrange(0, 101), grouping=dice.random() < 0.5)
        if isinstance(action, Finish):
            assert action.outcome in ("promoted", "rolled_back", "stopped")
