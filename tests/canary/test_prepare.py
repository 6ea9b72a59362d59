"""Before the first request: the candidate comes up, answers golden requests, and nobody else has come in between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_pai.canary.actions import Isolate, Label, Probe, Wait, Withdraw
from airflow_provider_pai.canary.group import Group, Phase
from airflow_provider_pai.canary.prepare import after_probe, create, prepare
from tests.fake import PLAN, goal
from tests.situation import CANDIDATE, FIRST, NOW, SECOND, STABLE, member, progress_of, situation, without_stable


def test_the_candidate_remembers_whom_it_is_compared_with_and_what_was_bad():
    served = progress_of(FIRST, Phase.PROMOTED, rejected=("aaaaaaaaaaaa.bbbbbbbbbbbb.0",))
    stable = member(STABLE, served, weight=100, grouping=True)
    made = create(goal(SECOND), Group(name="digits", customized=True, members=(stable,)), NOW)
    assert (made.service, made.progress.phase, made.progress.stable) == (CANDIDATE, Phase.PREPARE, STABLE)
    assert (made.progress.since, made.progress.rejected) == (NOW, ("aaaaaaaaaaaa.bbbbbbbbbbbb.0",))


@pytest.mark.parametrize(("status", "stable"), [("Failed", STABLE), ("Stopping", "")])
def test_one_that_should_serve_but_is_down_is_replaced(status, stable):
    down = member(STABLE, weight=100, grouping=True, status=status, running=0)
    group = Group(name="digits", customized=True, members=(down,))
    assert create(goal(SECOND), group, NOW).progress.stable == stable


def test_a_first_candidate_is_compared_with_nobody():
    assert create(goal(SECOND), Group(name="digits"), NOW).progress.stable == ""


def test_waits_while_it_comes_up():
    starting = {"status": "Creating", "running": 0}
    assert prepare(situation(Phase.PREPARE, candidate=starting)) == Wait(
        why=f"{CANDIDATE} is Creating, 0 of 1 instances", seconds=2
    )
    late = prepare(situation(Phase.PREPARE, candidate=starting, now=NOW + PLAN.ready_timeout))
    assert (type(late), late.progress.outcome, late.progress.rejected) == (Withdraw, "timed_out", ())


def test_one_that_fails_is_not_waited_for():
    failed = prepare(situation(Phase.PREPARE, candidate={"status": "Failed", "running": 0}))
    assert (type(failed), failed.progress.outcome) == (Withdraw, "rejected")


def test_golden_requests_come_once():
    assert prepare(situation(Phase.PREPARE)) == Probe(service=CANDIDATE)
    assert prepare(situation(Phase.SMOKED)).progress.phase is Phase.STEP
    assert prepare(situation(Phase.PREPARE, goal=goal(SECOND, smoke=False))) == Probe(service=CANDIDATE)


def test_the_first_step_notes_what_is_compared():
    first = prepare(situation(Phase.SMOKED, stable={"version": 4}, candidate={"version": 2}))
    progress = first.progress
    assert (progress.step, progress.since, progress.own_version, progress.stable_version) == (0, None, 2, 4)


def test_a_person_can_end_it():
    ended = prepare(situation(Phase.SMOKED, stop="the deadline passed"))
    assert (ended.progress.outcome, ended.progress.note) == ("rolled_back", "the deadline passed")


def test_one_that_nobody_expected_to_serve_is_drift():
    other = member("other", weight=5, grouping=True)
    drifted = prepare(situation(Phase.SMOKED, other))
    assert (drifted.progress.phase, f"{STABLE}, other serve" in drifted.why) == (Phase.DRIFTED, True)


def test_a_newer_model_that_serves_meanwhile_is_not_replaced():
    older = goal(SECOND, interval_end="2026-11-20T18:00:00Z")
    assert prepare(situation(Phase.SMOKED, goal=older)).progress.outcome == "skipped"


def test_where_nothing_serves_it_goes_straight_to_100_percent():
    alone = prepare(without_stable(situation(Phase.SMOKED, stable_name="")))
    assert (alone.progress.phase, alone.progress.outcome) == (Phase.PROMOTING, "deployed")


@pytest.mark.parametrize("status", ["Waiting", "Starting", "Updating", "Scaling"])
def test_production_that_restarts_may_come_back_for_as_long_as_a_service_may_take(status):
    later = {"stable": {"status": status, "running": 0}, "now": NOW + 999}
    noticed = prepare(situation(Phase.SMOKED, **later))
    assert (type(noticed), noticed.progress.phase, noticed.progress.since) == (Label, Phase.ALONE, NOW + 999)
    waits = situation(Phase.ALONE, **{**later, "now": NOW + PLAN.ready_timeout - 1})
    assert prepare(waits) == Wait(why=f"{STABLE} is {status}, 0 of 1 instances; it may come back", seconds=1)
    assert prepare(replace(waits, now=NOW + PLAN.ready_timeout)).progress.phase is Phase.PROMOTING
    back = prepare(situation(Phase.ALONE, now=NOW + 30))
    assert (back.progress.phase, back.progress.since) == (Phase.SMOKED, NOW + 30)


@pytest.mark.parametrize("status", ["Failed", "Stopped", "Deleting"])
def test_production_that_does_not_come_back_is_replaced_at_once(status):
    assert prepare(situation(Phase.SMOKED, stable={"status": status, "running": 0})).progress.phase is Phase.PROMOTING


@pytest.mark.parametrize("phase", [Phase.SMOKED, Phase.ALONE])
def test_where_production_was_deleted_nobody_gets_a_model_that_was_not_judged(phase):
    left = prepare(without_stable(situation(phase)))
    assert (left.progress.phase, left.progress.outcome) == (Phase.DRIFTED, "stopped")
    assert left.progress.note == f"someone else intervened: {STABLE}, which served, is gone"


def test_a_plan_of_one_step_asks_the_person_first():
    one = situation(Phase.SMOKED, plan=replace(PLAN, steps=(100,)), goal=goal(SECOND, approval="ask"), gate="waiting")
    assert isinstance(prepare(one), Wait)
    assert prepare(replace(one, gate="open")).progress.phase is Phase.STEP


def test_answers_decide():
    one = situation(Phase.PREPARE, now=NOW + 7)
    passed, failed = after_probe(one, ""), after_probe(one, "41 instead of 42")
    assert (type(passed), passed.progress.phase, passed.progress.since) == (Label, Phase.SMOKED, NOW + 7)
    assert (failed.progress.outcome, failed.progress.note) == ("rejected", "smoke test: 41 instead of 42")


def unreached(phase, **changes):
    return after_probe(situation(phase, **changes), "status 404, not 200: ", unreached=True)


def test_a_gateway_that_does_not_reach_it_is_waited_for_from_the_first_such_answer_on():
    noted = unreached(Phase.PREPARE, now=NOW + 50)
    assert (type(noted), noted.progress.phase, noted.progress.since) == (Label, Phase.READY, NOW + 50)
    assert prepare(situation(Phase.READY)) == Probe(service=CANDIDATE)
    waits = unreached(Phase.READY, now=NOW + PLAN.gateway_timeout - 1)
    assert (type(waits), waits.seconds) == (Wait, 1)
    assert after_probe(situation(Phase.READY), "").progress.phase is Phase.SMOKED
    assert after_probe(situation(Phase.READY), "41").progress.outcome == "rejected"


def test_one_that_is_not_reached_in_time_is_taken_out_and_not_remembered():
    ended = unreached(Phase.READY, now=NOW + PLAN.gateway_timeout, goal=goal(SECOND, try_number=3))
    assert (type(ended), ended.progress.outcome, ended.progress.try_number) == (Withdraw, "timed_out", 3)
    assert (ended.progress.rejected, ended.progress.note) == ((), "not reached for 180 s: status 404, not 200: ")


def test_without_golden_requests_it_goes_on_in_the_end():
    bare = goal(SECOND, smoke=False)
    assert unreached(Phase.PREPARE, goal=bare).progress.phase is Phase.READY
    gone_on = unreached(Phase.READY, now=NOW + PLAN.gateway_timeout, goal=bare)
    assert (type(gone_on), gone_on.progress.phase) == (Label, Phase.SMOKED)


def test_no_patience_is_no_wait():
    at_once = unreached(Phase.PREPARE, plan=replace(PLAN, gateway_timeout=0))
    assert (type(at_once), at_once.progress.outcome) == (Withdraw, "timed_out")


@pytest.mark.parametrize("phase", [Phase.PREPARE, Phase.READY, Phase.SMOKED])
@pytest.mark.parametrize("state", [{}, {"status": "Creating", "running": 0}])
def test_one_that_eas_gives_traffic_is_taken_out_before_anything_else(phase, state):
    taken = situation(phase, candidate={"grouping": True, "weight": 100, **state})
    assert prepare(taken) == Isolate(service=CANDIDATE)
    stuck = prepare(replace(taken, now=NOW + PLAN.ready_timeout))
    assert (type(stuck), stuck.progress.outcome) == (Withdraw, "timed_out")
