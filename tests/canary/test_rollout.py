"""The state machine, story by story."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_pai.canary.actions import Finish, Look
from airflow_provider_pai.canary.group import Member, Phase
from airflow_provider_pai.canary.preview import preview
from airflow_provider_pai.canary.rollout import Rollout
from tests.fake import PLAN, FakeEas, goal

FIRST, SECOND, THIRD = "20261121T1800Z-aaaaaaaa", "20261122T1800Z-bbbbbbbb", "20261123T1800Z-cccccccc"


@pytest.fixture
def eas():
    """A group that serves the first night's model."""
    eas = FakeEas()
    assert eas.run(goal(FIRST)).outcome == "deployed"
    return eas


def bad(*versions, rate=0.3):
    names = {goal(version).service for version in versions}
    return lambda name: rate if name in names else 0.0


def test_the_first_model_is_deployed_at_once():
    eas = FakeEas()
    finish = eas.run(goal(FIRST))
    assert (finish.outcome, finish.why) == ("deployed", "nothing served before")
    assert eas.serving == {goal(FIRST).service: 1.0}
    assert eas.customized


def test_a_good_model_climbs_the_steps(eas):
    finish = eas.run(goal(SECOND))
    assert finish.outcome == "promoted"
    assert [(step.percent, step.verdict) for step in finish.progress.steps] == [
        (10, "pass"),
        (50, "pass"),
        (100, "pass"),
    ]
    assert eas.serving == {goal(SECOND).service: 1.0}
    old = eas.members[goal(FIRST).service]
    assert (old.grouping, old.status, old.progress.phase) == (False, "Stopped", Phase.RETIRED)
    assert eas.dropped == 0


def test_the_share_never_exceeds_the_step(eas):
    seen, candidate = [], goal(SECOND).service
    for action in eas.actions(goal(SECOND)):
        seen.append(eas.serving.get(candidate, 0.0))
        if isinstance(action, Look):
            assert seen[-1] == pytest.approx(action.percent / 100)
    assert seen == sorted(seen)


def test_old_versions_beyond_the_kept_ones_are_deleted(eas):
    eas.run(goal(SECOND))
    eas.run(goal(THIRD))
    assert set(eas.members) == {goal(SECOND).service, goal(THIRD).service}


def test_no_old_version_is_kept_if_none_is_asked_for(eas):
    assert eas.run(goal(SECOND), replace(PLAN, keep_versions=0)).outcome == "promoted"
    assert set(eas.members) == {goal(SECOND).service}


def test_one_single_step_to_100_percent(eas):
    assert eas.run(goal(SECOND), replace(PLAN, steps=(100,))).outcome == "promoted"
    assert eas.dropped == 0


def test_a_bad_model_is_rolled_back(eas):
    eas.error_rate = bad(SECOND)
    finish = eas.run(goal(SECOND))
    assert finish.outcome == "rolled_back"
    assert "error rate" in finish.why
    assert finish.progress.steps[-1].verdict == "fail"
    assert eas.serving == {goal(FIRST).service: 1.0}
    assert eas.members[goal(FIRST).service].weight == 100
    assert eas.members[goal(SECOND).service].status in ("Stopping", "Stopped")
    assert eas.dropped == 0


def test_traffic_goes_first_when_a_model_is_bad(eas):
    eas.error_rate = bad(SECOND)
    eas.run(goal(SECOND))
    calls = eas.calls[max(i for i, call in enumerate(eas.calls) if call.startswith("look")) + 1 :]
    assert calls[0] == f"release {goal(SECOND).service} 0 False"


def test_a_model_that_goes_bad_at_100_percent_leaves_nobody_unserved(eas):
    candidate = goal(SECOND).service
    eas.error_rate = lambda name: 0.3 if name == candidate and eas.serving.get(candidate) == 1.0 else 0.0
    assert eas.run(goal(SECOND)).outcome == "rolled_back"
    assert eas.serving == {goal(FIRST).service: 1.0}
    assert eas.dropped == 0


def test_a_rolled_back_digest_stays_out_but_a_newer_one_comes_in(eas):
    eas.error_rate = bad(SECOND)
    eas.run(goal(SECOND))
    again = eas.run(goal(SECOND))
    assert again.outcome == "rolled_back"
    other_run = eas.run(replace(goal(SECOND), task="f" * 32))
    assert (other_run.outcome, "rolled back before" in other_run.why) == ("skipped", True)
    assert eas.run(goal(THIRD)).outcome == "promoted"
    assert set(eas.members) == {goal(FIRST).service, goal(THIRD).service}


