"""State machine of a rollout: what EAS shows now → the one next action.

Nothing is remembered between two looks: whoever reads the same group comes to the same action, so any process
may go on where another was killed.

    (none) → prepare → (ready →) smoked (→ alone) → step 0, 1, … → promoting → promoted → (by a later rollout) retired
                └─────────┴────────┴────────┴────────┴─ withdrawn → rolled_back
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_provider_pai.canary.actions import Action, Finish, Release
from airflow_provider_pai.canary.analysis import Judgement
from airflow_provider_pai.canary.ending import deleted, over, promote, roll_back, withdraw
from airflow_provider_pai.canary.goal import Goal, refused
from airflow_provider_pai.canary.group import UNDER_WAY, Group, Member, Phase, Progress
from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.canary.prepare import after_probe, create, prepare
from airflow_provider_pai.canary.samples import NOTHING, Sample
from airflow_provider_pai.canary.situation import Situation
from airflow_provider_pai.canary.step import after_look, step

PHASES: Mapping[Phase, Callable[[Situation], Action]] = {
    Phase.PREPARE: prepare,
    Phase.READY: prepare,
    Phase.SMOKED: prepare,
    Phase.ALONE: prepare,
    Phase.STEP: step,
    Phase.PROMOTING: promote,
    Phase.PROMOTED: over,
    Phase.RETIRING: over,
    Phase.RETIRED: over,
    Phase.WITHDRAWN: roll_back,
    Phase.ROLLED_BACK: over,
    Phase.FROZEN: over,
    Phase.DRIFTED: over,
}
"""Each phase to what returns its next action."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """A plan, a goal, and the group as EAS shows it at this moment.

    :param now: Unix time.
    :param stop: why the rollout must end now (a deadline, a person); empty: it goes on.
    :param gate: whether a person lets it rise to 100 %: `open`, `waiting` or `refused`.
    """

    plan: RolloutPlan
    goal: Goal
    group: Group
    now: float
    stop: str = ""
    gate: str = "open"

    def next(self) -> Action:
        """Return the next action."""
        candidate = self.group.member(self.goal.service)
        progress = candidate.progress if candidate else None
        if candidate is None or progress is None:
            return self._begin(candidate)
        situation, mine = self._of(candidate, progress), (self.goal.task, self.goal.cycle)
        if candidate.deleted and progress.phase in UNDER_WAY:
            return self._deleted(situation, mine=(progress.task, progress.cycle) == mine)
        if progress.phase in UNDER_WAY and (progress.task, progress.cycle) != mine:
            return situation.label("this task goes on with the rollout", task=self.goal.task, cycle=self.goal.cycle)
        return PHASES[progress.phase](situation)

    def after_probe(self, failure: str, *, unreached: bool = False) -> Action:
        """Return the action after the golden requests.

        :param failure: what was wrong; empty: all were answered well.
        :param unreached: nothing of the candidate itself has answered.
        """
        return after_probe(self._present(), failure, unreached=unreached)

    def after_look(self, judgement: Judgement, golden: Sample = NOTHING) -> Action:
        """Return the action after a judgement of the present step.

        :param golden: golden requests that the candidate was sent for it.
        """
        return after_look(self._present(), judgement, golden)

    def _begin(self, candidate: Member | None) -> Action:
        """Create the candidate, after what an earlier rollout has left is brought to its end."""
        if candidate is not None:
            return Finish(outcome="stopped", why=f"{candidate.name} exists, and no rollout made it")
        if self.stop:
            return Finish(outcome="stopped", why=self.stop)
        return refused(self.goal, self.group) or self._wind_up() or create(self.goal, self.group, self.now)

    def _deleted(self, situation: Situation, *, mine: bool) -> Action:
        """Answer for a candidate that a person has deleted: only one who cleared the task makes it again."""
        if mine:
            return deleted(situation)
        return situation.wait(str(situation.candidate)) if situation.candidate.leaving else self._begin(None)

    def _wind_up(self) -> Action | None:
        """Bring a rollout to its end whose task is gone: the lease is ours, so nobody else works on it."""
        for member in self.group.members:
            progress = member.progress
            if progress is not None and progress.phase in UNDER_WAY:
                orphan = self._of(member, progress)
                if member.deleted:
                    if isinstance(left := deleted(orphan), Release):
                        return left
                    continue
                if progress.phase in (Phase.PROMOTING, Phase.WITHDRAWN):
                    return PHASES[progress.phase](orphan)
                reason = f"its task ended in phase {progress.phase}; {self.goal.service} takes its place"
                return withdraw(orphan, "skipped", reason)
        return None

    def _present(self) -> Situation:
        candidate = self.group.member(self.goal.service)
        if candidate is None or candidate.progress is None:
            raise LookupError(f"{self.goal.service} is not in group {self.group.name}")
        return self._of(candidate, candidate.progress)

    def _of(self, member: Member, progress: Progress) -> Situation:
        return Situation(
            plan=self.plan,
            goal=self.goal,
            group=self.group,
            candidate=member,
            progress=progress,
            now=self.now,
            stop=self.stop,
            gate=self.gate,
        )
