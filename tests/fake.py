"""EAS and OSS in memory, in virtual time: enough for the real drivers, which can be killed between any two calls."""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from airflow_provider_pai.canary.actions import Action, Finish
from airflow_provider_pai.canary.goal import Goal
from airflow_provider_pai.canary.group import Group, Member, Phase, Progress, service_name
from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.canary.rollout import Rollout
from airflow_provider_pai.canary.samples import Sample
from airflow_provider_pai.canary.weights import carriers, shares
from airflow_provider_pai.clock import Clock
from airflow_provider_pai.costs import Usage
from airflow_provider_pai.exceptions import PaiConflictError, PaiMetricsError, PaiNotFoundError
from airflow_provider_pai.hooks.eas.diagnosis import Down
from airflow_provider_pai.hooks.eas.traffic import Endpoint, Mirror
from airflow_provider_pai.hooks.oss.objects import ObjectInfo
from airflow_provider_pai.identity import TaskName
from airflow_provider_pai.labels import legal
from airflow_provider_pai.metrics.golden_requests import Answers
from airflow_provider_pai.metrics.lookout import Lookout
from airflow_provider_pai.remote import RemoteJob
from airflow_provider_pai.rollouts.lease import Holder
from airflow_provider_pai.rollouts.rollout_driver import RolloutDriver
from airflow_provider_pai.rollouts.spec import RolloutSpec
from airflow_provider_pai.states import EAS_GONE, EAS_SERVICE
from airflow_provider_pai.uri import OssUri
from tests.clock import VirtualClock

PLAN = RolloutPlan(
    steps=(10, 50, 100), interval=5, min_duration=10, max_duration=300, min_requests=20, drain=4, ready_timeout=60
)
LEASE = "oss://models/.pai/rollouts/digits/"


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


def spec_of(aim: Goal, plan: RolloutPlan = PLAN, deadline: float | None = None) -> RolloutSpec:
    """Return a rollout as an operator hands it over.

    :param deadline: Unix time.
    """
    return RolloutSpec(
        plan=plan,
        goal=aim,
        config={"metadata": {"name": aim.service, "group": aim.group}},
        metrics={"kind": "of the fake"},
        probe=None,
        artifact=f"oss://models/digits/{aim.version}/",
        holder=Holder(key=f"{aim.task}/{aim.cycle}", name=TaskName("dag", aim.version, "deploy", -1)),
        deadline=None if deadline is None else datetime.fromtimestamp(deadline, UTC).isoformat(),
    )


class FakeOss:
    """Objects in memory, dated by a clock of its own account."""

    log = logging.getLogger("oss")

    def __init__(self, time: VirtualClock) -> None:
        self._time = time
        self.objects: dict[str, tuple[bytes, float]] = {}

    def put(self, uri: OssUri, data: bytes | str) -> None:
        self.objects[str(uri)] = (data.encode() if isinstance(data, str) else data, self._time.now)

    def call(self, _action: str, function: Callable[[], Any]) -> Any:
        return function()

    def put_once(self, uri: OssUri, data: bytes | str) -> bool:
        if str(uri) in self.objects:
            return False
        self.put(uri, data)
        return True

    def get(self, uri: OssUri) -> bytes:
        if str(uri) not in self.objects:
            raise PaiNotFoundError("oss", "GetObject", f"there is no {uri}", "NoSuchKey")
        return self.objects[str(uri)][0]

    def head(self, uri: OssUri) -> ObjectInfo | None:
        if str(uri) not in self.objects:
            return None
        data, written = self.objects[str(uri)]
        moments = [datetime.fromtimestamp(moment, UTC) for moment in (written, self._time.now)]
        return ObjectInfo(uri, len(data), "", last_modified=moments[0], server_time=moments[1])

    def delete(self, uri: OssUri) -> None:
        self.objects.pop(str(uri), None)

    def list_objects(self, prefix: OssUri) -> Iterator[ObjectInfo]:
        for name in sorted(self.objects):
            if name.startswith(str(prefix)) and (info := self.head(OssUri.parse(name))) is not None:
                yield info


