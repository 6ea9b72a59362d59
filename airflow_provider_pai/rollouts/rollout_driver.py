"""Driver of a rollout, one action a tick: the same for the worker that waits and for the triggerer.

What to do next is `canary`'s business; here it is done, under a lease, with what goes wrong on the way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.providers.common.compat.sdk import Stats

from airflow_provider_pai.canary import actions
from airflow_provider_pai.canary.analysis import Judgement, judge, source_error
from airflow_provider_pai.canary.goal import guard
from airflow_provider_pai.canary.group import Group
from airflow_provider_pai.canary.memory import Memory, check_labels, recall, remember, with_deleted
from airflow_provider_pai.canary.preview import preview
from airflow_provider_pai.canary.rollout import Rollout
from airflow_provider_pai.canary.samples import NOTHING, Sample
from airflow_provider_pai.canary.weights import carriers
from airflow_provider_pai.clock import Clock
from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiConfigError,
    PaiConflictError,
    PaiMetricsError,
    PaiNotFoundError,
    PaiTransientError,
    PaiUnsupportedError,
)
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.home import rollout_folder
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.metrics.lookout import Lookout
from airflow_provider_pai.remote import Json
from airflow_provider_pai.rollouts.approval import gate_of
from airflow_provider_pai.rollouts.changes import Changes, one_goes, withdraw_candidate
from airflow_provider_pai.rollouts.driver import Tick
from airflow_provider_pai.rollouts.fence import Fence
from airflow_provider_pai.rollouts.history import version_of
from airflow_provider_pai.rollouts.holders import has_ended
from airflow_provider_pai.rollouts.home import home_labels, home_of, kept_home
from airflow_provider_pai.rollouts.lease import DEFAULT_TTL, Holder, Lease, LeaseLostError
from airflow_provider_pai.rollouts.overlap import overlap
from airflow_provider_pai.rollouts.record import Record
from airflow_provider_pai.rollouts.spec import RolloutSpec
from airflow_provider_pai.states import EAS_GONE
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas import EasHook

Gate = Callable[[], str]

_LEASE_POLL, _LOOK_AGAIN = 5.0, 1.0


class _State(NamedTuple):
    """What lies on OSS of a group, and of this candidate."""

    home: OssUri
    lease: Lease
    fence: Fence
    record: Record


class RolloutDriver:
    """One process's hand on a rollout; nothing is lost when it dies.

    :param eas: the hook; its connection serves all others.
    :param gate: tells whether a person lets the candidate rise to 100 %: `open`, `waiting` or `refused`; None: the
        task that the rollout names.
    :param clock: None: the services' time.
    :param lookout: what asks the services; None: what the rollout declares.
    """

    def __init__(
        self,
        spec: RolloutSpec,
        eas: EasHook,
        log: Any,
        gate: Gate | None = None,
        clock: Clock | None = None,
        lookout: Lookout | None = None,
    ) -> None:
        self._spec = spec
        self._eas = eas
        self._log = log
        self._gate = gate or gate_of(spec.holder.name._asdict(), spec.goal.approval)
        self._clock = clock or eas.service_clock
        self._handed_lookout = lookout
        self._changes = Changes(eas, log)
        self._known_state: _State | None = None
        self._misses = 0
        self._home_told = False
        self._log_tail = ""
        self._asked: actions.Action | None = None
        self._asked_since = 0.0
        # A canceled trigger's tick goes on in its thread: a kill must not be undone by it. A worker's kill comes in
        # a signal handler, in the middle of its own tick.
        self._turn = threading.RLock()

    @cached_property
    def _oss(self) -> OssHook:
        return self._eas.sibling(OssHook)

    @property
    def home(self) -> OssUri:
        """Return where the group's state lies."""
        return self._state.home

    @property
    def _state(self) -> _State:
        return self._known_state or self._state_of(self._group())

    def _group(self) -> Group:
        """Return the group: what its list shows, and what is known to be in it."""
        lease = self._known_state.lease if self._known_state else None
        memory, now = lease.memory if lease else {}, self._clock.now()
        shown = self._eas.group(self._spec.goal.group, self._spec.goal.service, *memory)
        recalled = recall(shown, memory, now)
        if changed := [old.name for old, new in zip(shown.members, recalled.members, strict=True) if old != new]:
            self._changes.say(f"labels of {', '.join(changed)} are lost or can't be read: those of the last look count")
        group = with_deleted(recalled, memory)
        if lease is not None and lease.number:
            lease.memory = remember(group, memory, now)
        return group

    def _tells_another_home(self, group: Group) -> bool:
        """Tell whether the candidate named another home, in which it was begun before an older one was seen."""
        member, labels = group.member(self._spec.goal.service), home_labels(self.home)
        if self._home_told or member is None or member.deleted or labels.items() <= member.labels.items():
            return False
        self._home_told = True  # once: what EAS does not show then it never may
        with self._state.fence.around(member.name):
            self._eas.label(member.name, {**member.labels, **labels})
        return True

    def _is_gone(self, group: Group) -> bool:
        """Tell whether the candidate, which was seen before, is seen no more; one such look may be mistaken."""
        member = group.member(self._spec.goal.service)
        self._misses = self._misses + 1 if member is not None and member.status == EAS_GONE else 0
        return self._misses == 1

    def _memory(self) -> Memory:
        """Return what is known of the group's services, by this process or by the lease's last holder."""
        lease = self._state.lease
        if not lease.memory:
            lease.holder()
        return lease.memory

    def _state_of(self, group: Group) -> _State:
        """Return what lies on OSS of the group, where its services say: another rollout may have been the first."""
        known = self._known_state
        if known is None:
            self._known_state = self._state_in(home_of(self._eas, group, OssUri.parse(self._spec.artifact)))
        elif (home := kept_home(group, self._log) or known.home) != known.home:
            self._changes.say(f"group {group.name} keeps its state in {home}, not in {known.home}")
            if known.lease.number:
                self._give_back()
            self._known_state = self._state_in(home)
        return self._state

    def _state_in(self, home: OssUri) -> _State:
        goal = self._spec.goal
        folder = rollout_folder(home, goal.group)
        # It is renewed at each look.
        ttl = max(DEFAULT_TTL, 4 * self._spec.plan.interval)
        lease = Lease(self._oss, folder, self._spec.holder, ttl, self._clock, has_ended)
        return _State(
            home,
            lease,
            Fence(lease, self._eas, goal.group, self._spec.plan.steps),
            Record(self._oss, folder.join(f"{goal.service}.jsonl")),
        )

    @property
    def _lease_poll(self) -> float:
        """Return the seconds between two looks at a lease that someone else holds."""
        return min(_LEASE_POLL, self._spec.plan.interval)

    @cached_property
    def _lookout(self) -> Lookout:
        return self._handed_lookout or Lookout.declared(self._eas, self._spec.metrics, self._spec.probe)

    def tick(self) -> Tick:
        """Look once and do the one next thing.

        :raises PaiTransientError: no answer; the next tick goes on.
        """
        with self._turn:
            return self._tick()

    def _tick(self) -> Tick:
        group = self._group()
        check_labels(group)
        reason = self._must_not(group)
        if reason:
            return self._ended(group, actions.Finish(outcome="skipped", why=reason))
        try:
            lease = self._state_of(group).lease
            if lease.number:
                lease.check()
            else:
                if (holder := lease.take()) is not None:
                    return self._wait_for(holder, begun=group.member(self._spec.goal.service) is not None)
                group = self._group()
                if self._state_of(group).lease is not lease:
                    return Tick(pause=self._lease_poll)
            if self._is_gone(group) or self._tells_another_home(group):
                return Tick(pause=_LOOK_AGAIN)
            return self._act(group)
        except LeaseLostError as error:
            self._changes.say(str(error))
            self._state.lease.number = 0
            return Tick(pause=self._lease_poll)

    def preview(self) -> str:
        """Return what would be done now, in words; nothing is changed."""
        return preview(self._rollout(self._group()))

    def kill(self, why: str, seconds: float) -> None:
        """Take the candidate's traffic away at once, then end the rest if there is time.

        :param seconds: how long it may take.
        """
        with self._turn:
            goal, plan = self._spec.goal, self._spec.plan
            withdraw_candidate(
                self._eas, goal, plan, why, seconds, changes=self._changes, clock=self._clock, memory=self._memory
            )
            self._give_back()

    def _give_back(self) -> None:
        """Let the group's next rollout begin at once: without this it waits until the lease is over."""
        try:
            lease = self._state.lease
            if lease.number or lease.take() is None:
                lease.release()
        except PaiApiError as error:
            self._log.warning("The lease of group %s ends by itself: %s", self._spec.goal.group, error)

    def _rollout(self, group: Group, stop: str = "", gate: str = "open") -> Rollout:
        now = self._clock.now()
        return Rollout(plan=self._spec.plan, goal=self._spec.goal, group=group, now=now, stop=stop, gate=gate)

    def _must_not(self, group: Group) -> str:
        """Return why nothing is to be done at all; known before anybody is waited for."""
        if group.member(self._spec.goal.service) is not None:
            return ""
        return guard(self._spec.goal, carriers(group))

    def _wait_for(self, holder: Holder, *, begun: bool) -> Tick:
        """Wait while somebody else works on the group, or do what `on_conflict` says where nothing is begun."""
        stop, why = self._stop_reason(), f"the rollout of {holder} has the lease of group {self._spec.goal.group}"
        if not begun and self._spec.plan.on_conflict != "wait":
            outcome = "skipped" if self._spec.plan.on_conflict == "skip" else "stopped"
            return self._ended(None, actions.Finish(outcome=outcome, why=why))
        self._changes.say(f"waiting: {why}")
        if stop:
            return self._ended(None, actions.Finish(outcome="stopped", why=f"{stop} while waiting for {holder}"))
        return Tick(pause=self._lease_poll)

    def _stop_reason(self) -> str:
        deadline = self._spec.deadline
        if deadline is None or self._clock.utc() < datetime.fromisoformat(deadline):
            return ""
        return "execution_timeout passed"

    def _act(self, group: Group) -> Tick:
        member = group.member(self._spec.goal.service)
        if member is not None and member.progress is not None:
            self._changes.cast(candidate=member.name, production=member.progress.stable)
        rollout = self._rollout(group, self._stop_reason(), self._gate())
        action = self._explained(group, self._unless_stuck(rollout, rollout.next()))
        if isinstance(action, actions.Finish):
            self._state.lease.release()
            return self._ended(group, action)
        try:
            return Tick(pause=self._apply(rollout, action))
        except PaiUnsupportedError as error:
            self._state.lease.release()
            return self._ended(group, actions.Finish(outcome="stopped", why=str(error)))
        except (PaiApiError, PaiConfigError, PaiMetricsError) as error:
            if isinstance(error, PaiNotFoundError | PaiConflictError) and one_goes(self._eas, group):
                return Tick(pause=_LOOK_AGAIN)
            if isinstance(action, actions.Create) and not isinstance(error, PaiTransientError):
                self._give_back()  # nothing was made
            raise

    def _explained(self, group: Group, action: actions.Action) -> actions.Action:
        """Return the withdrawal of a candidate that is not up with why it is not; once it is stopped nothing tells."""
        if not isinstance(action, actions.Withdraw) or action.progress.outcome not in ("rejected", "timed_out"):
            return action
        member = group.member(action.service)
        if member is None or member.ready:
            return action
        cause, self._log_tail = self._eas.down(action.service)
        if not cause:
            return action
        return replace(action, progress=replace(action.progress, note=f"{cause} ({action.progress.note})"))

    def _unless_stuck(self, rollout: Rollout, action: actions.Action) -> actions.Action:
        """Return what is to be done instead of asking without end for what EAS does not take: the way back, or none."""
        now = self._clock.monotonic()
        if not isinstance(action, actions.Release | actions.Customize) or action != self._asked:
            self._asked, self._asked_since = action, now
        if (waited := now - self._asked_since) <= self._spec.plan.gateway_timeout:
            return action
        what = f"{action.service}: {action}" if isinstance(action, actions.Release) else "traffic by weight"
        why = f"EAS has not taken it for {waited:.0f} s: {what}"
        instead = replace(rollout, stop=why).next()
        return actions.Finish(outcome="stopped", why=why) if instead == action else instead

    def _apply(self, rollout: Rollout, action: actions.Action) -> float:
        """Do one action and return the seconds to wait after it."""
        match action:
            case actions.Look():
                return self._look(rollout, action)
            case actions.Probe():
                return self._probe(rollout, action)
            case actions.Create():
                return self._create(action)
            case actions.Finish():
                raise AssertionError("an end is nothing to carry out")
            case actions.Wait():
                return self._changes.apply(rollout.group, action)
            case _:
                labels = isinstance(action, actions.Label | actions.Withdraw | actions.Stop)
                with self._state.fence.around(*actions.touched(action), labels=labels):
                    return self._changes.apply(rollout.group, action)

    def _create(self, action: actions.Create) -> float:
        labels = {**action.progress.labels(), **self._spec.goal.labels, **home_labels(self.home)}
        if not self._spec.goal.skip_analysis:
            self._lookout.check()
        self._changes.say(f"creating {action.service} for version {self._spec.goal.version}")
        try:
            with self._state.fence.around():
                self._eas.create(self._spec.config, labels)
        except PaiConflictError:
            # The answer of an earlier try was lost, and lists may lag.
            if self._eas.describe(action.service).get("ServiceGroup") != self._spec.goal.group:
                raise
            return 1.0
        Stats.incr("pai.canary.created")
        return 0.0

    def _probe(self, rollout: Rollout, action: actions.Probe) -> float:
        answers = self._lookout.smoke(action.service)
        self._state.lease.check()
        return self._apply(rollout, rollout.after_probe(answers.wrong, unreached=answers.unreached))

    def _look(self, rollout: Rollout, action: actions.Look) -> float:
        judgement, golden = self._judge(rollout, action)
        Stats.incr("pai.canary.verdict", tags={"verdict": judgement.result.value})
        self._log.info("candidate at %s %%: %s", action.percent, judgement)
        self._state.lease.check()
        self._state.record.add(action, judgement, rollout.now)
        following = rollout.after_look(judgement, golden)
        if isinstance(following, actions.Label | actions.Wait) and following.why == judgement.reason:
            following = replace(following, why="")  # it is told
        return self._apply(rollout, following)

    def _judge(self, rollout: Rollout, action: actions.Look) -> tuple[Judgement, Sample]:
        """Return the judgement, and the golden requests that the candidate was sent for it."""
        try:
            window, sent = self._lookout.take(action, self._spec.goal.group, rollout.now)
        except (PaiApiError, PaiConfigError, PaiMetricsError) as error:
            return source_error(str(error)), NOTHING
        return judge(self._spec.plan, window), sent

    def _ended(self, group: Group | None, finish: actions.Finish) -> Tick:
        """Return the end as the XCom has it."""
        goal, progress = self._spec.goal, finish.progress
        if finish.outcome == "rolled_back" and progress and progress.since and progress.stable:
            told = self._lookout.told(progress.stable, progress.since, self._clock.now())
            self._log.info("production without the candidate: %s", told)
        serving = max(carriers(group), key=lambda member: member.weight, default=None) if group else None
        ours = (goal.service, progress.stable or None) if progress else (None, serving and serving.name)
        service, previous = (serving and serving.name, None) if finish.outcome == "unchanged" else ours
        end: Json = {
            "group": goal.group,
            "service": service,
            "outcome": finish.outcome,
            "reason": finish.why,
            "version": goal.version,
            "digest": goal.digest,
            "previous": previous,
            "serving_version": version_of(serving) or None,
            "steps": self._state.record.steps(progress) if progress else [],
            "verdicts": str(self._state.record.uri) if progress and progress.steps else None,
            "log_tail": self._log_tail,
            "usage": overlap(self._eas, goal.service, "rollout") if progress and progress.stable else None,
        }
        return Tick(end=end)
