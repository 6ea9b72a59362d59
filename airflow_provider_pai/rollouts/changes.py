"""Changes of a group's services that a rollout asks for, and the withdrawal of a candidate, which needs no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from logging import INFO, WARNING
from typing import TYPE_CHECKING, Any, assert_never

from airflow_provider_pai.canary import actions
from airflow_provider_pai.canary.ending import deleted, roll_back, withdraw
from airflow_provider_pai.canary.goal import Goal
from airflow_provider_pai.canary.group import UNDER_WAY, Group, Phase
from airflow_provider_pai.canary.memory import Memory, recall
from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.canary.situation import Situation
from airflow_provider_pai.clock import Clock
from airflow_provider_pai.exceptions import PaiApiError, PaiConflictError, PaiNotFoundError, PaiTransientError
from airflow_provider_pai.states import EAS_GOING

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas import EasHook

# What EAS has not taken, or does not show yet, it is asked for again.
_ASK_AGAIN = 1.0

WITHDRAWABLE = UNDER_WAY - {Phase.PROMOTING}
"""Phases in which a rollout can be ended without a word to anybody: production still has its place."""


class Changes:
    """One process's changes of a group."""

    def __init__(self, eas: EasHook, log: Any) -> None:
        self._eas = eas
        self._log = log
        self._last_line = ""
        self._roles: Mapping[str, str] = {}

    def cast(self, **roles: str) -> None:
        """Call services by their roles from now on: their names are long, and differ in their ends.

        :param roles: each to the service's name; empty: there is none.
        """
        named = {name: role for role, name in roles.items() if name}
        if named != self._roles:
            self._roles = named
            self._log.info("%s", ", ".join(f"{role} is {name}" for name, role in named.items()))

    def say(self, line: str, *, warning: bool = False) -> bool:
        """Log a line, once where looks repeat it; return whether it is a new one."""
        new = line != self._last_line
        if new and line:
            self._log.log(WARNING if warning else INFO, "%s", with_roles(line, self._roles))
            self._last_line = line
        return new

    def apply(self, group: Group, action: actions.Change) -> float:
        """Do one action and return the seconds to wait after it."""
        match action:
            case actions.Label():
                self.say(action.why and f"{action.service}: {action.why}")
                self._label(group, action.service, action.progress.labels())
                return action.pause
            case actions.Wait():
                self.say(action.why)
                return action.seconds
            case actions.Release():
                return self._release(action)
            case actions.Isolate():
                return 0.0 if self._eas.isolate(action.service) else _ASK_AGAIN
            case actions.Customize():
                self.say(f"group {group.name}: traffic by weight")
                self._eas.set_traffic_mode(group.name, "customized")
            case actions.Withdraw():
                self._withdraw(group, action)
            case actions.Stop():
                self._stop(group, action)
            case actions.Delete():
                self.say(f"deleting {action.service}: {action.why}")
                self._eas.delete(action.service)
            case _:
                assert_never(action)
        return 0.0

    def _release(self, action: actions.Release) -> float:
        repeated = not self.say(f"{action.service}: {action}")
        self._eas.release(action.service, weight=action.weight, grouping=action.grouping)
        return _ASK_AGAIN if repeated else 0.0

    def _withdraw(self, group: Group, action: actions.Withdraw) -> None:
        for release in action.releases:
            self._release(release)
        self.say(f"{action.service} is out of the group's traffic: {action.progress.note}", warning=True)
        self._label(group, action.service, action.progress.labels())

    def _stop(self, group: Group, action: actions.Stop) -> None:
        self.say(f"stopping {action.service}: {action.why}")
        try:
            self._eas.stop(action.service)
        except PaiTransientError:
            raise
        except PaiApiError as error:
            self._log.warning("%s could not be stopped and may go on costing: %s", action.service, error)
        self._label(group, action.service, action.progress.labels())

    def _label(self, group: Group, service: str, labels: Mapping[str, str]) -> None:
        """Set labels; those that stand already are sent too, should an update replace them all."""
        member = group.member(service)
        self._eas.label(service, {**(member.labels if member else {}), **labels})


def with_roles(text: str, roles: Mapping[str, str]) -> str:
    """Return a text that calls services by their roles.

    :param roles: of each by its name.
    """
    for name in sorted(roles, key=len, reverse=True):
        text = text.replace(name, roles[name])
    return text


def _way_out(situation: Situation, why: str) -> actions.Change | actions.Finish:
    """Return the next step of a withdrawal; of what somebody deletes production's weight alone is left to set."""
    if situation.candidate.deleted:
        return deleted(situation)
    if situation.progress.phase is Phase.WITHDRAWN:
        return roll_back(situation)
    return withdraw(situation, "rolled_back", why)


def one_goes(eas: EasHook, group: Group) -> bool:
    """Tell whether somebody has deleted, or does, one of a group's services since they were looked at.

    What EAS says to a call is NotFound then, or a conflict with the status `Deleting`.
    """
    return any(eas.get(member.name).status in EAS_GOING for member in group.members if not member.deleted)


def withdraw_candidate(
    eas: EasHook,
    goal: Goal,
    plan: RolloutPlan,
    why: str,
    seconds: float,
    *,
    changes: Changes | None = None,
    clock: Clock | None = None,
    memory: Callable[[], Memory] = dict,
) -> None:
    """Take a candidate's traffic away at once, then stop it; another task's, or one that serves for good, is left.

    :param why: the reason, which the candidate's labels keep.
    :param seconds: how long it may take, half of it for requests in flight.
    :param memory: asked only where the candidate's labels can't be read.
    """
    changes, clock = changes or Changes(eas, eas.log), clock or eas.service_clock
    plan, end = replace(plan, drain=min(plan.drain, seconds / 2)), clock.monotonic() + seconds
    while clock.monotonic() < end:
        group = eas.group(goal.group, goal.service)
        member = group.member(goal.service)
        if member is not None and member.progress is None:
            group = recall(group, memory(), clock.now())
            member = group.member(goal.service)
        progress = member.progress if member else None
        if member is None or progress is None or progress.phase not in WITHDRAWABLE:
            return
        if (progress.task, progress.cycle) != (goal.task, goal.cycle):
            return
        situation = Situation(plan=plan, goal=goal, group=group, candidate=member, progress=progress, now=clock.now())
        change = _way_out(situation, why)
        if isinstance(change, actions.Finish):
            return
        try:
            pause = changes.apply(group, change)
        except (PaiNotFoundError, PaiConflictError):
            if not one_goes(eas, group):
                raise
            pause = _ASK_AGAIN
        clock.sleep(min(pause, max(0.0, end - clock.monotonic())))
