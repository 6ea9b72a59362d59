"""Traffic of a group: the calls from one share to the next, and what someone else has changed of it."""

from __future__ import annotations

from airflow_provider_pai.canary.actions import Customize, Release
from airflow_provider_pai.canary.group import Group, Member
from airflow_provider_pai.canary.situation import Situation
from airflow_provider_pai.canary.weights import weights_for

_UNTOLD = 0


def toward(group: Group, candidate: Member, stable: Member | None, percent: int) -> Release | Customize | None:
    """Return the next call on the way to a share, or None when what EAS shows is that share.

    There is no moment on the way in which nobody answers.

    The candidate joins last, and gets its weight in the same call: production's weight first, then the traffic mode,
    then the candidate, so that neither a mode that follows instance counts nor a weight of 0, or one that was set on
    a service outside the traffic and lost there, decides anything on the way. A rise touches the candidate before
    production, so the share stays below its goal until the last call.
    """
    goal = weights_for(percent)
    if not group.customized or not candidate.grouping:
        # Production alone keeps a weight above 0 until the candidate has joined.
        if stable is not None and not _has(stable, max(1, goal.stable)):
            return Release(service=stable.name, weight=max(1, goal.stable), grouping=True)
        if not group.customized:
            return Customize()
    if not _has(candidate, goal.candidate):
        return Release(service=candidate.name, weight=goal.candidate, grouping=True)
    if stable is not None and not _has(stable, goal.stable):
        return Release(service=stable.name, weight=goal.stable, grouping=goal.stable > 0)
    return None


def _has(member: Member, weight: int) -> bool:
    """Tell whether a member has a weight; 0 is to be outside the traffic: EAS may serve a weight of 0 a little."""
    return (member.grouping and member.weight == weight) if weight else not member.grouping


def drift(situation: Situation) -> str:
    """Return what someone else changed, or nothing where every weight is one that this rollout sets."""
    group, stable = situation.group, situation.stable
    foreign = [member.name for member in situation.others if stable is None or member.name != stable.name]
    if foreign:
        return f"{', '.join(foreign)} carries group traffic"
    if stable is None:
        return "the service that served is gone"
    if not stable.grouping and situation.percent(situation.progress.step) < 100:
        return f"{stable.name} no longer takes group traffic"
    if stable.leaving or stable.stopped:
        return f"{stable.name} is {stable.status}"
    # Before the first step anything may stand there: the way to it begins with production's weight and the mode.
    if situation.moving and not situation.progress.step:
        return ""
    if group.customized is False:
        return "the traffic mode is no longer customized"
    return _foreign_weight(situation, stable)


def _foreign_weight(situation: Situation, stable: Member) -> str:
    """Return which member has a weight of neither this step nor, while it is being reached, the one before."""
    number, candidate = situation.progress.step, situation.candidate
    allowed = [weights_for(situation.percent(number))]
    if situation.moving:
        allowed.append(weights_for(situation.percent(number - 1)))
    for member, weights in (
        (candidate, {both.candidate for both in allowed}),
        (stable, {both.stable for both in allowed}),
    ):
        if member.grouping and member.weight not in weights:
            return f"{member.name} has weight {member.weight}, not {' or '.join(map(str, sorted(weights)))}"
    return ""


def changed(situation: Situation) -> str:
    """Return what someone else has deployed into the services that are compared, or nothing.

    A new version that only scales is none: nobody knows whether EAS makes one then.
    """
    progress = situation.progress
    for member, version, config in (
        (situation.candidate, progress.own_version, progress.own_config),
        (situation.stable, progress.stable_version, progress.stable_config),
    ):
        if member is None or not version or member.version in (_UNTOLD, version):
            continue
        if not config or member.config not in (_UNTOLD, config):
            return f"{member.name} runs version {member.version}, not {version}"
    return ""
