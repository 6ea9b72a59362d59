"""Rollouts while production is in trouble: harmed by the candidate, of its own accord, down or deleted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_pai.canary.actions import Look
from airflow_provider_pai.canary.group import Phase
from tests.fake import PLAN, FakeEas, goal

FIRST, SECOND = "20261121T1800Z-aaaaaaaa", "20261122T1800Z-bbbbbbbb"
STABLE, CANDIDATE = goal(FIRST).service, goal(SECOND).service


@pytest.fixture
def eas():
    """A group that serves the first night's model, and has for a while."""
    eas = FakeEas()
    assert eas.run(goal(FIRST)).outcome == "deployed"
    eas.sleep(60)
    return eas


def poisons(eas, rate=0.48, *, itself=0.0):
    """Let production fail while the candidate has traffic, and the candidate a little."""
    harm = lambda: bool(eas.serving.get(CANDIDATE)) and eas.serving.get(STABLE)  # noqa: E731
    return lambda name: (itself if name == CANDIDATE else rate) if harm() else 0.0


def test_a_candidate_that_poisons_production_is_taken_back_first_of_all(eas):
    eas.error_rate = poisons(eas)
    finish = eas.run(goal(SECOND))
    assert finish.outcome == "rolled_back"
    assert finish.why.startswith("production went from 0.0% to 4")
    assert finish.why.endswith("% errors since the candidate has traffic")
    assert [step.percent for step in finish.progress.steps] == [10]
    looked = max(i for i, call in enumerate(eas.calls) if call.startswith("look"))
    assert eas.calls[looked + 1] == f"release {CANDIDATE} 0 False"
    assert (eas.serving, eas.dropped) == ({STABLE: 1.0}, 0)


def test_its_digest_is_not_remembered_as_bad_since_nobody_knows(eas):
    eas.error_rate = poisons(eas)
    eas.run(goal(SECOND))
    eas.error_rate = lambda name: 0.0
    assert eas.members[STABLE].progress.rejected == ()
    assert eas.run(goal(SECOND, cycle=1)).outcome == "promoted"


def test_another_process_knows_production_s_past_too(eas):
    eas.error_rate = poisons(eas, rate=0.2)
    for _ in range(6):
        for action in eas.actions(goal(SECOND)):
            if isinstance(action, Look):
                assert action.past
                break
    assert eas.run(goal(SECOND)).why.startswith("production went from")


@pytest.mark.parametrize("began", [-40, -15, -6])
def test_trouble_of_production_s_own_is_not_blamed_on_the_candidate(eas, began):
    """It began so many seconds before the candidate had any traffic; its own requests are well."""
    exposed = eas.now + eas.ready_after + 2
    eas.error_rate = lambda name: 0.3 if name == STABLE and eas.now > exposed + began else 0.0
    assert eas.run(goal(SECOND)).outcome == "promoted"


def test_a_group_without_a_past_is_judged_by_what_there_is():
    eas = FakeEas()
    eas.run(goal(FIRST))
    eas.counts.clear()
    eas.error_rate = poisons(eas, rate=0.03)
    assert eas.run(goal(SECOND), replace(PLAN, interval=2, min_duration=2)).outcome == "promoted"


def test_a_production_that_is_down_for_a_minute_does_not_hand_everything_to_an_unjudged_candidate(eas):
    plan, down = replace(PLAN, ready_timeout=90), None
    for _ in eas.actions(goal(SECOND), plan):
        member = eas.members.get(CANDIDATE)
        if down is None and member and member.progress.phase is Phase.SMOKED:
            eas.members[STABLE], down = replace(eas.members[STABLE], status="Waiting", running=0), eas.now
        if down is not None and eas.now > down + 60:
            eas.members[STABLE] = replace(eas.members[STABLE], status="Running", running=1)
        assert eas.serving.get(CANDIDATE, 0) <= 0.5 or eas.members[CANDIDATE].progress.steps
    assert (eas.end["outcome"], [step["percent"] for step in eas.end["steps"]]) == ("promoted", [10, 50, 100])


def test_one_that_stays_down_is_replaced_in_the_end(eas):
    for _ in eas.actions(goal(SECOND)):
        if (member := eas.members.get(CANDIDATE)) and member.progress.phase is Phase.SMOKED:
            eas.members[STABLE] = replace(eas.members[STABLE], status="Waiting", running=0)
    assert (eas.end["outcome"], eas.end["reason"]) == ("deployed", "nothing served before")


@pytest.mark.parametrize("phase", [Phase.PREPARE, Phase.SMOKED])
def test_where_production_was_deleted_by_hand_a_person_is_asked(eas, phase):
    for _ in eas.actions(goal(SECOND)):
        if (member := eas.members.get(CANDIDATE)) and member.progress.phase is phase:
            eas.members.pop(STABLE, None)
    assert (eas.end["outcome"], CANDIDATE in eas.serving) == ("stopped", False)
    assert eas.end["reason"] == f"someone else intervened: {STABLE}, which served, is gone"


@pytest.mark.parametrize("lag", [0.5, 2, 7, 25, 100])
@pytest.mark.parametrize("min_duration", [2, 10])
def test_weights_that_come_later_than_a_step_is_long_reject_no_good_model(eas, lag, min_duration):
    eas.weight_lag = lag
    plan = replace(PLAN, min_duration=min_duration, interval=2, drain=1)
    finish = eas.run(goal(SECOND), plan)
    assert (finish.outcome, [step.percent for step in finish.progress.steps]) == ("promoted", [10, 50, 100])
    assert eas.dropped == 0


@pytest.mark.parametrize("lag", [0, 7])
def test_bad_models_are_found_behind_late_weights_too(eas, lag):
    eas.weight_lag, eas.error_rate = lag, lambda name: 0.3 if name == CANDIDATE else 0.0
    assert eas.run(goal(SECOND)).outcome == "rolled_back"
    assert eas.serving == {STABLE: 1.0}


@pytest.mark.parametrize("answers_for", [0, 8, 20])
def test_one_that_hangs_is_told_from_weights_that_are_late(eas, answers_for):
    first = lambda: next((at for at, *_ in eas.counts.get(CANDIDATE, [])), eas.now)  # noqa: E731
    eas.hangs = lambda name: name == CANDIDATE and eas.now >= first() + answers_for
    finish = eas.run(goal(SECOND), replace(PLAN, gateway_timeout=30))
    assert (finish.outcome, "requests hang" in finish.why) == ("rolled_back", True)
