"""The rollout's state machine: what EAS shows now → the one next action.

Nothing is remembered between two looks: whoever reads the same group comes to the same action, so any process
may go on where another was killed.

    (none) → prepare → smoked → step 0, 1, … → promoting → promoted → (by a later rollout) retired
                └────────┴────────┴─ withdrawn → rolled_back
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from airflow_provider_pai.canary.actions import Action, Create, Customize, Delete, Finish, Label, Look, Probe, Wait
from airflow_provider_pai.canary.analysis import Result, Verdict
from airflow_provider_pai.canary.endings import drifted, ended, freeze, promote, roll_back, withdraw
from airflow_provider_pai.canary.goal import Goal, guard, rejected_before
from airflow_provider_pai.canary.group import UNDER_WAY, Group, Member, Phase, Progress, StepResult
from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.canary.traffic import changed, drift, toward
from airflow_provider_pai.canary.weights import carriers


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
        candidate, orphan = self.group.member(self.goal.service), self._orphan()
        progress = candidate.progress if candidate else None
        if candidate is None or progress is None:
            refusal = self._unknown(candidate) or self._refused()
            return refusal or (self._wind_up(orphan) if orphan else self._create())
        if progress.phase not in UNDER_WAY:
            return self._over(candidate, progress)
        if (progress.task, progress.cycle) != (self.goal.task, self.goal.cycle):
            taken = replace(progress, task=self.goal.task, cycle=self.goal.cycle)
            return Label(service=candidate.name, progress=taken, why="this task goes on with the rollout")
        if progress.phase is Phase.WITHDRAWN:
            return roll_back(self.plan, self.group, candidate, progress, self.now)
        if progress.phase is Phase.PROMOTING:
            return promote(self.plan, self.group, candidate, progress, self.now)
        if self.stop:
            return withdraw(self.group, candidate, progress, "rolled_back", self.stop, self.now)
        return self._step(candidate, progress) if progress.phase is Phase.STEP else self._prepare(candidate, progress)

    def after_probe(self, failure: str) -> Action:
        """Return the action after the golden requests; `failure` is empty when all were answered well."""
        candidate, progress = self._candidate()
        if failure:
            return withdraw(self.group, candidate, progress, "rejected", f"smoke test: {failure}", self.now)
        smoked = replace(progress, phase=Phase.SMOKED, since=self.now)
        return Label(service=candidate.name, progress=smoked, why="smoke test passed")

    def after_look(self, verdict: Verdict, golden: int = 0) -> Action:
        """Return the action after a verdict on the present step.

        :param golden: golden requests that the candidate was sent for it.
        """
        candidate, progress = self._candidate()
        plan, elapsed = self.plan, self.now - progress.began(self.now)
        counted = _count(replace(progress, golden=progress.golden + golden), verdict)
        closed = replace(counted, steps=(*progress.steps, StepResult.of(self._percent(progress.step), verdict)))
        if verdict.hard:
            return withdraw(self.group, candidate, closed, "rejected", verdict.reason, self.now)
        if self._too_many(counted):
            if plan.on_failure == "freeze":
                return freeze(candidate, closed, verdict.reason)
            return withdraw(self.group, candidate, closed, "rejected", verdict.reason, self.now)
        if counted.source_errors > plan.max_source_errors:
            reason = f"the metrics source failed {counted.source_errors} times: {verdict.reason}"
            return withdraw(self.group, candidate, closed, "rolled_back", reason, self.now)
        done = self._done(candidate, progress, closed, verdict, elapsed)
        if done is not None:
            return done
        if counted != progress:
            return Label(service=candidate.name, progress=counted, why=verdict.reason, pause=plan.interval)
        return Wait(why=verdict.reason, seconds=plan.interval)

    def _done(
        self, candidate: Member, progress: Progress, closed: Progress, verdict: Verdict, elapsed: float
    ) -> Action | None:
        """Return the action at the end of a step, or None while it goes on."""
        plan = self.plan
        if progress.step >= len(plan.steps):
            if verdict.result in (Result.FAIL, Result.ERROR) or elapsed < plan.bake:
                return None
            return self._rise(candidate, replace(closed, steps=progress.steps))
        if verdict.result is Result.PASS and elapsed >= plan.min_duration:
            return self._rise(candidate, closed)
        if verdict.result is Result.INCONCLUSIVE and self._out_of_patience(closed, elapsed):
            if plan.on_inconclusive == "rollback":
                reason = f"inconclusive for {elapsed:.0f} s: {verdict.reason}"
                return withdraw(self.group, candidate, closed, "rolled_back", reason, self.now)
            if plan.on_inconclusive == "promote":
                return self._rise(candidate, closed)
        return None

    def _too_many(self, progress: Progress) -> bool:
        limit = self.plan.max_consecutive_failures
        return progress.failures > self.plan.max_failures or (limit is not None and progress.consecutive > limit)

    def _out_of_patience(self, progress: Progress, elapsed: float) -> bool:
        limit = self.plan.max_inconclusive
        return elapsed >= self.plan.max_duration or (limit is not None and progress.inconclusive > limit)

    def _orphan(self) -> Member | None:
        others = (member for member in self.group.members if member.name != self.goal.service)
        return next((member for member in others if _under_way(member)), None)

    def _candidate(self) -> tuple[Member, Progress]:
        candidate = self.group.member(self.goal.service)
        if candidate is None or candidate.progress is None:
            raise LookupError(f"{self.goal.service} is not in group {self.group.name}")
        return candidate, candidate.progress

    def _unknown(self, candidate: Member | None) -> Finish | None:
        if candidate is not None:
            return Finish(outcome="stopped", why=f"{candidate.name} exists, and no rollout made it")
        return Finish(outcome="stopped", why=self.stop) if self.stop else None

    def _refused(self) -> Finish | None:
        # Rollouts whose tasks are gone are brought to their end first; what they leave is looked at again.
        serving = [member for member in carriers(self.group) if not _under_way(member)]
        reason = guard(self.goal, serving) or rejected_before(self.goal, self.group)
        if reason:
            return Finish(outcome="skipped", why=reason)
        if len(serving) > 1:
            names = ", ".join(member.name for member in serving)
            return Finish(outcome="stopped", why=f"several services carry the group's traffic: {names}")
        return None

    def _create(self) -> Create:
        members, goal = self.group.members, self.goal
        # A member that should serve but is down is replaced at once: there is nothing to compare with.
        known = carriers(self.group) or [member for member in members if member.grouping and not member.leaving]
        remembered = [entry for member in members if member.progress for entry in member.progress.rejected]
        progress = Progress(
            phase=Phase.PREPARE,
            version=goal.version,
            digest=goal.digest,
            interval_end=goal.interval_end,
            task=goal.task,
            cycle=goal.cycle,
            stable=known[0].name if len(known) == 1 else "",
            since=self.now,
            rejected=tuple(dict.fromkeys(remembered)),
        )
        return Create(service=goal.service, progress=progress)

    def _wind_up(self, orphan: Member) -> Action:
        """Bring a rollout to its end whose task is gone: the lease is ours, so nobody else works on it."""
        progress = orphan.progress
        assert progress is not None
        if progress.phase is Phase.PROMOTING:
            return promote(self.plan, self.group, orphan, progress, self.now)
        if progress.phase is Phase.WITHDRAWN:
            return roll_back(self.plan, self.group, orphan, progress, self.now)
        reason = f"its task ended in phase {progress.phase}; {self.goal.service} takes its place"
        return withdraw(self.group, orphan, progress, "skipped", reason, self.now)

    def _over(self, candidate: Member, progress: Progress) -> Action:
        """Answer for an ended rollout: the same cycle hears its end again, a later one may start anew."""
        mine = (progress.task, progress.cycle) == (self.goal.task, self.goal.cycle)
        if mine or (progress.phase is Phase.PROMOTED and candidate.grouping):
            return ended(progress)
        refusal = self._refused()
        if refusal is not None:
            return refusal
        if candidate.grouping:
            return Finish(outcome="skipped", why=f"{candidate.name} takes group traffic already")
        if candidate.leaving:
            return Wait(why=f"{candidate.name} is {candidate.status}", seconds=self.plan.poll)
        return Delete(service=candidate.name, why="remains of an earlier try, which a person cleared")

    def _prepare(self, candidate: Member, progress: Progress) -> Action:
        waited = self.now - progress.began(self.now)
        if candidate.failed:
            return withdraw(self.group, candidate, progress, "rejected", str(candidate), self.now)
        if not candidate.ready and waited >= self.plan.ready_timeout:
            return withdraw(self.group, candidate, progress, "rejected", f"after {waited:.0f} s: {candidate}", self.now)
        if not candidate.ready:
            return Wait(why=str(candidate), seconds=self.plan.poll)
        if progress.phase is Phase.PREPARE and self.goal.smoke:
            return Probe(service=candidate.name)
        others = [member for member in carriers(self.group) if member is not candidate]
        names = [member.name for member in others]
        if names not in ([progress.stable], []):
            return drifted(candidate, progress, f"{', '.join(names)} serve instead of {progress.stable or 'none'}")
        reason = guard(self.goal, others)
        if reason:
            return withdraw(self.group, candidate, progress, "skipped", reason, self.now)
        stable = self.group.member(progress.stable)
        if not others and stable is not None and not (stable.failed or stable.leaving):
            # A restart of production is no reason to give everybody a model that nobody has judged.
            left = progress.began(self.now) + self.plan.drain - self.now
            if left > 0:
                return Wait(why=f"{stable}; it may come back", seconds=min(self.plan.poll, left))
        if not others:
            note = "nothing served before"
            deploy = replace(progress, phase=Phase.PROMOTING, since=self.now, outcome="deployed", note=note)
            return Label(service=candidate.name, progress=deploy, why=f"{note}: straight to 100 %")
        gated = self._gated(candidate, progress, 0)
        if gated is not None:
            return gated
        first = replace(
            progress,
            phase=Phase.STEP,
            step=0,
            since=None,
            own_version=candidate.version,
            stable_version=stable.version if stable else 0,
        )
        return Label(service=candidate.name, progress=first, why=f"first step: {self.plan.steps[0]} %")

    def _step(self, candidate: Member, progress: Progress) -> Action:
        moving, stable = progress.since is None, self.group.member(progress.stable)
        percent, previous = self._percent(progress.step), self._percent(progress.step - 1)
        if not candidate.grouping and not (moving and progress.step == 0):
            reason = "its traffic was taken away, by a kill or by hand"
            return withdraw(self.group, candidate, progress, "rolled_back", reason, self.now)
        if candidate.failed or not candidate.running:
            return withdraw(self.group, candidate, progress, "rejected", f"broke down: {candidate}", self.now)
        foreign = drift(self.group, candidate, stable, percent=percent, previous=previous, moving=moving)
        foreign = foreign or changed(candidate, stable, progress)
        if foreign:
            return drifted(candidate, progress, foreign)
        if progress.since is None:
            return self._move(candidate, stable, progress, percent)
        if self.goal.skip_analysis:
            return self._rise(candidate, progress)
        judged_from = progress.since + self.plan.warm_up
        left = judged_from + self.plan.interval - self.now
        if left > 0:
            return Wait(why=f"at {percent} %", seconds=min(left, self.plan.interval))
        return Look(
            candidate=candidate.name,
            stable=progress.stable,
            percent=percent,
            since=judged_from,
            began=progress.since,
            settled=self.now - judged_from >= self._settling(percent),
            golden=progress.golden,
        )

    def _settling(self, percent: int) -> float:
        """Return the seconds after which the counts must show a share; metrics may come late.

        At 100 % nothing was counted beside it, and the lateness does not cancel out.
        """
        return (self.plan.min_duration + self.plan.interval) * (3 if percent == 100 else 1)

    def _move(self, candidate: Member, stable: Member | None, progress: Progress, percent: int) -> Action:
        """Return the next call on the way to a step's share."""
        move = toward(self.group, candidate, stable, percent)
        if move is None:
            there = replace(
                progress,
                since=self.now,
                settling=None,
                failures=0,
                inconclusive=0,
                source_errors=0,
                consecutive=0,
                golden=0,
            )
            return Label(service=candidate.name, progress=there, why=f"at {percent} %, read back")
        if isinstance(move, Customize):
            # The gateway must know the weights before it follows them, or nobody has any.
            if progress.settling is None:
                settling = replace(progress, settling=self.now)
                return Label(service=candidate.name, progress=settling, why="weights are set")
            left = progress.settling + self.plan.drain - self.now
            if left > 0:
                return Wait(why="the gateway learns the weights", seconds=min(self.plan.poll, left))
        return move

    def _gated(self, candidate: Member, progress: Progress, step: int) -> Action | None:
        """Return what a person's answer asks for before the step to 100 %, or None where it may go on."""
        if not self.goal.approval or step + 1 != len(self.plan.steps) or self.gate == "open":
            return None
        if self.gate == "refused":
            reason = "the promotion was not approved"
            return withdraw(self.group, candidate, progress, "rolled_back", reason, self.now)
        return Wait(why=f"waits for {self.goal.approval} before it rises to 100 %", seconds=self.plan.interval)

    def _percent(self, step: int) -> int:
        """Return a step's percentage; before the first it is 0, and a shortened plan ends at its last."""
        return self.plan.steps[min(step, len(self.plan.steps) - 1)] if step >= 0 else 0

    def _rise(self, candidate: Member, progress: Progress) -> Action:
        others = [member for member in carriers(self.group) if member is not candidate]
        reason = guard(self.goal, others)
        if reason:
            return withdraw(self.group, candidate, progress, "skipped", reason, self.now)
        if not candidate.ready:
            return Wait(why=f"no rise: {candidate}", seconds=self.plan.interval)
        gated = self._gated(candidate, progress, progress.step + 1)
        if gated is not None:
            return gated
        if progress.step + 1 == len(self.plan.steps) and self.plan.bake:
            baking = replace(progress, step=progress.step + 1, since=None)
            return Label(service=candidate.name, progress=baking, why=f"bakes for {self.plan.bake:g} s")
        if progress.step + 1 < len(self.plan.steps):
            higher = replace(progress, step=progress.step + 1, since=None)
            return Label(service=candidate.name, progress=higher, why=f"on to {self._percent(higher.step)} %")
        note = f"not judged: {self.goal.skip_analysis}" if self.goal.skip_analysis else "all steps passed"
        done = replace(progress, phase=Phase.PROMOTING, since=self.now, outcome="promoted", note=note)
        return Label(service=candidate.name, progress=done, why=f"{note}: promoting")


def _count(progress: Progress, verdict: Verdict) -> Progress:
    """Count verdicts; a look that the source left unanswered changes no other counter."""
    if verdict.result is Result.ERROR:
        return replace(progress, source_errors=progress.source_errors + 1)
    return replace(
        progress,
        source_errors=0,
        failures=progress.failures + (verdict.result is Result.FAIL),
        consecutive=progress.consecutive + 1 if verdict.result is Result.FAIL else 0,
        inconclusive=progress.inconclusive + 1 if verdict.result is Result.INCONCLUSIVE else 0,
    )


def _under_way(member: Member) -> bool:
    return member.progress is not None and member.progress.phase in UNDER_WAY
