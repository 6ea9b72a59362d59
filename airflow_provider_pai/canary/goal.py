"""Goal of a rollout, and the reasons for which it must not deploy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_pai.canary.actions import Finish
from airflow_provider_pai.canary.group import Group, Member, rejection
from airflow_provider_pai.canary.weights import incumbents
from airflow_provider_pai.labels import ServedModel


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What is to serve, on whose behalf, and what is allowed."""

    group: str
    service: str
    version: str
    digest: str
    interval_end: str = ""
    """ISO 8601; empty: unknown, then nothing is older."""
    task: str = ""
    cycle: int = 0
    try_number: int = 0
    """Airflow's: one that is taken out unjudged is tried again by a later try only."""
    backfill: bool = False
    allow_backfill: bool = False
    allow_older: bool = False
    smoke: bool = True
    """Golden requests are to be answered before any traffic."""
    approval: str = ""
    """Task of the same run that must have succeeded before the rise to 100 %."""
    skip_analysis: str = ""
    """Why nobody judges it; empty: it is judged."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """More labels for the candidate, for people."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON; the constructor takes it back."""
        return asdict(self)


def refused(goal: Goal, group: Group) -> Finish | None:
    """Return the end of a rollout that must not begin, or None where it may."""
    # Rollouts whose tasks are gone are brought to their end first; what they leave is looked at again.
    serving = incumbents(group)
    reason = guard(goal, serving)
    if not reason and [ServedModel.of(member.labels).digest for member in serving] == [goal.digest]:
        return Finish(outcome="unchanged", why=f"{serving[0].name} serves it already")
    reason = reason or rejected_before(goal, group)
    if reason:
        return Finish(outcome="skipped", why=reason)
    if len(serving) > 1:
        names = ", ".join(member.name for member in serving)
        return Finish(outcome="stopped", why=f"several services carry the group's traffic: {names}")
    return None


def guard(goal: Goal, serving: Sequence[Member]) -> str:
    """Return why this version must not deploy now; asked before anything is made and before each rise."""
    if goal.backfill and not goal.allow_backfill:
        return "a backfill run does not deploy (allow_backfill)"
    for member in serving:
        theirs = member.progress.interval_end if member.progress else ""
        if goal.allow_older or not theirs or not goal.interval_end or member.name == goal.service:
            continue
        if datetime.fromisoformat(goal.interval_end) < datetime.fromisoformat(theirs):
            return f"data up to {goal.interval_end} is older than {member.name}'s, {theirs} (allow_older)"
    return ""


def rejected_before(goal: Goal, group: Group) -> str:
    """Return why this digest must not deploy: it was rolled back, and nobody has cleared the task since."""
    if not group.rejects(goal.digest, goal.task, goal.cycle):
        return ""
    return f"digest {rejection(goal.digest, goal.task, goal.cycle).partition('.')[0]}… was rolled back before"
