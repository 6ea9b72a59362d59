"""A service group in memory that does what actions ask, one API call at a time, and can be killed between calls."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from airflow_provider_pai.canary.actions import (
    Action,
    Create,
    Customize,
    Delete,
    Finish,
    Label,
    Look,
    Probe,
    Release,
    Stop,
    Wait,
    Withdraw,
)
from airflow_provider_pai.canary.analysis import Sample, Window, judge, source_error
from airflow_provider_pai.canary.goal import Goal
from airflow_provider_pai.canary.group import Group, Member, service_name
from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.canary.rollout import Rollout
from airflow_provider_pai.canary.weights import carriers, shares

PLAN = RolloutPlan(
    steps=(10, 50, 100), interval=5, min_duration=10, max_duration=300, min_requests=20, drain=4, ready_timeout=60
)


class KilledError(Exception):
    """The process that drove the rollout is gone."""


def goal(version: str, **changes: object) -> Goal:
    base = Goal(
        group="digits",
        service=service_name("digits", version),
        version=version,
        digest="sha256:" + hashlib.sha256(version.encode()).hexdigest(),
        interval_end=f"{version[:4]}-{version[4:6]}-{version[6:8]}T18:00:00Z",
        task=hashlib.md5(version.encode()).hexdigest(),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@dataclass
class FakeEas:
    """One group; time passes only when somebody waits or calls."""

    now: float = 1_800_000_000.0
    customized: bool = False
    members: dict[str, Member] = field(default_factory=dict)
    ready_after: float = 6.0
    error_rate: Callable[[str], float] = lambda name: 0.0
    rate: float = 40.0
    """Requests per second to the group."""
    smoke: str = ""
    wrong: Callable[[str], str] = lambda name: ""
    """What golden requests find."""
    gate: str = "open"
    source: Callable[[], str] = lambda: ""
    before_call: Callable[[str], None] = lambda call: None
    dice: random.Random = field(default_factory=lambda: random.Random(1))
    born: dict[str, float] = field(default_factory=dict)
    counts: dict[str, list[tuple[float, int, int]]] = field(default_factory=dict)
    dropped: int = 0
    created: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def group(self) -> Group:
        return Group(name="digits", customized=self.customized, members=tuple(self.members.values()))

    def sleep(self, seconds: float) -> None:
        """Let time pass: requests arrive and are shared out, services come up."""
        self.now += seconds
        group, requests = self.group(), round(self.rate * seconds)
        serving, share = carriers(group), shares(group)
        if any(self.members) and self.ever_served and not serving:
            self.dropped += requests
        for member in serving:
            part = round(requests * share[member.name])
            errors = sum(self.dice.random() < self.error_rate(member.name) for _ in range(part))
            self.counts.setdefault(member.name, []).append((self.now, part, errors))
        for name, member in list(self.members.items()):
            if member.status == "Creating" and self.now - self.born[name] >= self.ready_after:
                self.members[name] = replace(member, status="Running", running=1)
            if member.status == "Stopping":
                self.members[name] = replace(member, status="Stopped")

    @property
    def ever_served(self) -> bool:
        return bool(self.counts)

    def _call(self, name: str) -> None:
        self.before_call(name)
        self.log.append(name)
        self.sleep(0.1)

    def sample(self, name: str, since: float, until: float = math.inf) -> Sample:
        rows = [row for row in self.counts.get(name, []) if since < row[0] <= until]
        return Sample(requests=sum(row[1] for row in rows), errors=sum(row[2] for row in rows), p95_ms=6.0)

    def release(self, action: Release) -> None:
        self._call(f"release {action.service} {action.weight} {action.grouping}")
        member = self.members[action.service]
        self.members[action.service] = replace(member, weight=action.weight, grouping=action.grouping)

    def label(self, name: str, labels: dict[str, str]) -> None:
        self._call(f"label {name} {labels['airflow_phase']} {labels['airflow_step']}")
        assert len(self.members[name].labels | labels) <= 20
        assert all(len(value) <= 128 for value in labels.values())
        self.members[name] = replace(self.members[name], labels={**self.members[name].labels, **labels})

    def do(self, rollout: Rollout, action: Action) -> float:
        """Carry an action out and return the seconds to wait."""
        match action:
            case Create(service=name, progress=progress):
                self._call(f"create {name}")
                assert name not in self.members, "a second candidate"
                self.created.append(name)
                self.born[name] = self.now
                labels = {**progress.labels(), **rollout.goal.labels}
                self.members[name] = Member(name=name, status="Creating", running=0, total=1, version=1, labels=labels)
            case Delete(service=name):
                self._call(f"delete {name}")
                assert not self.members[name].grouping
                del self.members[name]
            case Stop(service=name, progress=progress):
                self._call(f"stop {name}")
                assert not self.members[name].grouping
                self.members[name] = replace(self.members[name], status="Stopping", running=0)
                self.label(name, progress.labels())
            case Label(service=name, progress=progress, pause=pause):
                self.label(name, progress.labels())
                return pause
            case Release():
                self.release(action)
            case Customize():
                self._call("customize")
                self.customized = True
            case Withdraw(service=name, releases=releases, progress=progress):
                for release in releases:
                    self.release(release)
                self.label(name, progress.labels())
            case Probe():
                return self.do(rollout, rollout.after_probe(self.smoke))
            case Look(candidate=name, stable=stable, since=since):
                self._call(f"look {name} {action.percent}")
                failure = self.source()
                alone = action.percent == 100
                production = self.sample(stable, 2 * since - self.now, since) if alone else self.sample(stable, since)
                window = Window(
                    candidate=self.sample(name, since),
                    production=production,
                    same_span=not alone,
                    share=action.percent / 100,
                    settled=action.settled,
                    wrong=self.wrong(name),
                )
                verdict = source_error(failure) if failure else judge(rollout.plan, window)
                return self.do(rollout, rollout.after_look(verdict))
            case Wait(seconds=seconds):
                return seconds
            case Finish():
                raise AssertionError("nothing to carry out")
        return 0.0

    def actions(self, aim: Goal, plan: RolloutPlan = PLAN, stop: str = "") -> Iterator[Action]:
        """Drive a rollout; yield each action before it is carried out."""
        while True:
            rollout = Rollout(plan=plan, goal=aim, group=self.group(), now=self.now, stop=stop, gate=self.gate)
            action = rollout.next()
            yield action
            if isinstance(action, Finish):
                return
            self.sleep(self.do(rollout, action))

    def run(self, aim: Goal, plan: RolloutPlan = PLAN, stop: str = "") -> Finish:
        """Drive a rollout to its end."""
        for count, action in enumerate(self.actions(aim, plan, stop)):
            assert count < 500, f"no end in sight: {self.log[-8:]}"
            if isinstance(action, Finish):
                return action
        raise AssertionError("unreachable")

    @property
    def serving(self) -> dict[str, float]:
        """Return who answers with which share."""
        share = shares(self.group())
        return {member.name: share[member.name] for member in carriers(self.group())}
