"""Steps of a rollout: the candidate gets its share of the traffic, is judged, and rises.

Each function returns the one next action.
"""

from __future__ import annotations

import math
from dataclasses import replace

from airflow_provider_pai.canary.actions import Action, Customize, Label, Look, Wait
from airflow_provider_pai.canary.analysis import Judgement
from airflow_provider_pai.canary.ending import drifted, freeze, withdraw
from airflow_provider_pai.canary.goal import guard
from airflow_provider_pai.canary.group import OF_A_STEP, Phase, Progress, StepResult
from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.canary.samples import NOTHING, Result, Sample
from airflow_provider_pai.canary.situation import Situation
from airflow_provider_pai.canary.traffic import changed, drift, toward


def step(situation: Situation) -> Action:
    """Move the traffic to the step's share, then look at it from time to time."""
    candidate, progress = situation.candidate, situation.progress
    if situation.stop:
        return withdraw(situation, "rolled_back", situation.stop)
    if not candidate.grouping and not (situation.moving and progress.step == 0):
        return withdraw(situation, "rolled_back", "its traffic was taken away, by a kill or by hand")
    if candidate.failed or not candidate.running:
        return withdraw(situation, "rejected", f"broke down: {candidate}")
    foreign = drift(situation) or changed(situation)
    if foreign:
        return drifted(situation, foreign)
    if progress.since is None:
        return _move(situation)
    if situation.goal.skip_analysis:
        return _rise(situation)
    return _look(situation, progress.since)


def after_look(situation: Situation, judgement: Judgement, golden: Sample = NOTHING) -> Action:
    """Return the action after a judgement of the present step.

    :param golden: golden requests that the candidate was sent for it.
    """
    plan, progress = situation.plan, situation.progress
    seen = int(judgement.shown or progress.seen)
    counted = _count(replace(progress.with_golden(progress.ours.plus(golden)), seen=seen), judgement)
    result = StepResult.of(situation.percent(progress.step), judgement)
    closed = replace(situation, progress=replace(counted, steps=(*progress.steps, result)))
    if judgement.hard:
        return withdraw(closed, "rejected" if judgement.proven else "rolled_back", judgement.reason)
    if judgement.late:
        begun = replace(progress.with_golden(golden), late=math.ceil(situation.elapsed))
        return Label(service=situation.candidate.name, progress=begun, why=judgement.reason, pause=plan.interval)
    if _too_many_failures(closed):
        if plan.on_failure == "freeze":
            return freeze(closed, judgement.reason)
        return withdraw(closed, "rejected", judgement.reason)
    if counted.source_errors > plan.max_source_errors:
        reason = f"the metrics source failed {counted.source_errors} times: {judgement.reason}"
        return withdraw(closed, "rolled_back", reason)
    done = _bake(closed, judgement) if progress.step >= len(plan.steps) else _conclude(closed, judgement)
    if done is not None:
        return done
    if counted != progress:
        return Label(service=situation.candidate.name, progress=counted, why=judgement.reason, pause=plan.interval)
    return Wait(why=judgement.reason, seconds=plan.interval)


def gated(situation: Situation, next_step: int) -> Action | None:
    """Return what a person's answer asks for before the step to 100 %, or None where it may go on."""
    goal, plan, gate = situation.goal, situation.plan, situation.gate
    if not goal.approval or next_step + 1 != len(plan.steps) or gate == "open":
        return None
    if gate == "refused":
        return withdraw(situation, "rolled_back", "the promotion was not approved")
    return Wait(why=f"waits for {goal.approval} before it rises to 100 %", seconds=plan.interval)


def _move(situation: Situation) -> Action:
    """Return the next call on the way to a step's share."""
    progress, percent = situation.progress, situation.percent(situation.progress.step)
    move = toward(situation.group, situation.candidate, situation.stable, percent)
    if move is None:
        counters = dict.fromkeys(OF_A_STEP, 0)
        return situation.label(f"at {percent} %, read back", since=situation.now, settling=None, **counters)
    if not isinstance(move, Customize):
        return move
    # The gateway must know the weights before it follows them, or nobody has any.
    if progress.settling is None:
        return situation.label("weights are set", settling=situation.now)
    return situation.wait_until("the gateway learns the weights", progress.settling + situation.plan.drain) or move


