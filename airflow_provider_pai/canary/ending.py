"""Endings of a rollout: promotion, the way back, and what is left to a person.

Each function returns the one next action.
"""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_pai.canary.actions import Action, Change, Delete, Finish, Label, Release, Stop, Wait, Withdraw
from airflow_provider_pai.canary.goal import refused
from airflow_provider_pai.canary.group import Group, Member, Phase, Progress, rejection
from airflow_provider_pai.canary.situation import Situation
from airflow_provider_pai.canary.traffic import toward
from airflow_provider_pai.canary.weights import carriers


def withdraw(situation: Situation, outcome: str, note: str) -> Withdraw | Label:
    """Take the candidate out of the traffic, before everything else, unless it alone answers people.

    :param outcome: `rejected` (the digest is bad), `rolled_back` (not proven bad), `timed_out` (nothing is known of
        it; a later try may begin anew) or `skipped` (must not deploy).
    """
    candidate, progress, stable = situation.candidate, situation.progress, situation.stable
    alone = not situation.others
    if alone and candidate in carriers(situation.group) and stable is not None and not stable.running:
        return freeze(situation, f"{stable.name} is {stable.status}, nothing else can serve: {note}")
    releases = []
    if alone and stable is not None:
        # It has no weight left: without this, taking the candidate's would leave the group without a service.
        releases.append(Release(service=stable.name, weight=100, grouping=True))
    if candidate.grouping or candidate.weight > 0:
        releases.append(Release(service=candidate.name, weight=0, grouping=False))
    served = progress.phase in (Phase.STEP, Phase.PROMOTING)
    since = situation.now if served else None
    withdrawn = replace(progress, phase=Phase.WITHDRAWN, outcome=outcome, note=note, since=since, settling=None)
    if outcome == "rejected":
        withdrawn = withdrawn.reject(_rejection(progress))
    if outcome == "timed_out":
        withdrawn = replace(withdrawn, try_number=situation.goal.try_number)
    return Withdraw(service=candidate.name, releases=tuple(releases), progress=withdrawn)


def freeze(situation: Situation, note: str) -> Label:
    """Leave everything as it is, for a person."""
    return situation.label(f"frozen: {note}", phase=Phase.FROZEN, outcome="stopped", note=note)


def drifted(situation: Situation, why: str) -> Label:
    """Leave everything as someone else put it, and say so on the candidate."""
    note = f"someone else intervened: {why}"
    return situation.label(note, phase=Phase.DRIFTED, outcome="stopped", note=note)


def deleted(situation: Situation) -> Release | Finish:
    """Give production all traffic where a person has deleted the candidate, and stop: it is not made again."""
    stable = situation.stable
    if stable is not None and stable.running and not (stable.grouping and stable.weight == 100):
        return Release(service=stable.name, weight=100, grouping=True)
    serving = ", ".join(member.name for member in carriers(situation.group)) or "nothing"
    why = f"someone deleted {situation.candidate.name}: it is made again if the task is cleared; {serving} serves now"
    return Finish(outcome="stopped", why=why)


def roll_back(situation: Situation) -> Change:
    """Finish what `withdraw` began: remember the digest, give production its weight, drain and stop the candidate."""
    candidate, progress = situation.candidate, situation.progress
    restored = _restore(situation)
    if restored is not None:
        return restored
    if candidate.grouping or candidate.weight > 0:
        return Release(service=candidate.name, weight=0, grouping=False)
    drained = 0.0 if progress.since is None else progress.since + situation.plan.drain
    pause = situation.wait_until(f"requests in flight at {candidate.name} end", drained)
    if candidate.running and pause is not None:
        return pause
    done = replace(progress, phase=Phase.ROLLED_BACK)
    return _remains(situation) or Stop(service=candidate.name, progress=done, why=progress.note)


def promote(situation: Situation) -> Action:
    """Give the candidate everything, then retire what served before."""
    candidate, stable = situation.candidate, situation.stable
    if candidate.failed or not candidate.running:
        return _broke_down(situation)
    foreign = [member.name for member in situation.others if member.name != situation.progress.stable]
    if foreign:
        return drifted(situation, f"{', '.join(foreign)} carries group traffic")
    move = toward(situation.group, candidate, stable if stable is not None and stable.grouping else None, 100)
    if move is not None:
        return move
    if stable is not None and stable.running and not candidate.ready:
        # Production goes only when all of the candidate's instances can take its place.
        if situation.elapsed >= situation.plan.ready_timeout:
            return withdraw(situation, "rolled_back", f"not all of it came up: {candidate}")
        return situation.wait(str(candidate))
    return (
        (_retire(situation, stable) if stable is not None else None)
        or _surplus(situation)
        or _remains(situation)
        or situation.label("it serves 100 %, read back", phase=Phase.PROMOTED, since=situation.now)
    )


