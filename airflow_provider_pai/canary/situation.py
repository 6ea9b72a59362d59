"""Situation of one rollout at one moment: what is wanted, and what EAS shows of the candidate and its group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_pai.canary.actions import Label, Wait
from airflow_provider_pai.canary.goal import Goal
from airflow_provider_pai.canary.group import Group, Member, Progress
from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.canary.weights import carriers


@dataclass(frozen=True, kw_only=True)
class Situation:
    """Everything that the next action follows from.

    :param candidate: the service that is rolled out.
    :param progress: how far it is, as its labels tell.
    :param now: Unix time.
    :param stop: why the rollout must end now (a deadline, a person); empty: it goes on.
    :param gate: whether a person lets it rise to 100 %: `open`, `waiting` or `refused`.
    """

    plan: RolloutPlan
    goal: Goal
    group: Group
    candidate: Member
    progress: Progress
    now: float
    stop: str = ""
    gate: str = "open"

    @property
    def stable(self) -> Member | None:
        """Return the service that served when the rollout began; None: none did, or it is gone."""
        return self.group.member(self.progress.stable)

    @property
    def others(self) -> list[Member]:
        """Return the members that answer group requests now, the candidate aside."""
        return [member for member in carriers(self.group) if member.name != self.candidate.name]

    @property
    def elapsed(self) -> float:
        """Return the seconds since the phase or step began."""
        return self.now - self.progress.began(self.now)

    @property
    def effective(self) -> float:
        """Return the seconds since the step's share was seen to take effect."""
        return self.elapsed - self.progress.late

    @property
    def moving(self) -> bool:
        """Tell whether calls towards the step's share may be outstanding."""
        return self.progress.since is None

    def percent(self, step: int) -> int:
        """Return a step's percentage; before the first it is 0, and a shortened plan ends at its last."""
        return self.plan.steps[min(step, len(self.plan.steps) - 1)] if step >= 0 else 0

    def label(self, why: str, **changes: Any) -> Label:
        """Return the action that writes a change of progress down.

        :param changes: fields of `Progress`.
        """
        progress = replace(self.progress, **changes)
        return Label(service=self.candidate.name, progress=progress, why=why)

    def wait(self, why: str) -> Wait:
        """Return a pause until EAS may show something else."""
        return Wait(why=why, seconds=self.plan.poll)

    def wait_until(self, why: str, moment: float) -> Wait | None:
        """Return a pause on the way to a Unix time, or None when it has come."""
        left = moment - self.now
        return Wait(why=why, seconds=min(self.plan.poll, left)) if left > 0 else None