def test_a_rejected_digest_is_remembered_when_its_service_is_gone(eas):
    eas.error_rate = bad(SECOND)
    eas.run(goal(SECOND))
    eas.run(goal(THIRD))
    assert goal(SECOND).service not in eas.members
    eas.members.pop(goal(FIRST).service)
    finish = eas.run(replace(goal(SECOND), task="f" * 32, allow_older=True))
    assert (finish.outcome, "rolled back before" in finish.why) == ("skipped", True)


def test_a_first_digest_that_failed_is_remembered_by_itself():
    eas = FakeEas(smoke="no answer")
    eas.run(goal(FIRST))
    finish = eas.run(replace(goal(FIRST), task="f" * 32))
    assert (finish.outcome, "rolled back before" in finish.why) == ("skipped", True)


def test_a_cleared_task_goes_on_and_hears_the_end_as_its_own(eas):
    for action in eas.actions(goal(SECOND)):
        if isinstance(action, Look):
            break
    cleared = replace(goal(SECOND), cycle=2)
    eas.error_rate = bad(SECOND)
    assert eas.run(cleared).outcome == "rolled_back"
    assert eas.run(cleared).outcome == "rolled_back"
    assert eas.created.count(goal(SECOND).service) == 1


def test_requests_in_flight_may_end_before_the_old_service_stops(eas):
    plan, stable = replace(PLAN, drain=25), goal(FIRST).service
    left = None
    for _ in eas.actions(goal(SECOND), plan):
        if left is None and not eas.members[stable].grouping:
            left = eas.now
        if eas.members[stable].status != "Running":
            break
    assert eas.now - left >= plan.drain


def test_a_person_may_clear_the_task_and_try_again(eas):
    eas.error_rate = bad(SECOND)
    eas.run(goal(SECOND))
    eas.error_rate = bad()
    assert eas.run(replace(goal(SECOND), cycle=3)).outcome == "promoted"
    assert eas.created.count(goal(SECOND).service) == 2


def test_a_failed_smoke_test_gets_no_traffic(eas):
    eas.smoke = "2 of 20 answers are wrong"
    finish = eas.run(goal(SECOND))
    assert (finish.outcome, finish.why) == ("rolled_back", "smoke test: 2 of 20 answers are wrong")
    assert goal(SECOND).service not in eas.counts


def test_a_model_that_never_gets_ready_gets_no_traffic(eas):
    eas.ready_after = 10_000
    finish = eas.run(goal(SECOND))
    assert finish.outcome == "timed_out"
    assert "0 of 1 instances" in finish.why
    assert goal(SECOND).service not in eas.counts


@pytest.mark.parametrize("unreleasable", ["", "Creating"])
@pytest.mark.parametrize("error_rate", [0.0, 0.3])
def test_a_new_member_that_takes_traffic_at_once_is_taken_out_of_it(eas, unreleasable, error_rate):
    eas.new_takes_traffic, eas.unreleasable, candidate = True, unreleasable, goal(SECOND).service
    eas.error_rate = bad(SECOND, rate=error_rate)
    shares = {}
    for _ in eas.actions(goal(SECOND)):
        member = eas.members.get(candidate)
        if member is not None and member.progress.phase in (Phase.PREPARE, Phase.SMOKED):
            shares[member.status] = max(shares.get(member.status, 0.0), eas.serving.get(candidate, 0.0))
    assert eas.end["outcome"] == ("rolled_back" if error_rate else "promoted")
    # A moment after it came up, where EAS did not let it go before.
    assert shares["Creating"] == 0
    assert bool(shares["Running"]) is bool(unreleasable)
    assert eas.dropped == 0


@pytest.mark.parametrize("error_rate", [0.0, 0.3])
def test_weights_that_are_lost_outside_the_traffic_are_set_again(eas, error_rate):
    eas.loses_weights, eas.error_rate = True, bad(SECOND, rate=error_rate)
    finish = eas.run(goal(SECOND))
    winner = FIRST if error_rate else SECOND
    assert (finish.outcome, eas.serving) == ("rolled_back" if error_rate else "promoted", {goal(winner).service: 1.0})
    assert eas.dropped == 0


@pytest.mark.parametrize("lag", [20, 170])
def test_a_gateway_that_learns_late_of_it_is_waited_for(eas, lag):
    eas.gateway_lag, began = lag, eas.now
    assert eas.run(goal(SECOND)).outcome == "promoted"
    first = next(at for at, *_ in eas.counts[goal(SECOND).service])
    assert first >= began + eas.ready_after + lag
    assert eas.dropped == 0


