"""Service group as EAS shows it, and the progress of rollouts, kept as labels on its services."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from airflow_provider_pai.canary.analysis import Judgement
from airflow_provider_pai.canary.samples import Result, Sample
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.labels import Key, read_labels, read_moment, read_number, write_labels
from airflow_provider_pai.schemas import LABELS
from airflow_provider_pai.states import EAS_GOING, EAS_SERVICE

_NAME = re.compile(r"[a-z0-9_]{3,63}")
_REJECTION = re.compile(r"[^.]*\.[^.]*\.[0-9]{1,9}")
# Four results with counts of eight digits fill 127 of a label's 128 characters.
_STEPS_PER_LABEL = 4
_MAX_REJECTED = 3
_VERDICTS = {result.value[0]: result.value for result in Result}
# A service bears 20 labels, so all numbers share one of them with that of the schema and the one time that there is.
_COUNTS = (
    "step",
    "failures",
    "inconclusive",
    "source_errors",
    "consecutive",
    "golden",
    "own_version",
    "stable_version",
    "own_config",
    "stable_config",
    "try_number",
    "exposed",
    "late",
    "seen",
    "golden_errors",
)
OF_A_STEP = ("failures", "inconclusive", "source_errors", "consecutive", "golden", "golden_errors", "late", "seen")
"""Counts that each step begins anew."""
_SETTLING = "settling "


class Phase(StrEnum):
    """Where a service stands in its life."""

    PREPARE = "prepare"
    READY = "ready"
    """Ready, but the gateway answers in its place."""
    SMOKED = "smoked"
    """Ready, golden requests answered; no traffic yet."""
    ALONE = "alone"
    """The same, but production is down: it may be restarting."""
    STEP = "step"
    PROMOTING = "promoting"
    PROMOTED = "promoted"
    RETIRING = "retiring"
    """Replaced; requests in flight end."""
    RETIRED = "retired"
    """Replaced by a promoted service; kept to go back to."""
    WITHDRAWN = "withdrawn"
    """Its traffic is 0; the rest of the rollback is to do."""
    ROLLED_BACK = "rolled_back"
    FROZEN = "frozen"
    """Left with the share it has, for a person to decide."""
    DRIFTED = "drifted"
    """Left alone after someone else intervened."""


UNDER_WAY = frozenset(
    {Phase.PREPARE, Phase.READY, Phase.SMOKED, Phase.ALONE, Phase.STEP, Phase.PROMOTING, Phase.WITHDRAWN}
)


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """How a step ended."""

    percent: int
    requests: int
    errors: int
    p95_ms: float | None
    verdict: str

    @classmethod
    def of(cls, percent: int, judgement: Judgement) -> StepResult:
        """Take the numbers of the step's last judgement."""
        sample = judgement.window.candidate
        return cls(
            percent=percent,
            requests=sample.requests,
            errors=sample.errors,
            p95_ms=sample.p95_ms,
            verdict=judgement.result.value,
        )

    @classmethod
    def read(cls, text: str) -> StepResult | None:
        """Read what `write` wrote; None for what a label's length has cut."""
        try:
            percent, requests, errors, p95, verdict = text.split(":")
            return cls(
                percent=int(percent),
                requests=int(requests),
                errors=int(errors),
                p95_ms=_milliseconds(p95) if p95 else None,
                verdict=_VERDICTS[verdict],
            )
        except (KeyError, ValueError):
            return None

    def write(self) -> str:
        """Return `percent:requests:errors:p95:verdict`, the verdict as its first letter."""
        p95 = "" if self.p95_ms is None else f"{self.p95_ms:.1f}"
        return f"{self.percent}:{self.requests}:{self.errors}:{p95}:{self.verdict[0]}"

    @property
    def sample(self) -> Sample:
        """Return the counts."""
        return Sample(requests=self.requests, errors=self.errors, p95_ms=self.p95_ms)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What stands on one service's labels."""

    phase: Phase
    version: str = ""
    digest: str = ""
    interval_end: str = ""
    task: str = ""
    """Hash of the task instance that made it."""
    cycle: int = 0
    stable: str = ""
    """The service that served when the rollout began; empty: none did."""
    step: int = 0
    since: float | None = None
    """Unix time at which the phase or step began; None: traffic is still being moved there."""
    settling: float | None = None
    """Unix time at which weights were set that the traffic does not follow yet."""
    failures: int = 0
    """Of this step; the counters below are of verdicts in a row."""
    inconclusive: int = 0
    source_errors: int = 0
    consecutive: int = 0
    """Failures in a row."""
    golden: int = 0
    """Golden requests that the candidate was sent in this step, and which of them it answered with 5xx."""
    golden_errors: int = 0
    own_version: int = 0
    """EAS's version of the candidate when it got its first traffic, and of the stable service then; 0: unknown."""
    stable_version: int = 0
    own_config: int = 0
    """What both had deployed then, as `Member.config`."""
    stable_config: int = 0
    try_number: int = 0
    """Airflow's try in which it was taken out unjudged; 0: it was not. A later try may begin anew."""
    exposed: int = 0
    """Unix time before which it had no traffic: production's past ends there; 0: unknown."""
    late: int = 0
    """Seconds of this step in which the counts still showed the share before: they are no part of it."""
    seen: int = 0
    """1: the counts have shown this step's share, and what is missing since then is lost."""
    outcome: str = ""
    note: str = ""
    rejected: tuple[str, ...] = ()
    """Entries of `rejection`, newest last."""
    steps: tuple[StepResult, ...] = ()

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Progress | None:
        """Read a service's labels; None for a service that no rollout has touched, and where one can't be read."""
        try:
            return cls._read(read_labels(labels))
        except (KeyError, ValueError):
            return None

    @classmethod
    def _read(cls, text: Mapping[str, str]) -> Progress:
        schema, _, counted = text.get(Key.COUNTS, "").rpartition("/")
        LABELS.check(schema)
        numbers, _, since = counted.partition(" ")
        counts = dict(zip(_COUNTS, map(read_number, (numbers or "0").split(".")), strict=False))
        results = " ".join(text[name] for name in sorted(text) if name.startswith(Key.RESULTS)).split()
        return cls(
            phase=Phase(text[Key.PHASE]),
            version=text.get(Key.VERSION, ""),
            digest=text.get(Key.DIGEST, ""),
            interval_end=_checked_moment(text.get(Key.INTERVAL_END, "")),
            task=text.get(Key.TASK, ""),
            cycle=read_number(text.get(Key.CYCLE) or "0"),
            stable=text.get(Key.STABLE, ""),
            since=_read_time(since),
            settling=_read_time(since.partition(_SETTLING)[2]),
            **counts,
            outcome=text.get(Key.OUTCOME, ""),
            note=text.get(Key.NOTE, ""),
            rejected=tuple(map(_checked_rejection, text.get(Key.REJECTED, "").split())),
            steps=tuple(filter(None, map(StepResult.read, results))),
        )

    def labels(self) -> dict[str, str]:
        """Return the labels."""
        chunks = [self.steps[first : first + _STEPS_PER_LABEL] for first in range(0, len(self.steps), _STEPS_PER_LABEL)]
        results = {
            f"{Key.RESULTS}_{number}": " ".join(step.write() for step in chunk) for number, chunk in enumerate(chunks)
        }
        return write_labels(
            {
                Key.PHASE: self.phase,
                Key.VERSION: self.version,
                Key.DIGEST: self.digest,
                Key.INTERVAL_END: self.interval_end,
                Key.TASK: self.task,
                Key.CYCLE: self.cycle,
                Key.STABLE: self.stable,
                Key.COUNTS: f"{LABELS.number}/{self._counts()} {self._times()}".rstrip(),
                Key.OUTCOME: self.outcome,
                Key.NOTE: self.note,
                Key.REJECTED: " ".join(self.rejected[-_MAX_REJECTED:]),
                **results,
            }
        )

    def _counts(self) -> str:
        return ".".join(str(getattr(self, name)) for name in _COUNTS)

    def _times(self) -> str:
        if self.since is not None:
            return _write_time(self.since)
        return "" if self.settling is None else f"{_SETTLING}{_write_time(self.settling)}"

    def began(self, now: float) -> float:
        """Return the start of the phase or step."""
        return now if self.since is None else self.since

    @property
    def ours(self) -> Sample:
        """Return the golden requests of this step."""
        return Sample(requests=self.golden, errors=self.golden_errors)

    def with_golden(self, ours: Sample) -> Progress:
        """Return this with these golden requests."""
        return replace(self, golden=ours.requests, golden_errors=ours.errors)

    def reject(self, entry: str) -> Progress:
        """Return this with one more rejected digest."""
        return replace(self, rejected=(*(item for item in self.rejected if item != entry), entry))