@dataclass
class FakeEas:
    """The group `digits` and its services; time passes only when somebody waits or calls."""

    customized: bool = False
    members: dict[str, Member] = field(default_factory=dict)
    ready_after: float = 6.0
    error_rate: Callable[[str], float] = lambda name: 0.0
    p95_ms: Callable[[str], float] = lambda name: 6.0
    hangs: Callable[[str], bool] = lambda name: False
    rate: float = 40.0
    """Requests per second to the group."""
    weight_lag: float = 0.0
    """Seconds after which requests follow weights, states and mode that were set."""
    gateway_lag: float = 0.0
    """Seconds after a service came up in which the gateway answers in its place."""
    new_takes_traffic: bool = False
    """A new member of the group takes traffic at once."""
    unreleasable: str = ""
    """Status in which a service can't be taken out of it."""
    loses_weights: bool = False
    """A service outside the traffic has no weight."""
    smoke: str = ""
    """What is wrong with a service's answers before it has traffic."""
    wrong: Callable[[str], str] = lambda name: ""
    """What is wrong with them later."""
    gate: str = "open"
    source: Callable[[], str] = lambda: ""
    """Why the metrics source does not answer."""
    no_source: str = ""
    """Why it does not even before anything is made."""
    before_call: Callable[[str], None] = lambda call: None
    after_call: Callable[[str], None] = lambda call: None
    unlisted: set[str] = field(default_factory=set)
    """Services that the group's list does not show yet."""
    dice: random.Random = field(default_factory=lambda: random.Random(1))
    born: dict[str, float] = field(default_factory=dict)
    counts: dict[str, list[tuple[float, int, int]]] = field(default_factory=dict)
    mirrors: dict[str, Mirror] = field(default_factory=dict)
    dropped: int = 0
    created: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=dict)
    """How the last rollout ended, as its XCom has it."""

    log = logging.getLogger("eas")
    states = EAS_SERVICE
    connection = SimpleNamespace(state_uri=None)

    def __post_init__(self) -> None:
        self._seen: list[tuple[float, Group]] = []
        self.time = VirtualClock(on_sleep=self._pass)
        self.oss = FakeOss(self.time)
        self.lookout = Lookout(eas=self, source=FakeSource(self), probe=FakeProbe(self))  # type: ignore[arg-type]

    # --- what happens by itself

    @property
    def now(self) -> float:
        return self.time.now

    @property
    def service_clock(self) -> Clock:
        return self.time.clock

    def sleep(self, seconds: float) -> None:
        self.time.sleep(seconds)

    def _pass(self, seconds: float) -> None:
        """Requests arrive and are shared out, services come up."""
        group, requests = self._followed(), round(self.rate * seconds)
        share = shares(group)
        serving = carriers(group)
        # With weights that are late requests may be sent to what is stopped already.
        stopped = [member.name for member in group.members if member.status in ("Stopping", "Stopped")]
        if self.members and self.counts:
            self.dropped += round(requests * sum(map(share.__getitem__, stopped))) if serving else requests
        for member in serving:
            part = round(requests * share[member.name])
            self._count(member.name, part)
            for target in self.mirrors[member.name].targets if member.name in self.mirrors else ():
                self._count(target, round(part * self.mirrors[member.name].ratio / 100))
        for name, member in list(self.members.items()):
            if member.status == "Creating" and self.now - self.born[name] >= self.ready_after:
                self.members[name] = replace(member, status="Running", running=1)
            if member.status == "Stopping":
                self.members[name] = replace(member, status="Stopped")

    def _followed(self) -> Group:
        """Return the group as its gateway sees it: `weight_lag` behind in all but its instances."""
        group, lag = self.group("digits", *self.members), self.weight_lag
        self._seen.append((self.now, group))
        while len(self._seen) > 1 and self._seen[1][0] <= self.now - lag:
            del self._seen[0]
        followed = self._seen[0][1]
        then = {member.name: member for member in followed.members}
        late = (
            replace(member, weight=then[member.name].weight, grouping=then[member.name].grouping)
            for member in group.members
            if member.name in then
        )
        return Group(name=group.name, customized=followed.customized, members=tuple(late))

    def reached_at(self, name: str) -> float:
        return self.born[name] + self.ready_after + self.gateway_lag

    def _count(self, name: str, requests: int) -> None:
        if not self.hangs(name):
            errors = sum(self.dice.random() < self.error_rate(name) for _ in range(requests))
            self.counts.setdefault(name, []).append((self.now, requests, errors))

    @property
    def serving(self) -> dict[str, float]:
        """Return who answers with which share."""
        group = self.group("digits", *self.members)
        share = shares(group)
        return {member.name: share[member.name] for member in carriers(group)}

    # --- what a driver calls of EasHook

    def _call(self, name: str) -> None:
        self.before_call(name)
        self.calls.append(name)
        self.sleep(0.1)

    def _call_of(self, call: str, name: str, *rest: object) -> None:
        """Take a call that changes a service.

        :raises PaiNotFoundError: there is none.
        """
        self._call(" ".join(map(str, (call, name, *rest))))
        if name not in self.members:
            raise PaiNotFoundError("eas", call, f"{name} does not exist", "InvalidService.NotFound")

    def group(self, name: str, *known: str) -> Group:
        hidden = self.unlisted.difference(known)
        shown = tuple(
            replace(member, listed=member.name not in self.unlisted)
            for member in self.members.values()
            if member.name not in hidden
        )
        return Group(name=name, customized=self.customized, members=shown)

    def create(self, config: Mapping[str, Any], labels: Mapping[str, str]) -> None:
        name = config["metadata"]["name"]
        self._call(f"create {name}")
        if name in self.members:
            raise PaiConflictError("eas", "CreateService", f"{name} exists", "ServiceAlreadyExists")
        self.created.append(name)
        self.born[name] = self.now
        self.members[name] = Member(
            name=name,
            status="Creating",
            running=0,
            total=1,
            version=1,
            created=str(self.now),
            labels=_checked(labels),
            weight=100 if self.new_takes_traffic else 0,
            grouping=self.new_takes_traffic,
        )
        self.after_call(f"create {name}")

    def isolate(self, name: str) -> bool:
        self._call_of("isolate", name)
        if self.members[name].status == self.unreleasable:
            return False
        self.members[name] = replace(self.members[name], weight=0, grouping=False)
        return True

    def delete(self, name: str) -> None:
        self._call_of("delete", name)
        assert not self.members[name].grouping
        del self.members[name]

    def stop(self, name: str) -> None:
        self._call_of("stop", name)
        assert not self.members[name].grouping
        self.members[name] = replace(self.members[name], status="Stopping", running=0)

    def release(self, name: str, *, weight: int, grouping: bool) -> None:
        self._call_of("release", name, weight, grouping)
        kept = grouping or not self.loses_weights
        self.members[name] = replace(self.members[name], weight=weight if kept else 0, grouping=grouping)
        self.after_call(f"release {name}")

    def set_traffic_mode(self, group: str, mode: str) -> None:
        self._call(mode)
        self.customized = mode == "customized"

    def label(self, name: str, labels: Mapping[str, str]) -> None:
        """Put labels in the place of all others, as EAS may."""
        progress = Progress.of(labels)
        self._call_of("label", name, *((progress.phase, progress.step) if progress else ()))
        self.members[name] = replace(self.members[name], labels=_checked(labels))
        self.after_call(f"label {name}")

    def describe(self, name: str) -> dict[str, Any]:
        return {"ServiceName": name, "ServiceGroup": "digits", "Status": self.members[name].status}

    def usage(self, job: RemoteJob, cause: str = "") -> Usage:
        """Tell nothing of what it has used."""
        return Usage(service="eas", id=job.job_id, status=job.status, cause=cause)

    def get(self, name: str) -> RemoteJob:
        member = self.members.get(name)
        if member is None:
            return RemoteJob(job_id=name, status=EAS_GONE)
        facts = {"running": member.running, "total": member.total, "version": member.version}
        return RemoteJob(job_id=name, status=member.status, tags=member.labels, facts=facts)

    def down(self, name: str) -> Down:
        return Down()

    def mirror(self, name: str) -> Mirror | None:
        return self.mirrors.get(name)

    def set_mirror(self, name: str, targets: Sequence[str], ratio: int) -> None:
        self._call(f"mirror {name} {ratio}")
        self.mirrors[name] = Mirror(tuple(targets), ratio)

    def remove_mirror(self, name: str) -> None:
        self._call(f"mirror {name} 0")
        self.mirrors.pop(name, None)

    def endpoint(self, name: str) -> Endpoint:
        return Endpoint(name, "")

    def group_endpoint(self, group: str) -> Endpoint:
        return Endpoint("", "")

    def sibling(self, _hook_class: type) -> FakeOss:
        return self.oss

    # --- rollouts

    def driver(self, aim: Goal, plan: RolloutPlan = PLAN, deadline: float | None = None) -> RolloutDriver:
        """Return the hand of a fresh process on a rollout."""
        log = logging.getLogger("rollout")
        spec = spec_of(aim, plan, deadline)
        return RolloutDriver(spec, self, log, lambda: self.gate, self.time.clock, self.lookout)  # type: ignore[arg-type]

    def actions(self, aim: Goal, plan: RolloutPlan = PLAN, deadline: float | None = None) -> Iterator[Action]:
        """Drive a rollout; yield each action before it is carried out.

        Whoever stops listening leaves the lease taken, as a process does that is lost.
        """
        driver = self.driver(aim, plan, deadline)
        while True:
            stop = "execution_timeout passed" if deadline is not None and self.now >= deadline else ""
            group = self.group("digits")
            yield Rollout(plan=plan, goal=aim, group=group, now=self.now, stop=stop, gate=self.gate).next()
            tick = driver.tick()
            if tick.end is not None:
                self.end = json.loads(json.dumps(tick.end))
                return
            self.sleep(tick.pause)

    def run(self, aim: Goal, plan: RolloutPlan = PLAN, deadline: float | None = None) -> Finish:
        """Drive a rollout to its end."""
        for count, _ in enumerate(self.actions(aim, plan, deadline)):
            assert count < 500, f"no end in sight: {self.calls[-8:]}"
        service = self.end["service"]
        progress = self.members[service].progress if service else None
        return Finish(outcome=self.end["outcome"], why=self.end["reason"], progress=progress)