def over(situation: Situation) -> Action:
    """Answer for an ended rollout: the same cycle hears its end again, a later one may start anew.

    A cleared task hears of a model that serves how it came in: the row of that may be missing.
    """
    candidate, progress, goal = situation.candidate, situation.progress, situation.goal
    mine = (progress.task, progress.cycle) == (goal.task, goal.cycle)
    tried_before = progress.outcome == "timed_out" and progress.try_number < goal.try_number
    serves = progress.phase is Phase.PROMOTED and candidate.grouping and progress.task == goal.task
    if (mine and not tried_before) or serves:
        return _end_of(progress)
    refusal = refused(goal, situation.group)
    if refusal is not None:
        return refusal
    if candidate.grouping:
        return Finish(outcome="skipped", why=f"{candidate.name} takes group traffic already")
    if candidate.leaving:
        return situation.wait(f"{candidate.name} is {candidate.status}")
    return Delete(service=candidate.name, why="remains of an earlier try")


_STOPPED = frozenset({Phase.FROZEN, Phase.DRIFTED})


def _end_of(progress: Progress) -> Finish:
    """Return the end of a rollout whose labels say that it is over."""
    if progress.phase in _STOPPED:
        outcome = "stopped"
    elif progress.phase is Phase.ROLLED_BACK:
        outcome = progress.outcome if progress.outcome in ("skipped", "timed_out") else "rolled_back"
    else:
        outcome = progress.outcome or "promoted"
    return Finish(outcome=outcome, why=progress.note, progress=progress)


def _restore(situation: Situation) -> Label | Release | None:
    """Return what production still needs: the memory of a bad digest, and its weight."""
    progress, stable = situation.progress, situation.stable
    if stable is None:
        return None
    entry, theirs = _rejection(progress), stable.progress
    if progress.outcome == "rejected" and theirs is not None and entry not in theirs.rejected:
        return Label(service=stable.name, progress=theirs.reject(entry), why="remembers the rejected digest")
    if not stable.grouping or stable.weight != 100:
        return Release(service=stable.name, weight=100, grouping=True)
    return None


def _broke_down(situation: Situation) -> Action:
    """Answer for a candidate that is down after its promotion began: production takes its place where it can."""
    candidate, stable = situation.candidate, situation.stable
    if stable is not None and stable.running:
        return withdraw(situation, "rejected", f"broke down: {candidate}")
    if situation.elapsed < situation.plan.ready_timeout:
        return situation.wait(f"{candidate}; nothing else can serve")
    return withdraw(situation, "rejected", f"down for {situation.elapsed:.0f} s: {candidate}")


def _retire(situation: Situation, stable: Member) -> Action | None:
    if stable.grouping:
        return Release(service=stable.name, weight=0, grouping=False)
    progress = stable.progress or Progress(phase=Phase.PROMOTED)
    if progress.phase is Phase.RETIRED:
        return None
    if progress.phase is not Phase.RETIRING:
        retiring = replace(progress, phase=Phase.RETIRING, since=situation.now)
        return Label(service=stable.name, progress=retiring, why="replaced")
    return _drain(situation, stable, progress)


def _drain(situation: Situation, stable: Member, progress: Progress) -> Wait | Delete | Stop | None:
    drained = progress.began(situation.now) + situation.plan.drain
    pause = situation.wait_until(f"requests in flight at {stable.name} end", drained)
    if pause is not None:
        return pause
    if not situation.plan.keep_versions:
        return None if stable.leaving else Delete(service=stable.name, why="keep_versions is 0")
    retired = replace(progress, phase=Phase.RETIRED)
    return Stop(service=stable.name, progress=retired, why="replaced; kept to go back to")


def _surplus(situation: Situation) -> Delete | None:
    """Return the deletion of a retired service beyond those that are kept."""
    retired = sorted(_idle(situation.group, Phase.RETIRED), key=_retired_at, reverse=True)
    kept = situation.plan.keep_versions
    return _first_deletion(retired[kept:], f"beyond keep_versions {kept}")


def _remains(situation: Situation) -> Delete | None:
    """Return the deletion of an earlier rollout's candidate, kept until now to be looked at."""
    idle = _idle(situation.group, Phase.ROLLED_BACK, Phase.FROZEN, Phase.DRIFTED)
    others = [member for member in idle if member.name != situation.candidate.name]
    return _first_deletion(others, "candidate of an earlier rollout")


def _first_deletion(members: list[Member], why: str) -> Delete | None:
    return next((Delete(service=member.name, why=why) for member in members if not member.leaving), None)


def _idle(group: Group, *phases: Phase) -> list[Member]:
    return [
        member
        for member in group.members
        if member.progress is not None and member.progress.phase in phases and not member.grouping
    ]


def _retired_at(member: Member) -> float:
    return (member.progress.since if member.progress else None) or 0.0


def _rejection(progress: Progress) -> str:
    return rejection(progress.digest, progress.task, progress.cycle)
