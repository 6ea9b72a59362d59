"""Takeover of a group's traffic by one service; what carried it before is stopped, and what was bad remembered."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.canary.actions import Release, touched
from airflow_provider_pai.canary.group import Group, Member, Phase, rejection
from airflow_provider_pai.canary.memory import Memory, recall
from airflow_provider_pai.canary.traffic import toward
from airflow_provider_pai.canary.weights import carriers
from airflow_provider_pai.clock import Clock
from airflow_provider_pai.exceptions import PaiApiError, RolloutStoppedError

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas import EasHook
    from airflow_provider_pai.rollouts.fence import Fence

_MOVES = 50


@dataclass(frozen=True, kw_only=True)
class Takeover:
    """A service that is ready, and the one whose traffic it takes.

    :param replaced: what carried the traffic; empty: nothing did.
    :param why: the reason, which the labels of what was replaced keep.
    :param clock: None: the services' time.
    """

    hook: EasHook
    group: str
    service: str
    replaced: str
    log: Any
    why: str = ""
    clock: Clock | None = None

    def move(self, fence: Fence | None = None) -> None:
        """Move the traffic so that at no moment nobody answers.

        :param fence: of the group's lease; None: it can't be had, and nobody else has it.
        :raises RolloutStoppedError: someone else moved it, or EAS does not take the weights.
        :raises LeaseLostError: another process has taken the group.
        """
        for _ in range(_MOVES):
            group = self.hook.group(self.group, self.service, self.replaced)
            target, before = self._of(group), group.member(self.replaced)
            foreign = [m.name for m in carriers(group) if m.name not in (self.service, self.replaced)]
            if foreign:
                raise RolloutStoppedError(f"{', '.join(foreign)} carries traffic of group {self.group}, too")
            step = toward(group, target, before if before and before.grouping else None, 100)
            if step is None:
                return
            with fence.around(*touched(step)) if fence else nullcontext():
                if isinstance(step, Release):
                    self.log.info("%s: %s", step.service, step)
                    self.hook.release(step.service, weight=step.weight, grouping=step.grouping)
                else:
                    self.hook.set_traffic_mode(self.group, "customized")
        raise RolloutStoppedError(f"group {self.group} does not take the weights that are set")

    def settle(self, drain: float, memory: Memory) -> Member | None:
        """Write down who serves and who was bad, then stop who was bad; return it as it was.

        :param memory: what the lease's last holder knew of the group's services.
        """
        shown = self.hook.group(self.group, self.service, self.replaced)
        clock = self.clock or self.hook.service_clock
        group = recall(shown, memory, clock.now())
        target, bad = self._of(group), group.member(self.replaced)
        entry = self._reject(bad) if bad is not None else ""
        if (ours := target.progress) is not None:
            # A retry finds it promoted already: it has served since the first try.
            since = ours.since if ours.phase is Phase.PROMOTED else clock.now()
            serving = replace(ours, phase=Phase.PROMOTED, since=since)
            serving = serving.reject(entry) if entry else serving
            self.hook.label(target.name, {**target.labels, **serving.labels()})
        if bad is not None and not bad.leaving and not bad.failed:
            clock.sleep(drain)
            self._stop(bad.name)
        return bad

    def _reject(self, bad: Member) -> str:
        """Write down that a model was bad; return the entry that remembers it, empty where no rollout made it."""
        progress = bad.progress
        if progress is None:
            return ""
        entry = rejection(progress.digest, progress.task, progress.cycle)
        rejected = progress.reject(entry)
        ended = replace(
            rejected,
            phase=Phase.ROLLED_BACK,
            outcome="rejected",
            note=f"rolled back by hand: {self.why}" if self.why else "rolled back by hand",
        )
        self.hook.label(bad.name, {**bad.labels, **ended.labels()})
        return entry

    def _stop(self, name: str) -> None:
        try:
            self.hook.stop(name)
        except PaiApiError as error:
            self.log.warning("%s could not be stopped and may go on costing: %s", name, error)

    def _of(self, group: Group) -> Member:
        member = group.member(self.service)
        if member is None:
            raise RolloutStoppedError(f"{self.service} is no longer in group {self.group}")
        return member