def _checked(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels that EAS takes."""
    assert len(labels) <= 20
    assert all(value == legal(value) for value in labels.values())
    return dict(labels)


@dataclass
class FakeSource:
    """Counts what the services of the fake have answered."""

    eas: FakeEas
    lateness: float = 0.0
    names: tuple[str, ...] = ()

    def check(self, counts: bool = True) -> None:
        if self.eas.no_source:
            raise PaiMetricsError(self.eas.no_source)

    def sample(self, service: str, start: float, end: float) -> Sample:
        progress = self.eas.members[service].progress if service in self.eas.members else None
        if progress is not None and progress.phase is Phase.STEP:
            self.eas._call(f"look {service} {progress.step}")
            if failure := self.eas.source():
                raise PaiMetricsError(failure)
        rows = [row for row in self.eas.counts.get(service, []) if start < row[0] <= end]
        requests, errors = sum(row[1] for row in rows), sum(row[2] for row in rows)
        return Sample(requests=requests, errors=errors, p95_ms=self.eas.p95_ms(service))


@dataclass
class FakeProbe:
    """One golden request to the services of the fake."""

    eas: FakeEas
    requests: tuple[str, ...] = ("golden",)

    def ask(self, endpoint: Endpoint, gateway_timeout: float | None = 0.0) -> Answers:
        if gateway_timeout is None:
            unreached = self.eas.now < self.eas.reached_at(endpoint.url)
            return Answers("status 404, not 200: " if unreached else self.eas.smoke, unreached=unreached)
        if not endpoint.url:
            return Answers(sent=1)
        self.eas.counts.setdefault(endpoint.url, []).append((self.eas.now, 1, 0))
        return Answers(self.eas.wrong(endpoint.url), sent=1)


def nothing_counted(service: str, start: float, end: float) -> dict[str, int]:
    """Return what a source of the kind `callable` answers."""
    return {"requests": 0, "errors": 0}
