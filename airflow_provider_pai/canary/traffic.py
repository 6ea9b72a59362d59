"""How traffic moves from one share to the next without a moment in which nobody answers."""

from __future__ import annotations

from airflow_provider_pai.canary.actions import Customize, Release
from airflow_provider_pai.canary.group import Group, Member, Progress
from airflow_provider_pai.canary.weights import carriers, weights_for


def toward(group: Group, candidate: Member, stable: Member | None, percent: int) -> Release | Customize | None:
    """Return the next call on the way to a share, or None when what EAS shows is that share.

    The candidate joins last: weights first, then the traffic mode, then the candidate, so that neither a mode
    that follows instance counts nor a weight of 0 decides anything on the way. A rise touches the candidate
    before production, so the share stays below its goal until the last call.
    """
    goal = weights_for(percent)
    if not group.customized or not candidate.grouping:
        # Production alone keeps a weight above 0 until the candidate has joined.
        if stable is not None and stable.weight != max(1, goal.stable):
            return Release(service=stable.name, weight=max(1, goal.stable), grouping=True)
        if candidate.weight != goal.candidate:
            return Release(service=candidate.name, weight=goal.candidate, grouping=candidate.grouping)
        if not group.customized:
            return Customize()
        return Release(service=candidate.name, weight=goal.candidate, grouping=True)
    if candidate.weight != goal.candidate:
        return Release(service=candidate.name, weight=goal.candidate, grouping=True)
    if stable is not None and stable.weight != goal.stable:
        return Release(service=stable.name, weight=goal.stable, grouping=True)
    return None


def drift(group: Group, candidate: Member, stable: Member | None, *, percent: int, previous: int, moving: bool) -> str:
    """Return what someone else changed, or nothing where every weight is one that this rollout sets.

    :param previous: the step before, 0 at the first.
    :param moving: calls towards `percent` may be outstanding.
    """
    ours = {candidate.name, stable.name if stable else ""}
    foreign = [member.name for member in carriers(group) if member.name not in ours]
    if foreign:
        return f"{', '.join(foreign)} carries group traffic"
    if stable is None:
        return "the service that served is gone"
    if not stable.grouping:
        return f"{stable.name} no longer takes group traffic"
    if stable.leaving or stable.stopped:
        return f"{stable.name} is {stable.status}"
    if moving and not previous:
        return ""
    if not group.customized:
        return "the traffic mode is no longer customized"
    goal, before = weights_for(percent), weights_for(previous)
    candidate_may = {goal.candidate, before.candidate} if moving else {goal.candidate}
    stable_may = {goal.stable, before.stable} if moving else {goal.stable}
    for member, allowed in ((candidate, candidate_may), (stable, stable_may)):
        if member.weight not in allowed:
            return f"{member.name} has weight {member.weight}, not {' or '.join(map(str, sorted(allowed)))}"
    return ""


def changed(candidate: Member, stable: Member | None, progress: Progress) -> str:
    """Return what someone else has deployed into the services that are compared, or nothing."""
    for member, version in ((candidate, progress.own_version), (stable, progress.stable_version)):
        if member is not None and version and member.version != version:
            return f"{member.name} runs version {member.version}, not {version}"
    return ""
