"""One step: the way to its share, the looks at it, and what follows from a judgement."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_pai.canary.actions import Customize, Label, Look, Release, Wait, Withdraw
from airflow_provider_pai.canary.analysis import Judgement
from airflow_provider_pai.canary.group import Phase
from airflow_provider_pai.canary.samples import Result, Sample, Window
from airflow_provider_pai.canary.step import after_look, gated, step
from tests.fake import PLAN, goal
from tests.situation import CANDIDATE, NOW, SECOND, STABLE, situation

AT_10 = {"stable": {"weight": 90}, "candidate": {"weight": 10, "grouping": True}}
AT_50 = {"stable": {"weight": 50}, "candidate": {"weight": 50, "grouping": True}}
AT_100 = {"stable": {"weight": 0}, "candidate": {"weight": 100, "grouping": True}}


def judged(result, reason="because", *, hard=False):
    window = Window(candidate=Sample(requests=30, errors=0))
    return Judgement(result=result, reason=reason, window=window, hard=hard)


PASS, FAIL, INCONCLUSIVE, ERROR = map(judged, Result)


# --- the way there


def test_the_share_is_reached_call_by_call():
    moving = {"since": None, "customized": False}
    first = step(situation(Phase.STEP, **moving))
    assert first == Release(service=STABLE, weight=90, grouping=True)
    weighed = {"stable": {"weight": 90}, "candidate": {"weight": 10}}
    told = step(situation(Phase.STEP, **weighed, **moving))
    assert (type(told), told.progress.settling) == (Label, NOW)
    learns = situation(Phase.STEP, **weighed, **moving, settling=NOW)
    assert isinstance(step(learns), Wait)
    assert step(replace(learns, now=NOW + PLAN.drain)) == Customize()


def test_what_is_reached_is_written_down_and_counted_anew():
    there = step(situation(Phase.STEP, **AT_10, since=None, failures=2, golden=8, settling=NOW - 9))
    assert (there.progress.since, there.progress.failures, there.progress.golden, there.progress.settling) == (
        NOW,
        0,
        0,
        None,
    )


# --- what ends it without a look


def test_a_person_can_end_it():
    assert step(situation(Phase.STEP, **AT_10, stop="deadline")).progress.note == "deadline"


def test_traffic_that_was_taken_away_is_a_way_back():
    gone = step(situation(Phase.STEP, stable={"weight": 90}, candidate={"weight": 0}))
    assert (gone.progress.outcome, "by hand" in gone.progress.note) == ("rolled_back", True)


@pytest.mark.parametrize("status", ["Failed", "Waiting"])
def test_one_that_breaks_down_is_bad(status):
    broken = {"weight": 10, "grouping": True, "status": status, "running": 0}
    down = step(situation(Phase.STEP, stable={"weight": 90}, candidate=broken))
    assert (down.progress.outcome, down.progress.note.startswith("broke down")) == ("rejected", True)


def test_another_hand_stops_it():
    moved = step(situation(Phase.STEP, stable={"weight": 90}, candidate={"weight": 70, "grouping": True}))
    assert (moved.progress.phase, "has weight 70, not 10" in moved.why) == (Phase.DRIFTED, True)


# --- looks


def test_looks_after_an_interval_and_the_warm_up():
    plan = replace(PLAN, warm_up=3)
    early = situation(Phase.STEP, **AT_10, plan=plan, now=NOW + 6)
    assert step(early) == Wait(why="at 10 %", seconds=2)
    look = step(replace(early, now=NOW + 8))
    spans = {"since": NOW + 3, "began": NOW, "recent": NOW + 3}
    assert look == Look(candidate=CANDIDATE, stable=STABLE, percent=10, patient=True, **spans)


def test_production_is_looked_at_before_the_first_step_in_a_long_span_and_a_short_one():
    exposed = situation(Phase.STEP, **AT_10, now=NOW + 9, exposed=900)
    assert step(exposed).past == ((895, 900), (890, 900))
    assert step(replace(exposed, plan=replace(PLAN, min_duration=0))).past == ((895, 900),)


def test_a_step_begins_when_its_weights_take_effect():
    one = situation(Phase.STEP, **AT_50, step=1, now=NOW + 6.5, golden=8, golden_errors=2)
    late = after_look(one, replace(INCONCLUSIVE, late=True), golden=Sample(requests=4, errors=1))
    assert (type(late), late.progress.late, late.progress.inconclusive) == (Label, 7, 0)
    assert late.progress.ours == Sample(requests=4, errors=1)
    one = situation(Phase.STEP, **AT_50, step=1, now=NOW + PLAN.min_duration + 6, late=7)
    assert isinstance(after_look(one, PASS), Wait)
    assert after_look(replace(one, now=one.now + 1), PASS).progress.step == 2
    look = step(replace(one, now=NOW + 12))
    assert (look.since, look.percent_before, look.patient) == (NOW + 7, 10, True)
    assert step(replace(one, now=NOW + PLAN.gateway_timeout + 1)).patient is False


def test_weights_that_were_seen_to_take_effect_are_late_no_more():
    seen = after_look(situation(Phase.STEP, **AT_10, now=NOW + 5), replace(INCONCLUSIVE, shown=True))
    assert (type(seen), seen.progress.seen) == (Label, 1)
    assert step(situation(Phase.STEP, **AT_10, now=NOW + 5, seen=1)).patient is False
    assert step(situation(Phase.STEP, **AT_10, since=None, seen=1)).progress.seen == 0


def test_a_harmed_production_withdraws_at_once_and_the_digest_is_not_remembered():
    patient = situation(Phase.STEP, **AT_10, plan=replace(PLAN, on_failure="freeze", max_failures=9))
    harmed = after_look(patient, replace(judged(Result.FAIL, hard=True), proven=False))
    assert (type(harmed), harmed.progress.outcome, harmed.progress.rejected) == (Withdraw, "rolled_back", ())


@pytest.mark.parametrize(("number", "weights", "settled"), [(0, AT_10, 15), (2, AT_100, 45)])
def test_counts_show_a_share_after_a_while_and_later_at_100_percent(number, weights, settled):
    looks = [step(situation(Phase.STEP, **weights, step=number, now=NOW + at)) for at in (settled - 1, settled)]
    assert [look.settled for look in looks] == [False, True]


def test_in_an_emergency_nobody_looks():
    urgent = situation(Phase.STEP, **AT_10, goal=goal(SECOND, skip_analysis="it leaks"))
    assert step(urgent).progress.step == 1


# --- judgements


def test_a_pass_rises_only_after_the_time_of_a_step():
    short = after_look(situation(Phase.STEP, **AT_10, now=NOW + 5), PASS)
    assert short == Wait(why="because", seconds=PLAN.interval)
    risen = after_look(situation(Phase.STEP, **AT_10, now=NOW + PLAN.min_duration), PASS)
    assert (risen.progress.step, risen.progress.since, len(risen.progress.steps)) == (1, None, 1)


def test_the_last_pass_promotes():
    done = after_look(situation(Phase.STEP, **AT_100, step=2, now=NOW + PLAN.min_duration), PASS)
    assert (done.progress.phase, done.progress.outcome, done.progress.note) == (
        Phase.PROMOTING,
        "promoted",
        "all steps passed",
    )


def test_a_failure_beyond_patience_withdraws():
    bad = after_look(situation(Phase.STEP, **AT_10), FAIL)
    assert (type(bad), bad.progress.outcome, bad.progress.steps[-1].verdict) == (Withdraw, "rejected", "fail")
    tolerated = after_look(situation(Phase.STEP, **AT_10, plan=replace(PLAN, max_failures=1)), FAIL)
    assert (type(tolerated), tolerated.progress.failures, tolerated.pause) == (Label, 1, PLAN.interval)


def test_a_failure_may_be_left_to_a_person_but_a_hard_one_not():
    plan = replace(PLAN, on_failure="freeze", max_failures=9)
    frozen = after_look(situation(Phase.STEP, **AT_10, plan=replace(plan, max_failures=0)), FAIL)
    assert frozen.progress.phase is Phase.FROZEN
    hard = after_look(situation(Phase.STEP, **AT_10, plan=plan), judged(Result.FAIL, hard=True))
    assert isinstance(hard, Withdraw)


def test_counters_are_of_verdicts_in_a_row():
    plan = replace(PLAN, max_failures=9, max_inconclusive=9)
    one = situation(Phase.STEP, **AT_10, plan=plan, failures=2, consecutive=2, inconclusive=3, source_errors=1)
    passed = after_look(one, PASS, golden=Sample(requests=4, errors=1)).progress
    assert (passed.failures, passed.consecutive, passed.inconclusive, passed.source_errors) == (2, 0, 0, 0)
    assert passed.ours == Sample(requests=4, errors=1)
    silent = after_look(one, ERROR).progress
    assert (silent.failures, silent.consecutive, silent.inconclusive, silent.source_errors) == (2, 2, 3, 2)


def test_a_silent_source_has_its_own_patience():
    plan = replace(PLAN, max_source_errors=1)
    assert isinstance(after_look(situation(Phase.STEP, **AT_10, plan=plan), ERROR), Label)
    ended = after_look(situation(Phase.STEP, **AT_10, plan=plan, source_errors=1), ERROR)
    assert (ended.progress.outcome, ended.progress.note) == (
        "rolled_back",
        "the metrics source failed 2 times: because",
    )


@pytest.mark.parametrize(("choice", "kind"), [("hold", Label), ("rollback", Withdraw), ("promote", Label)])
def test_what_cannot_be_told_is_decided_by_the_plan(choice, kind):
    plan = replace(PLAN, on_inconclusive=choice)
    ended = after_look(situation(Phase.STEP, **AT_10, plan=plan, now=NOW + PLAN.max_duration), INCONCLUSIVE)
    assert isinstance(ended, kind)
    assert (ended.progress.step == 1) is (choice == "promote")


def test_one_bakes_at_100_percent_and_keeps_the_result_of_its_step():
    plan = replace(PLAN, bake=60)
    baking = after_look(situation(Phase.STEP, **AT_100, step=2, plan=plan, now=NOW + 10), PASS)
    assert (baking.progress.step, baking.why) == (3, "bakes for 60 s")
    baked = {**AT_100, "step": 3, "steps": baking.progress.steps, "plan": plan}
    assert isinstance(after_look(situation(Phase.STEP, **baked, now=NOW + 59), PASS), Wait)
    done = after_look(situation(Phase.STEP, **baked, now=NOW + 60), INCONCLUSIVE)
    assert (done.progress.phase, done.progress.steps) == (Phase.PROMOTING, baking.progress.steps)


# --- what holds a rise


def test_no_rise_before_every_instance_is_ready():
    half = {"weight": 10, "grouping": True, "running": 1, "total": 2}
    one = situation(Phase.STEP, stable={"weight": 90}, candidate=half, now=NOW + 10)
    assert after_look(one, PASS).why.startswith("no rise")


def test_no_rise_over_a_newer_model():
    older = goal(SECOND, interval_end="2026-11-20T18:00:00Z")
    assert after_look(situation(Phase.STEP, **AT_10, goal=older, now=NOW + 10), PASS).progress.outcome == "skipped"


@pytest.mark.parametrize("gate", ["open", "waiting", "refused"])
def test_a_person_is_asked_before_the_last_step_alone(gate):
    one = situation(Phase.STEP, **AT_50, step=1, goal=goal(SECOND, approval="ask"), gate=gate)
    assert gated(one, 1) is None
    answer = gated(one, 2)
    assert type(answer) is {"open": type(None), "waiting": Wait, "refused": Withdraw}[gate]