def test_a_gateway_that_never_learns_of_it_is_no_fault_of_the_model(eas):
    candidate, began = goal(SECOND, try_number=1).service, eas.now
    eas.gateway_lag = 10_000
    for _ in range(2):  # another process of this try hears the same end
        finish = eas.run(goal(SECOND, try_number=1))
        assert (finish.outcome, finish.why) == ("timed_out", "not reached for 180 s: status 404, not 200: ")
    assert eas.now - began == pytest.approx(180 + eas.ready_after, abs=5)
    assert (candidate in eas.counts, eas.serving) == (False, {goal(FIRST).service: 1.0})
    assert (eas.members[candidate].status, eas.members[goal(FIRST).service].progress.rejected) == ("Stopped", ())
    eas.gateway_lag = 0
    assert eas.run(goal(SECOND, try_number=2)).outcome == "promoted"
    assert eas.created.count(candidate) == 2


def test_a_first_model_that_fails_leaves_nothing_serving():
    eas = FakeEas(smoke="no answer")
    assert eas.run(goal(FIRST)).outcome == "rolled_back"
    assert eas.serving == {}
    eas.smoke = ""
    assert eas.run(goal(FIRST)).outcome == "rolled_back"
    assert eas.run(goal(SECOND)).outcome == "deployed"


def test_a_backfill_run_and_older_data_do_not_deploy(eas):
    older = goal("20261101T1800Z-dddddddd")
    assert "older" in eas.run(older).why
    assert eas.run(older).outcome == "skipped"
    backfill = eas.run(replace(goal(SECOND), backfill=True))
    assert (backfill.outcome, "allow_backfill" in backfill.why) == ("skipped", True)
    assert eas.created == [goal(FIRST).service]
    assert eas.run(replace(goal(SECOND), backfill=True, allow_backfill=True)).outcome == "promoted"
    assert eas.run(replace(older, allow_older=True)).outcome == "promoted"


def test_one_that_serves_already_is_done(eas):
    assert eas.run(goal(FIRST)).outcome == "deployed"
    assert eas.run(replace(goal(FIRST), cycle=5)).outcome == "deployed"
    assert eas.created == [goal(FIRST).service]


def test_another_task_with_the_same_model_finds_that_it_serves(eas):
    """Whoever brought it in: a rollout, or a deployment that knows no rollouts."""
    for same in (goal(FIRST, task="another"), goal(THIRD, digest=goal(FIRST).digest)):
        finish = eas.run(same)
        assert (finish.outcome, finish.why) == ("unchanged", f"{goal(FIRST).service} serves it already")
    assert eas.created == [goal(FIRST).service]
    eas.members["other"] = Member(name="other", status="Running", running=1, total=1, weight=5, grouping=True)
    assert eas.run(goal(FIRST, task="another")).outcome == "stopped"
    del eas.members["other"]
    assert eas.run(goal(SECOND)).outcome == "promoted"
    assert eas.run(goal(FIRST, task="another", allow_older=True)).outcome == "promoted"


def test_a_cleared_task_whose_model_was_replaced_does_not_go_back(eas):
    eas.run(goal(SECOND))
    assert eas.run(goal(FIRST)).outcome == "deployed"
    assert eas.run(replace(goal(FIRST), cycle=5)).outcome == "skipped"


@pytest.mark.parametrize(
    "meddle",
    [
        lambda eas, c, s: eas.members.update({c: replace(eas.members[c], weight=70)}),
        lambda eas, c, s: eas.members.update({s: replace(eas.members[s], weight=3)}),
        lambda eas, c, s: eas.members.update({s: replace(eas.members[s], grouping=False)}),
        lambda eas, c, s: setattr(eas, "customized", False),
        lambda eas, c, s: eas.members.pop(s),
        lambda eas, c, s: eas.members.update({s: replace(eas.members[s], version=2)}),
        lambda eas, c, s: eas.members.update({c: replace(eas.members[c], version=2)}),
        lambda eas, c, s: eas.members.update(
            {"other": Member(name="other", status="Running", running=1, total=1, weight=5, grouping=True)}
        ),
    ],
)
def test_another_hand_stops_the_rollout(eas, meddle):
    candidate, stable = goal(SECOND).service, goal(FIRST).service
    for action in eas.actions(goal(SECOND)):
        if isinstance(action, Look):
            meddle(eas, candidate, stable)
            break
    before = eas.group("digits")
    finish = eas.run(goal(SECOND))
    assert finish.outcome == "stopped"
    assert finish.why.startswith("someone else intervened")
    after = eas.group("digits")
    assert [(m.weight, m.grouping) for m in after.members] == [(m.weight, m.grouping) for m in before.members]