def _look(situation: Situation, began: float) -> Wait | Look:
    """Ask for a sample of the step's requests once there is an interval of them.

    :param began: Unix time at which the share was reached.
    """
    plan, progress, now = situation.plan, situation.progress, situation.now
    percent, judged_from = situation.percent(progress.step), began + progress.late + plan.warm_up
    left = judged_from + plan.interval - now
    if left > 0:
        return Wait(why=f"at {percent} %", seconds=min(left, plan.interval))
    return Look(
        candidate=situation.candidate.name,
        stable=progress.stable,
        percent=percent,
        since=judged_from,
        began=began,
        percent_before=situation.percent(progress.step - 1),
        patient=not progress.seen and situation.elapsed <= plan.gateway_timeout,
        settled=now - judged_from >= _settling(situation, percent),
        # Of what answered once and hangs now, the second half of the time shows nothing.
        recent=min(now - plan.interval, (judged_from + now) / 2),
        past=_past(plan, progress.exposed),
        golden=progress.ours,
    )


def _past(plan: RolloutPlan, exposed: int) -> tuple[tuple[float, float], ...]:
    """Return the spans before the first step in which production is looked at.

    The longer one tells what is usual; in the shorter one shows what had begun already.
    """
    lengths = dict.fromkeys((plan.interval, max(plan.interval, plan.min_duration)))
    return tuple((exposed - length, float(exposed)) for length in lengths if exposed)


def _settling(situation: Situation, percent: int) -> float:
    """Return the seconds after which the counts must show a share; metrics may come late.

    At 100 % nothing was counted beside it, and the lateness does not cancel out.
    """
    return (situation.plan.min_duration + situation.plan.interval) * (3 if percent == 100 else 1)


def _bake(closed: Situation, judgement: Judgement) -> Action | None:
    """Return the action at the end of the time in which production is kept up, or None while it goes on."""
    if judgement.result in (Result.FAIL, Result.ERROR) or closed.effective < closed.plan.bake:
        return None
    # The step to 100 % has its result already.
    return _rise(replace(closed, progress=replace(closed.progress, steps=closed.progress.steps[:-1])))


def _conclude(closed: Situation, judgement: Judgement) -> Action | None:
    """Return the action at the end of a step, or None while it goes on."""
    plan = closed.plan
    if judgement.result is Result.PASS and closed.effective >= plan.min_duration:
        return _rise(closed)
    if judgement.result is Result.INCONCLUSIVE and _out_of_patience(closed):
        if plan.on_inconclusive == "rollback":
            reason = f"inconclusive for {closed.elapsed:.0f} s: {judgement.reason}"
            return withdraw(closed, "rolled_back", reason)
        if plan.on_inconclusive == "promote":
            return _rise(closed)
    return None


def _rise(situation: Situation) -> Action:
    """Return the action after a step that ended well: to the next one, the bake, or the promotion."""
    plan, following = situation.plan, situation.progress.step + 1
    reason = guard(situation.goal, situation.others)
    if reason:
        return withdraw(situation, "skipped", reason)
    if not situation.candidate.ready:
        return Wait(why=f"no rise: {situation.candidate}", seconds=plan.interval)
    waiting = gated(situation, following)
    if waiting is not None:
        return waiting
    if following < len(plan.steps):
        return situation.label(f"on to {situation.percent(following)} %", step=following, since=None)
    if following == len(plan.steps) and plan.bake:
        return situation.label(f"bakes for {plan.bake:g} s", step=following, since=None)
    skipped = situation.goal.skip_analysis
    note = f"not judged: {skipped}" if skipped else "all steps passed"
    return situation.label(
        f"{note}: promoting", phase=Phase.PROMOTING, since=situation.now, outcome="promoted", note=note
    )


def _too_many_failures(situation: Situation) -> bool:
    plan, progress = situation.plan, situation.progress
    limit = plan.max_consecutive_failures
    return progress.failures > plan.max_failures or (limit is not None and progress.consecutive > limit)


def _out_of_patience(situation: Situation) -> bool:
    limit = situation.plan.max_inconclusive
    too_many = limit is not None and situation.progress.inconclusive > limit
    return situation.elapsed >= situation.plan.max_duration or too_many


def _count(progress: Progress, judgement: Judgement) -> Progress:
    """Count judgements; a look that the source left unanswered changes no other counter."""
    if judgement.result is Result.ERROR:
        return replace(progress, source_errors=progress.source_errors + 1)
    return replace(
        progress,
        source_errors=0,
        failures=progress.failures + (judgement.result is Result.FAIL),
        consecutive=progress.consecutive + 1 if judgement.result is Result.FAIL else 0,
        inconclusive=progress.inconclusive + 1 if judgement.result is Result.INCONCLUSIVE else 0,
    )