@dataclass(frozen=True, kw_only=True)
class Member:
    """One service of a group, as DescribeService and ListServices show it."""

    name: str
    status: str
    running: int
    total: int
    weight: int = 0
    grouping: bool = False
    """It takes part in the group's traffic (TrafficState grouping, not standalone)."""
    version: int = 0
    """EAS's number of what it runs, which every change of its service JSON raises; 0: unknown."""
    config: int = 0
    """Fingerprint of its service JSON, whatever its instances; 0: unknown."""
    created: str = ""
    """When EAS has made it, as it tells."""
    listed: bool = True
    """The group's list shows it, and with it whatever was made before it."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def progress(self) -> Progress | None:
        """Return what the labels say."""
        return Progress.of(self.labels)

    def __str__(self) -> str:
        """Return the state in words."""
        return f"{self.name} is {self.status}, {self.running} of {self.total} instances"

    @property
    def ready(self) -> bool:
        """Tell whether it is up with all its instances; "Running" alone comes earlier."""
        return self.status in EAS_SERVICE.succeeded and self.running >= max(1, self.total)

    @property
    def failed(self) -> bool:
        """Tell whether it will not come up by itself."""
        return self.status in EAS_SERVICE.failed

    @property
    def stopped(self) -> bool:
        """Tell whether somebody has stopped it."""
        return self.status in EAS_SERVICE.stopped

    @property
    def promoted(self) -> bool:
        """Tell whether a rollout has brought it in."""
        return self.progress is not None and self.progress.phase is Phase.PROMOTED

    @property
    def deleted(self) -> bool:
        """Tell whether somebody has deleted it, or does."""
        return self.status in EAS_GOING

    @property
    def leaving(self) -> bool:
        """Tell whether it is being stopped or deleted."""
        return self.status in EAS_SERVICE.stopping


@dataclass(frozen=True, kw_only=True)
class Group:
    """A service group; a group without members does not exist yet."""

    name: str
    customized: bool | None = False
    """Traffic follows weights, not instance counts; None: EAS did not tell."""
    members: tuple[Member, ...] = ()

    def member(self, name: str) -> Member | None:
        """Return a member by its name."""
        return next((member for member in self.members if member.name == name), None)

    @property
    def rejected(self) -> frozenset[str]:
        """Return the entries of `rejection` that its members remember."""
        return frozenset(entry for member in self.members if member.progress for entry in member.progress.rejected)

    def rejects(self, digest: str, task: str, cycle: int) -> bool:
        """Tell whether a task's digest was rolled back before, and the task not cleared since.

        A person who clears the task raises its cycle, and may try the digest again.
        """
        mine, task, _ = rejection(digest, task, cycle).split(".")
        entries = (entry.split(".") for entry in self.rejected)
        return any(found == mine and not (owner == task and int(old) < cycle) for found, owner, old in entries)


def check_group_name(field: str, name: object) -> str:
    """Return a group name that EAS takes.

    :raises PaiConfigError: naming the field, the value and what is allowed.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PaiConfigError(field, name, "3 to 63 lowercase letters, digits and underscores")
    return name


