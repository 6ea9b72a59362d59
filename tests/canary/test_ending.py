"""Endings of a rollout: frozen, baked, approved, drained, and never without somebody who answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_pai.canary.actions import Customize, Finish, Look, Release, Stop
from airflow_provider_pai.canary.group import Member, Phase
from airflow_provider_pai.labels import Mark, Owner
from tests.fake import PLAN, FakeEas, goal

FIRST, SECOND = "20261121T1800Z-aaaaaaaa", "20261122T1800Z-bbbbbbbb"
STABLE, CANDIDATE = goal(FIRST).service, goal(SECOND).service


@pytest.fixture
def eas():
    eas = FakeEas()
    assert eas.run(goal(FIRST)).outcome == "deployed"
    return eas


def test_a_mark_of_a_rollback_is_no_reason_of_a_rollout(eas):
    first = eas.run(goal(FIRST))
    mark = Mark(owner=Owner(task="back", cycle=1), replaced=CANDIDATE)
    eas.members[STABLE] = replace(eas.members[STABLE], labels={**eas.members[STABLE].labels, **mark.labels()})
    assert eas.run(goal(FIRST, cycle=1)) == first


def bad(rate=0.3):
    return lambda name: rate if name == CANDIDATE else 0.0


def until_look(eas, aim=None, plan=PLAN, percent=0):
    for action in eas.actions(aim or goal(SECOND), plan):
        if isinstance(action, Look) and action.percent >= percent:
            return
    raise AssertionError("it ended before")


def test_a_frozen_candidate_keeps_its_share_for_a_person(eas):
    eas.error_rate = bad()
    finish = eas.run(goal(SECOND), replace(PLAN, on_failure="freeze"))
    assert (finish.outcome, "error rate" in finish.why) == ("stopped", True)
    assert eas.serving == {STABLE: pytest.approx(0.9), CANDIDATE: pytest.approx(0.1)}
    assert eas.run(goal(SECOND), replace(PLAN, on_failure="freeze")) == finish


def test_a_hard_limit_is_never_frozen_nor_tolerated(eas):
    eas.error_rate = bad(0.8)
    plan = replace(PLAN, on_failure="freeze", max_failures=50, hard_error_rate=0.1)
    assert eas.run(goal(SECOND), plan).outcome == "rolled_back"
    assert sum(call.startswith("look") for call in eas.calls) == 1


def test_failures_of_a_step_are_counted_also_when_others_come_between(eas):
    looks = []

    def wrong(_name):
        looks.append(1)
        return "41 instead of 42" if len(looks) % 2 else ""

    eas.wrong = wrong
    plan = replace(PLAN, max_failures=2, max_consecutive_failures=1, min_duration=60)
    finish = eas.run(goal(SECOND), plan)
    assert (finish.outcome, len(looks)) == ("rolled_back", 5)
    assert "golden requests: 41 instead of 42" in finish.why


def test_failures_in_a_row_have_a_limit_of_their_own(eas):
    eas.wrong = lambda name: "41 instead of 42"
    plan = replace(PLAN, max_failures=10, max_consecutive_failures=1)
    assert eas.run(goal(SECOND), plan).outcome == "rolled_back"
    assert sum(call.startswith("look") for call in eas.calls) == 2


def test_the_old_service_stays_up_while_the_new_one_bakes(eas):
    plan, at_100 = replace(PLAN, bake=60), None
    for _ in eas.actions(goal(SECOND), plan):
        if eas.serving.get(CANDIDATE) == 1.0 and at_100 is None:
            at_100 = eas.now
        if eas.members[STABLE].status != "Running":
            break
    assert eas.now - at_100 >= plan.bake + plan.drain
    finish = eas.run(goal(SECOND), plan)
    assert [step.percent for step in finish.progress.steps] == [10, 50, 100]
    assert eas.dropped == 0


def test_one_that_goes_bad_while_it_bakes_is_rolled_back(eas):
    plan = replace(PLAN, bake=60)
    for _ in eas.actions(goal(SECOND), plan):
        progress = eas.members[CANDIDATE].progress if CANDIDATE in eas.members else None
        if progress and progress.step == len(plan.steps) and progress.since:
            break
    eas.error_rate = bad()
    assert eas.run(goal(SECOND), plan).outcome == "rolled_back"
    assert eas.serving == {STABLE: 1.0}
    assert eas.dropped == 0


def test_it_rises_to_100_percent_only_when_a_person_says_so(eas):
    aim, seen = goal(SECOND, approval="ask"), 0
    eas.gate = "waiting"
    for action in eas.actions(aim):
        seen += isinstance(action, Look) and action.percent == 50
        if seen > 20:
            break
    assert eas.serving[CANDIDATE] == 0.5
    eas.gate = "open"
    assert eas.run(aim).outcome == "promoted"


def test_one_that_goes_bad_while_a_person_thinks_is_rolled_back(eas):
    eas.gate = "waiting"
    until_look(eas, goal(SECOND, approval="ask"), percent=50)
    eas.error_rate = bad()
    assert eas.run(goal(SECOND, approval="ask")).outcome == "rolled_back"


@pytest.mark.parametrize("steps", [(10, 100), (100,)])
def test_a_person_may_refuse(eas, steps):
    eas.gate = "refused"
    finish = eas.run(goal(SECOND, approval="ask"), replace(PLAN, steps=steps))
    assert (finish.outcome, finish.why) == ("rolled_back", "the promotion was not approved")
    assert eas.serving == {STABLE: 1.0}


def test_requests_in_flight_at_a_withdrawn_candidate_may_end(eas):
    eas.error_rate = bad()
    plan, left = replace(PLAN, drain=25), None
    for action in eas.actions(goal(SECOND), plan):
        member = eas.members.get(CANDIDATE)
        if left is None and member and member.progress.phase is Phase.WITHDRAWN:
            left = eas.now
        if isinstance(action, Stop):
            break
    assert eas.now - left >= plan.drain - 1


def test_a_bad_candidate_stays_where_nobody_else_can_serve(eas):
    until_look(eas)
    eas.members[STABLE] = replace(eas.members[STABLE], status="Waiting", running=0)
    eas.error_rate = bad()
    finish = eas.run(goal(SECOND))
    assert (finish.outcome, "nothing else can serve" in finish.why) == ("stopped", True)
    assert set(eas.serving) == {CANDIDATE}


def test_no_rise_before_every_instance_is_ready(eas):
    until_look(eas)
    eas.members[CANDIDATE] = replace(eas.members[CANDIDATE], running=1, total=2)
    for count, _ in enumerate(eas.actions(goal(SECOND))):
        if count > 30:
            break
    assert eas.serving[CANDIDATE] == pytest.approx(0.1)
    eas.members[CANDIDATE] = replace(eas.members[CANDIDATE], running=2)
    assert eas.run(goal(SECOND)).outcome == "promoted"


def test_production_goes_only_when_every_instance_can_take_its_place(eas):
    for _ in eas.actions(goal(SECOND)):
        if CANDIDATE in eas.members and eas.members[CANDIDATE].progress.phase is Phase.PROMOTING:
            break
    eas.members[CANDIDATE] = replace(eas.members[CANDIDATE], running=1, total=2)
    finish = eas.run(goal(SECOND))
    assert (finish.outcome, "1 of 2 instances" in finish.why) == ("rolled_back", True)
    assert eas.serving == {STABLE: 1.0}
    assert eas.dropped == 0


def test_production_that_somebody_stops_is_drift(eas):
    until_look(eas)
    eas.members[STABLE] = replace(eas.members[STABLE], status="Stopping", running=0)
    finish = eas.run(goal(SECOND))
    assert (finish.outcome, f"{STABLE} is Stopping" in finish.why) == ("stopped", True)
    assert set(eas.serving) == {CANDIDATE}


def test_the_gateway_has_time_to_learn_weights_before_it_follows_them():
    eas = FakeEas()
    eas.members["byhand"] = Member(name="byhand", status="Running", running=2, total=2, weight=-1, grouping=True)
    weighed = followed = None
    for action in eas.actions(goal(SECOND)):
        if isinstance(action, Release) and action.service == "byhand" and weighed is None:
            weighed = eas.now
        if isinstance(action, Customize):
            followed = eas.now
        if isinstance(action, Finish):
            assert action.outcome == "promoted"
    assert followed - weighed >= PLAN.drain
    assert eas.dropped == 0