def test_taking_the_candidate_out_by_hand_rolls_back(eas):
    candidate = goal(SECOND).service
    for action in eas.actions(goal(SECOND)):
        if isinstance(action, Look):
            eas.members[candidate] = replace(eas.members[candidate], weight=0, grouping=False)
            break
    finish = eas.run(goal(SECOND))
    assert (finish.outcome, "by hand" in finish.why) == ("rolled_back", True)
    assert eas.serving == {goal(FIRST).service: 1.0}


def test_several_serving_members_are_nobody_s_canary(eas):
    eas.members["other"] = Member(name="other", status="Running", running=1, total=1, weight=5, grouping=True)
    finish = eas.run(goal(SECOND))
    assert finish.outcome == "stopped"
    assert "other" in finish.why
    assert goal(SECOND).service not in eas.members


def test_a_service_deployed_by_hand_can_be_production():
    eas = FakeEas(customized=False)
    eas.members["byhand"] = Member(name="byhand", status="Running", running=2, total=2, weight=-1, grouping=True)
    assert eas.run(goal(FIRST)).outcome == "promoted"
    assert eas.serving == {goal(FIRST).service: 1.0}
    assert eas.members["byhand"].status == "Stopped"
    assert eas.dropped == 0


def test_a_production_service_that_is_down_is_replaced_at_once(eas):
    eas.members[goal(FIRST).service] = replace(eas.members[goal(FIRST).service], status="Failed", running=0)
    assert eas.run(goal(SECOND)).outcome == "deployed"
    assert eas.serving == {goal(SECOND).service: 1.0}


def test_production_that_restarts_is_waited_for_before_it_is_replaced(eas):
    stable, candidate, down = goal(FIRST).service, goal(SECOND).service, None
    for _ in eas.actions(goal(SECOND)):
        member = eas.members.get(candidate)
        if down is None and member and member.progress.phase is Phase.SMOKED:
            eas.members[stable] = replace(eas.members[stable], status="Waiting", running=0)
            down = eas.now
        if down is not None and eas.now > down + 2:
            eas.members[stable] = replace(eas.members[stable], status="Running", running=1)
            break
    finish = eas.run(goal(SECOND))
    assert (finish.outcome, [step.percent for step in finish.progress.steps]) == ("promoted", [10, 50, 100])


def test_a_name_that_no_rollout_made_is_left_alone(eas):
    name = goal(SECOND).service
    eas.members[name] = Member(name=name, status="Running", running=1, total=1)
    assert eas.run(goal(SECOND)).outcome == "stopped"


def test_too_little_traffic_holds_and_a_deadline_ends_it(eas):
    eas.rate = 0.1
    seen = 0
    for action in eas.actions(goal(SECOND)):
        seen += isinstance(action, Look)
        if seen > 100:
            break
    assert eas.now - eas.born[goal(SECOND).service] > PLAN.max_duration
    finish = eas.run(goal(SECOND), deadline=eas.now)
    assert (finish.outcome, finish.why) == ("rolled_back", "execution_timeout passed")


@pytest.mark.parametrize(("choice", "outcome"), [("rollback", "rolled_back"), ("promote", "promoted")])
def test_what_happens_when_nothing_can_be_told(eas, choice, outcome):
    eas.rate = 0.1
    assert eas.run(goal(SECOND), replace(PLAN, on_inconclusive=choice, max_inconclusive=3)).outcome == outcome


def test_inconclusive_is_not_a_reason_to_refuse_the_digest_for_ever(eas):
    eas.rate = 0.1
    eas.run(goal(SECOND), replace(PLAN, on_inconclusive="rollback", max_inconclusive=1))
    assert eas.members[goal(FIRST).service].progress.rejected == ()


def test_consecutive_failures_are_tolerated_as_asked(eas):
    eas.error_rate = bad(SECOND)
    verdicts = eas.run(goal(SECOND), replace(PLAN, max_failures=2)) and eas.end["verdicts"]
    assert len(eas.oss.objects[verdicts][0].splitlines()) == 3