def service_name(group: str, version: str) -> str:
    """Return the name of a version's service; a region takes it once, so there is never a second."""
    suffix = re.sub(r"[^a-z0-9]+", "_", version.lower()).strip("_")
    name = f"{group}_{suffix}"
    if len(name) <= 63:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{group[: max(1, 53 - len(suffix))]}_{digest}_{suffix}"[:63]


def most_labels(steps: int) -> dict[str, str]:
    """Return every label that a rollout of so many steps writes on its candidate; the values tell nothing."""
    result = StepResult(percent=0, requests=0, errors=0, p95_ms=None, verdict=Result.PASS)
    return Progress(phase=Phase.PREPARE, steps=(result,) * steps).labels()


def rejection(digest: str, task: str, cycle: int) -> str:
    """Return the entry that remembers a rolled-back digest, and whose it was."""
    return f"{digest.rpartition(':')[2][:12]}.{task[:12]}.{cycle}"


def _write_time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read_time(text: str) -> float | None:
    return None if not text or text.startswith(_SETTLING) else read_moment(text)


def _checked_moment(text: str) -> str:
    if text:
        read_moment(text)
    return text


def _checked_rejection(entry: str) -> str:
    if not _REJECTION.fullmatch(entry):
        raise ValueError(f"{entry!r} is no entry of ours")
    return entry


def _milliseconds(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text!r} is no time")
    return value
