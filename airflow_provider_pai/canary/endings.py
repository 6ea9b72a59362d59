"""How a rollout ends: promotion, or the way back. Each function returns the one next action."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_pai.canary.actions import Action, Delete, Finish, Label, Release, Stop, Wait, Withdraw
from airflow_provider_pai.canary.group import Group, Member, Phase, Progress, rejection
from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.canary.traffic import toward
from airflow_provider_pai.canary.weights import carriers


def withdraw(
    group: Group, candidate: Member, progress: Progress, outcome: str, note: str, now: float
) -> Withdraw | Label:
    """Take the candidate out of the traffic, before everything else, unless it alone answers people.

    :param outcome: `rejected` (the digest is bad), `rolled_back` (not proven bad) or
        `skipped` (must not deploy).
    """
    stable = group.member(progress.stable)
    others = [member for member in carriers(group) if member.name != candidate.name]
    if candidate in carriers(group) and stable is not None and not stable.running and not others:
        return freeze(candidate, progress, f"{stable.name} is {stable.status}, nothing else can serve: {note}")
    releases = []
    if stable is not None and not others:
        # It has no weight left: without this, taking the candidate's would leave the group without a service.
        releases.append(Release(service=stable.name, weight=100, grouping=True))
    if candidate.grouping or candidate.weight > 0:
        releases.append(Release(service=candidate.name, weight=0, grouping=False))
    served = progress.phase in (Phase.STEP, Phase.PROMOTING)
    withdrawn = replace(
        progress, phase=Phase.WITHDRAWN, outcome=outcome, note=note, since=now if served else None, settling=None
    )
    if outcome == "rejected":
        withdrawn = withdrawn.reject(rejection(progress.digest, progress.task, progress.cycle))
    return Withdraw(service=candidate.name, releases=tuple(releases), progress=withdrawn)


def freeze(candidate: Member, progress: Progress, note: str) -> Label:
    """Leave everything as it is, for a person."""
    frozen = replace(progress, phase=Phase.FROZEN, outcome="stopped", note=note)
    return Label(service=candidate.name, progress=frozen, why=f"frozen: {note}")


def roll_back(plan: RolloutPlan, group: Group, candidate: Member, progress: Progress, now: float) -> Action:
    """Finish what `withdraw` began: remember the digest, give production its weight, drain and stop the candidate."""
    stable = group.member(progress.stable)
    if stable is not None:
        entry = rejection(progress.digest, progress.task, progress.cycle)
        theirs = stable.progress
        if progress.outcome == "rejected" and theirs is not None and entry not in theirs.rejected:
            return Label(service=stable.name, progress=theirs.reject(entry), why="remembers the rejected digest")
        if not stable.grouping or stable.weight != 100:
            return Release(service=stable.name, weight=100, grouping=True)
    if candidate.grouping or candidate.weight > 0:
        return Release(service=candidate.name, weight=0, grouping=False)
    drained = 0.0 if progress.since is None else progress.since + plan.drain
    if candidate.running and now < drained:
        return Wait(why=f"requests in flight at {candidate.name} end", seconds=min(plan.poll, drained - now))
    done = replace(progress, phase=Phase.ROLLED_BACK)
    return _remains(group, candidate) or Stop(service=candidate.name, progress=done, why=progress.note)


def promote(plan: RolloutPlan, group: Group, candidate: Member, progress: Progress, now: float) -> Action:
    """Give the candidate everything, then retire what served before."""
    stable = group.member(progress.stable)
    broken = candidate.failed or not candidate.running
    if broken and stable is not None and stable.running:
        return withdraw(group, candidate, progress, "rejected", f"broke down: {candidate}", now)
    if broken:
        waited = now - progress.began(now)
        if waited < plan.ready_timeout:
            return Wait(why=f"{candidate}; nothing else can serve", seconds=plan.poll)
        return withdraw(group, candidate, progress, "rejected", f"down for {waited:.0f} s: {candidate}", now)
    foreign = [m.name for m in carriers(group) if m.name not in (candidate.name, progress.stable)]
    if foreign:
        return drifted(candidate, progress, f"{', '.join(foreign)} carries group traffic")
    move = toward(group, candidate, stable if stable is not None and stable.grouping else None, 100)
    if move is not None:
        return move
    if stable is not None and stable.running and not candidate.ready:
        # Production goes only when all of the candidate's instances can take its place.
        if now - progress.began(now) >= plan.ready_timeout:
            return withdraw(group, candidate, progress, "rolled_back", f"not all of it came up: {candidate}", now)
        return Wait(why=str(candidate), seconds=plan.poll)
    retiring = _retire(plan, stable, now) if stable is not None else None
    done = replace(progress, phase=Phase.PROMOTED, since=now)
    return (
        retiring
        or _surplus(plan, group)
        or _remains(group, candidate)
        or Label(service=candidate.name, progress=done, why="it serves 100 %, read back")
    )


def drifted(candidate: Member, progress: Progress, why: str) -> Label:
    """Leave everything as someone else put it, and say so on the candidate."""
    note = f"someone else intervened: {why}"
    left = replace(progress, phase=Phase.DRIFTED, note=note, outcome="stopped")
    return Label(service=candidate.name, progress=left, why=note)


def ended(progress: Progress) -> Finish:
    """Return the end of a rollout whose labels say that it is over."""
    outcomes = {
        Phase.PROMOTED: progress.outcome or "promoted",
        Phase.RETIRING: progress.outcome or "promoted",
        Phase.RETIRED: progress.outcome or "promoted",
        Phase.FROZEN: "stopped",
        Phase.DRIFTED: "stopped",
        Phase.ROLLED_BACK: "skipped" if progress.outcome == "skipped" else "rolled_back",
    }
    return Finish(outcome=outcomes[progress.phase], why=progress.note, progress=progress)


def _retire(plan: RolloutPlan, stable: Member, now: float) -> Action | None:
    if stable.grouping:
        return Release(service=stable.name, weight=0, grouping=False)
    progress = stable.progress or Progress(phase=Phase.PROMOTED)
    if progress.phase not in (Phase.RETIRING, Phase.RETIRED):
        retiring = replace(progress, phase=Phase.RETIRING, since=now)
        return Label(service=stable.name, progress=retiring, why="replaced")
    drained = progress.began(now) + plan.drain
    if progress.phase is Phase.RETIRED:
        return None
    if now < drained:
        return Wait(why=f"requests in flight at {stable.name} end", seconds=min(plan.poll, drained - now))
    if not plan.keep_versions:
        return None if stable.leaving else Delete(service=stable.name, why="keep_versions is 0")
    retired = replace(progress, phase=Phase.RETIRED)
    return Stop(service=stable.name, progress=retired, why="replaced; kept to go back to")


def _surplus(plan: RolloutPlan, group: Group) -> Delete | None:
    """Return the deletion of a retired service beyond those that are kept."""
    retired = sorted(_idle(group, Phase.RETIRED), key=_retired_at, reverse=True)
    for member in retired[plan.keep_versions :]:
        if not member.leaving:
            return Delete(service=member.name, why=f"beyond keep_versions {plan.keep_versions}")
    return None


def _retired_at(member: Member) -> float:
    return (member.progress.since if member.progress else None) or 0.0


def _remains(group: Group, candidate: Member) -> Delete | None:
    """Return the deletion of an earlier rollout's candidate, kept until now to be looked at."""
    for member in _idle(group, Phase.ROLLED_BACK, Phase.FROZEN, Phase.DRIFTED):
        if member.name != candidate.name and not member.leaving:
            return Delete(service=member.name, why="candidate of an earlier rollout")
    return None


def _idle(group: Group, *phases: Phase) -> list[Member]:
    return [
        member
        for member in group.members
        if member.progress is not None and member.progress.phase in phases and not member.grouping
    ]
