"""Preparation of a rollout: the candidate is created, comes up and answers golden requests before it gets traffic.

Each function returns the one next action.
"""

from __future__ import annotations

import math

from airflow_provider_pai.canary.actions import Action, Create, Isolate, Probe
from airflow_provider_pai.canary.ending import drifted, withdraw
from airflow_provider_pai.canary.goal import Goal, guard
from airflow_provider_pai.canary.group import Group, Phase, Progress
from airflow_provider_pai.canary.situation import Situation
from airflow_provider_pai.canary.step import gated
from airflow_provider_pai.canary.weights import carriers


def create(goal: Goal, group: Group, now: float) -> Create:
    """Return the creation of the candidate, whose labels name the service that it is compared with."""
    # A member that should serve but is down is replaced at once: there is nothing to compare with.
    known = carriers(group) or [member for member in group.members if member.grouping and not member.leaving]
    remembered = [entry for member in group.members if member.progress for entry in member.progress.rejected]
    progress = Progress(
        phase=Phase.PREPARE,
        version=goal.version,
        digest=goal.digest,
        interval_end=goal.interval_end,
        task=goal.task,
        cycle=goal.cycle,
        stable=known[0].name if len(known) == 1 else "",
        since=now,
        rejected=tuple(dict.fromkeys(remembered)),
    )
    return Create(service=goal.service, progress=progress)


def prepare(situation: Situation) -> Action:
    """Wait until the candidate is ready and has answered its golden requests, then begin with the first step."""
    candidate = situation.candidate
    if situation.stop:
        return withdraw(situation, "rolled_back", situation.stop)
    if candidate.failed:
        return withdraw(situation, "rejected", str(candidate))
    if (candidate.grouping or not candidate.ready) and situation.elapsed >= situation.plan.ready_timeout:
        return withdraw(situation, "timed_out", f"after {situation.elapsed:.0f} s: {candidate}")
    if candidate.grouping:
        return Isolate(service=candidate.name)
    if not candidate.ready:
        return situation.wait(str(candidate))
    if situation.progress.phase not in (Phase.SMOKED, Phase.ALONE):
        return Probe(service=candidate.name)
    return _begin(situation)


def after_probe(situation: Situation, failure: str, *, unreached: bool = False) -> Action:
    """Return the action after the golden requests.

    :param failure: what was wrong; empty: all were answered well.
    :param unreached: nothing of the candidate itself has answered: that says nothing of the model.
    """
    if unreached:
        return _unreached(situation, failure)
    if failure:
        return withdraw(situation, "rejected", f"smoke test: {failure}")
    return situation.label("smoke test passed", phase=Phase.SMOKED, since=situation.now)


def _unreached(situation: Situation, failure: str) -> Action:
    """Give the gateway time; then take the candidate out, or go on where nothing was to be asked."""
    plan, phase = situation.plan, situation.progress.phase
    since = situation.progress.began(situation.now) if phase is Phase.READY else situation.now
    pause = situation.wait_until(f"the gateway does not reach it yet: {failure}", since + plan.gateway_timeout)
    if pause is not None and phase is not Phase.READY:
        return situation.label(pause.why, phase=Phase.READY, since=since)
    if pause is not None:
        return pause
    if not situation.goal.smoke:
        return situation.label("the gateway does not reach it: going on", phase=Phase.SMOKED, since=situation.now)
    return withdraw(situation, "timed_out", f"not reached for {plan.gateway_timeout:g} s: {failure}")


def _begin(situation: Situation) -> Action:
    """Begin with the first step, or go straight to 100 % where nothing serves."""
    progress, stable, others = situation.progress, situation.stable, situation.others
    names = [member.name for member in others]
    reason = guard(situation.goal, others)
    if reason:
        return withdraw(situation, "skipped", reason)
    if not progress.stable and len(others) == 1 and others[0].promoted:
        # Two first rollouts of a group may not have seen each other; nobody has compared this one with anything yet.
        return situation.label(f"{names[0]} serves since", stable=names[0])
    if names not in ([progress.stable], []):
        return drifted(situation, f"{', '.join(names)} serve instead of {progress.stable or 'none'}")
    if not others:
        return _begin_alone(situation)
    if progress.phase is Phase.ALONE:
        return situation.label(f"{progress.stable} serves again", phase=Phase.SMOKED, since=situation.now)
    waiting = gated(situation, 0)
    if waiting is not None:
        return waiting
    own = {"own_version": situation.candidate.version, "own_config": situation.candidate.config}
    theirs = {"stable_version": stable.version, "stable_config": stable.config} if stable else {}
    why, exposed = f"first step: {situation.plan.steps[0]} %", math.floor(situation.now)
    return situation.label(why, phase=Phase.STEP, step=0, since=None, exposed=exposed, **own, **theirs)


def _begin_alone(situation: Situation) -> Action:
    """Give everybody a model that nobody has judged, but neither for a restart of production nor after its deletion."""
    stable, alone_before = situation.stable, situation.progress.phase is Phase.ALONE
    if stable is None and situation.progress.stable:
        return drifted(situation, f"{situation.progress.stable}, which served, is gone")
    if stable is not None and not (stable.failed or stable.leaving):
        why = f"{stable}; it may come back"
        if not alone_before:
            return situation.label(why, phase=Phase.ALONE, since=situation.now)
        pause = situation.wait_until(why, situation.progress.began(situation.now) + situation.plan.ready_timeout)
        if pause is not None:
            return pause
    if not situation.candidate.listed and situation.elapsed < situation.plan.ready_timeout:
        return situation.wait("the group's list does not show it yet, nor who may have come before it")
    note = "nothing served before"
    return situation.label(
        f"{note}: straight to 100 %", phase=Phase.PROMOTING, since=situation.now, outcome="deployed", note=note
    )
