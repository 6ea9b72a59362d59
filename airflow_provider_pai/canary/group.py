"""A service group as EAS shows it, and what rollouts keep as labels on its services."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from airflow_provider_pai.canary.analysis import Judgement, Sample
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.identity import CYCLE_TAG, TASK_TAG
from airflow_provider_pai.states import EAS_SERVICE

_NAME = re.compile(r"[a-z0-9_]{3,63}")
_MAX_LABEL = 128
# A label value takes 128 characters; four results fill at most 112.
_STEPS_PER_LABEL = 4
_MAX_REJECTED = 3
_COUNTS = ("failures", "inconclusive", "source_errors", "consecutive", "golden", "own_version", "stable_version")
# A service bears no more labels, so the one time stands in the other's place.
_SETTLING = "settling "


class Phase(StrEnum):
    """Where a service stands in its life."""

    PREPARE = "prepare"
    SMOKED = "smoked"
    """Ready, golden requests answered; no traffic yet."""
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


UNDER_WAY = frozenset({Phase.PREPARE, Phase.SMOKED, Phase.STEP, Phase.PROMOTING, Phase.WITHDRAWN})


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
    def read(cls, text: str) -> StepResult:
        """Read what `write` wrote."""
        percent, requests, errors, p95, verdict = text.split(":")
        return cls(
            percent=int(percent),
            requests=int(requests),
            errors=int(errors),
            p95_ms=float(p95) if p95 else None,
            verdict=verdict,
        )

    def write(self) -> str:
        """Return `percent:requests:errors:p95:verdict`."""
        p95 = "" if self.p95_ms is None else f"{self.p95_ms:.1f}"
        return f"{self.percent}:{self.requests}:{self.errors}:{p95}:{self.verdict}"

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
    """Golden requests that the candidate was sent in this step."""
    own_version: int = 0
    """EAS's version of the candidate when it got its first traffic, and of the stable service then; 0: unknown."""
    stable_version: int = 0
    outcome: str = ""
    note: str = ""
    rejected: tuple[str, ...] = ()
    """Entries of `rejection`, newest last."""
    steps: tuple[StepResult, ...] = ()

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Progress | None:
        """Read a service's labels; None for a service that no rollout has touched."""
        text = {name: "" if value == "-" else value for name, value in labels.items()}
        if text.get("airflow_phase", "") not in set(Phase):
            return None
        counts = dict(zip(_COUNTS, map(int, (text.get("airflow_counts") or "0").split(".")), strict=False))
        results = [text[name] for name in sorted(text) if name.startswith("airflow_results_")]
        return cls(
            phase=Phase(text["airflow_phase"]),
            version=text.get("airflow_version", ""),
            digest=text.get("airflow_digest", ""),
            interval_end=text.get("airflow_interval_end", ""),
            task=text.get(TASK_TAG, ""),
            cycle=int(text.get(CYCLE_TAG) or 0),
            stable=text.get("airflow_stable", ""),
            step=int(text.get("airflow_step") or 0),
            since=_read_time(text.get("airflow_since", "")),
            settling=_read_time(text.get("airflow_since", "").partition(_SETTLING)[2]),
            **counts,
            outcome=text.get("airflow_outcome", ""),
            note=text.get("airflow_note", ""),
            rejected=tuple(text.get("airflow_rejected", "").split()),
            steps=tuple(StepResult.read(item) for chunk in results for item in chunk.split()),
        )

    def labels(self) -> dict[str, str]:
        """Return the labels; `-` stands for empty, so that an update that merges clears as well."""
        written = {
            "airflow_phase": self.phase.value,
            "airflow_version": self.version,
            "airflow_digest": self.digest,
            "airflow_interval_end": self.interval_end,
            TASK_TAG: self.task,
            CYCLE_TAG: str(self.cycle),
            "airflow_stable": self.stable,
            "airflow_step": str(self.step),
            "airflow_since": self._times(),
            "airflow_counts": ".".join(str(getattr(self, name)) for name in _COUNTS),
            "airflow_outcome": self.outcome,
            "airflow_note": self.note[:_MAX_LABEL],
            "airflow_rejected": " ".join(self.rejected[-_MAX_REJECTED:]),
        }
        for first in range(0, len(self.steps), _STEPS_PER_LABEL):
            chunk = self.steps[first : first + _STEPS_PER_LABEL]
            written[f"airflow_results_{first // _STEPS_PER_LABEL}"] = " ".join(step.write() for step in chunk)
        return {name: value or "-" for name, value in written.items()}

    def _times(self) -> str:
        if self.since is not None:
            return _write_time(self.since)
        return "" if self.settling is None else f"{_SETTLING}{_write_time(self.settling)}"

    def began(self, now: float) -> float:
        """Return the start of the phase or step."""
        return now if self.since is None else self.since

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
    def leaving(self) -> bool:
        """Tell whether it is being stopped or deleted."""
        return self.status in EAS_SERVICE.stopping


@dataclass(frozen=True, kw_only=True)
class Group:
    """A service group; a group without members does not exist yet."""

    name: str
    customized: bool = False
    """Traffic follows weights, not instance counts."""
    members: tuple[Member, ...] = ()

    def member(self, name: str) -> Member | None:
        """Return a member by its name."""
        return next((member for member in self.members if member.name == name), None)


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


def rejection(digest: str, task: str, cycle: int) -> str:
    """Return the entry that remembers a rolled-back digest, and whose it was."""
    return f"{digest.rpartition(':')[2][:12]}.{task[:12]}.{cycle}"


def _write_time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read_time(text: str) -> float | None:
    return None if not text or text.startswith(_SETTLING) else datetime.fromisoformat(text).timestamp()