def test_a_silent_metrics_source_has_its_own_limit(eas):
    answers = iter(["no answer"] * 3 + [""] * 100)
    eas.source = lambda: next(answers)
    assert eas.run(goal(SECOND), replace(PLAN, max_source_errors=3)).outcome == "promoted"
    eas.source = lambda: "no answer"
    finish = eas.run(goal(THIRD), replace(PLAN, max_source_errors=3))
    assert (finish.outcome, "metrics source" in finish.why) == ("rolled_back", True)


def test_a_candidate_that_breaks_down_is_taken_out(eas):
    candidate = goal(SECOND).service
    for action in eas.actions(goal(SECOND)):
        if isinstance(action, Look):
            eas.members[candidate] = replace(eas.members[candidate], status="Waiting", running=0)
            break
    finish = eas.run(goal(SECOND))
    assert (finish.outcome, "broke down" in finish.why) == ("rolled_back", True)


def test_a_candidate_that_breaks_down_after_promotion_began_gives_way(eas):
    candidate = goal(SECOND).service
    for _ in eas.actions(goal(SECOND)):
        member = eas.members.get(candidate)
        if member and member.progress.phase is Phase.PROMOTING:
            eas.members[candidate] = replace(member, status="Failed", running=0)
            break
    assert eas.run(goal(SECOND)).outcome == "rolled_back"
    assert eas.serving == {goal(FIRST).service: 1.0}


@pytest.mark.parametrize("phase", [Phase.PREPARE, Phase.SMOKED, Phase.STEP, Phase.PROMOTING, Phase.WITHDRAWN])
def test_a_rollout_whose_task_is_gone_is_wound_up_by_the_next(eas, phase):
    orphan = goal(SECOND).service
    eas.error_rate = bad(SECOND) if phase is Phase.WITHDRAWN else bad()
    for _ in eas.actions(goal(SECOND)):
        member = eas.members.get(orphan)
        if member and member.progress.phase is phase:
            break
    eas.error_rate = bad()
    assert eas.run(goal(THIRD)).outcome == "promoted"
    assert eas.serving == {goal(THIRD).service: 1.0}
    kept = goal(SECOND).service if phase is Phase.PROMOTING else goal(FIRST).service
    assert eas.members[kept].progress.phase is Phase.RETIRED
    assert eas.dropped == 0


def test_an_older_run_does_not_leave_a_newer_rollout_unfinished(eas):
    for _ in eas.actions(goal(THIRD)):
        member = eas.members.get(goal(THIRD).service)
        if member and member.progress.phase is Phase.PROMOTING:
            break
    finish = eas.run(goal(SECOND))
    assert (finish.outcome, goal(THIRD).service in finish.why) == ("skipped", True)
    assert eas.serving == {goal(THIRD).service: 1.0}


def test_stop_before_anything_was_made(eas):
    assert eas.run(goal(SECOND), deadline=eas.now) == Finish(outcome="stopped", why="execution_timeout passed")


@pytest.mark.parametrize("gate", ["open", "refused"])
def test_in_an_emergency_nobody_judges(eas, gate):
    eas.error_rate, eas.gate = bad(SECOND), gate
    aim = goal(SECOND, skip_analysis="the old one leaks", approval="ask")
    plan = replace(PLAN, steps=(100,))
    actions = list(eas.actions(aim, plan))
    assert not any(isinstance(action, Look) for action in actions)
    outcome, why = actions[-1].outcome, actions[-1].why
    assert (outcome, why) == {
        "open": ("promoted", "not judged: the old one leaks"),
        "refused": ("rolled_back", "the promotion was not approved"),
    }[gate]
    assert eas.dropped == 0


def test_in_an_emergency_it_must_still_be_well(eas):
    eas.smoke = "wrong answer"
    finish = eas.run(goal(SECOND, skip_analysis="the old one leaks"), replace(PLAN, steps=(100,)))
    assert (finish.outcome, finish.why) == ("rolled_back", "smoke test: wrong answer")


def test_a_preview_says_what_would_be_done_and_does_nothing(eas):
    say = lambda aim: preview(Rollout(plan=PLAN, goal=aim, group=eas.group("digits"), now=eas.now)).splitlines()  # noqa: E731
    before = eas.group("digits")
    assert say(goal(SECOND)) == [
        f"group digits: {goal(FIRST).service} serves 100%",
        f"would create {goal(SECOND).service} for version {SECOND}",
        "step of 10 %: weights 10 and 90",
        "step of 50 %: weights 50 and 50",
        "step of 100 %: weights 100 and 0",
        "at least 30 s from the first step to the last",
    ]
    assert say(goal(SECOND, backfill=True))[1].startswith("would end at once, skipped: a backfill run")
    assert eas.group("digits") == before
