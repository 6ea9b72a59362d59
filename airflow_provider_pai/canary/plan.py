"""Plan of a rollout: its steps, its patience and its limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from itertools import pairwise
from typing import Any, Literal, get_args

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import json_list, mapping, number, one_of, seconds, share, whole_number
from airflow_provider_pai.values import did_you_mean

OnInconclusive = Literal["hold", "rollback", "promote"]
OnFailure = Literal["rollback", "freeze"]
OnConflict = Literal["wait", "fail", "skip"]

_POLL = 2.0

MAX_STEPS = 10
"""Each step leaves a label on the candidate, and a service bears only so many."""


@dataclass(frozen=True, kw_only=True)
class RolloutPlan:
    """Steps, durations and limits of one canary rollout.

    Durations are seconds here; `parse` reads them as `inputs.seconds` does, `5m` say. Limits on rates are shares from 0
    to 1. `None` switches a check off.
    """

    steps: tuple[int, ...] = (10, 50, 100)
    """Percent of the group's traffic, strictly rising, the last one 100."""
    interval: float = 60.0
    """Time between two verdicts."""
    warm_up: float = 0.0
    """Time after a step's start whose requests are not judged."""
    min_duration: float = 300.0
    """Time that a step lasts at least."""
    max_duration: float = 3600.0
    """Time after which a step without a conclusive verdict is handled by `on_inconclusive`."""
    min_requests: int = 100
    """Requests to the candidate below which a step never passes."""
    max_error_rate: float | None = 0.05
    max_error_rate_delta: float | None = 0.01
    """How much the candidate's error rate may lie above production's in the same time."""
    hard_error_rate: float | None = None
    """Over this the rollout is rolled back at once, whatever is tolerated and however `on_failure` reads."""
    max_p95_ms: float | None = None
    max_p95_ratio: float | None = 2.0
    """How many times production's 95th percentile the candidate's may be; not asked of a source that tells none."""
    max_p50_ratio: float | None = 2.0
    """The same for the median, which a noisy machine moves less."""
    min_latency_effect_ms: float = 10.0
    """Latency differences to production below this never count."""
    hard_p95_ms: float | None = None
    """As `hard_error_rate`."""
    checks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Limits on further values of the metrics source, by their names: `CHECK_LIMITS` to a number."""
    significance: float = 0.001
    """Chance of calling a good candidate bad that one look may have; small, since there are many looks."""
    power: float = 0.9
    """Chance with which twice the tolerated excess of errors would have been noticed at 100 % before it is promoted."""
    max_failures: int = 0
    """Failing verdicts of one step that are tolerated."""
    max_consecutive_failures: int | None = None
    """Those of them that may follow on each other; None: all."""
    max_inconclusive: int | None = None
    """Consecutive inconclusive verdicts after which `on_inconclusive` decides; None: after `max_duration`."""
    on_inconclusive: OnInconclusive = "hold"
    max_source_errors: int = 5
    """Consecutive failures of the metrics source that are tolerated."""
    on_failure: OnFailure = "rollback"
    """Freeze: the candidate keeps the share it has, and a person decides; one that is down or over a hard limit is
    rolled back all the same."""
    on_conflict: OnConflict = "wait"
    """What to do before the candidate is made when another rollout holds the group."""
    bake: float = 0.0
    """Time at 100 % in which the old service is kept up to go back to, and the candidate is judged further."""
    ready_timeout: float = 1800.0
    """Time that the candidate may take until every instance is ready."""
    gateway_timeout: float = 180.0
    """Time after that in which the gateway may answer in its place: it learns late of a service that is Running."""
    drain: float = 30.0
    """Pause between taking a service's traffic away and stopping it, and for EAS to follow weights that were set:
    it should be longer than a request takes, and than EAS does."""
    keep_versions: int = 1
    """Replaced services that are kept, stopped, to go back to."""

    def __post_init__(self) -> None:
        _check_steps(self.steps)
        if self.max_duration < self.min_duration:
            raise PaiConfigError("max_duration", self.max_duration, f"at least min_duration, {self.min_duration:g}")
        if self.warm_up >= self.max_duration:
            raise PaiConfigError("warm_up", self.warm_up, f"less than max_duration, {self.max_duration:g}")
        if self.interval > self.max_duration:
            raise PaiConfigError("interval", self.interval, f"at most max_duration, {self.max_duration:g}")
        for hard, soft in (("hard_error_rate", "max_error_rate"), ("hard_p95_ms", "max_p95_ms")):
            high, low = getattr(self, hard), getattr(self, soft)
            if high is not None and low is not None and high < low:
                raise PaiConfigError(hard, high, f"at least {soft}, {low:g}")
        if self.max_consecutive_failures is not None and self.max_consecutive_failures > self.max_failures:
            allowed = f"at most max_failures, {self.max_failures}"
            raise PaiConfigError("max_consecutive_failures", self.max_consecutive_failures, allowed)

    @property
    def poll(self) -> float:
        """Return the seconds between two looks while a service comes up or requests in flight end."""
        return min(_POLL, self.interval)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> RolloutPlan:
        """Read a plan from what DAG files and templates give: spans as `5m`, steps as JSON or a comma list.

        :raises PaiConfigError: naming the field, the value and what is allowed.
        """
        for name in sorted(set(values) - set(_READERS)):
            allowed = f"fields of a rollout plan: {', '.join(_READERS)}{did_you_mean(name, _READERS)}"
            raise PaiConfigError(name, values[name], allowed)
        return cls(**{name: _READERS[name](name, value) for name, value in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON; `parse` reads it back."""
        return {**asdict(self), "steps": list(self.steps)}


Reader = Callable[[str, Any], Any]


def _or_none(read: Reader) -> Reader:
    """Return a reader of what may be switched off."""

    def reader(name: str, value: Any) -> Any:
        if value is None or (isinstance(value, str) and value.strip().lower() in ("", "none", "null")):
            return None
        try:
            return read(name, value)
        except PaiConfigError as error:
            raise PaiConfigError(error.field, error.value, f"{error.allowed} or none") from None

    return reader


CHECK_LIMITS = ("min", "max", "hard_min", "hard_max", "max_above", "max_below", "max_ratio")
"""Bounds, bounds that roll back at once, and how far from production's value, or how many times it, one may be."""


def _checks(name: str, value: Any) -> dict[str, dict[str, float]]:
    metrics = mapping(name, value, "an object of metric names to their limits")
    return {metric: _limits(f"{name}[{metric!r}]", limits) for metric, limits in metrics.items()}


def _limits(name: str, value: Any) -> dict[str, float]:
    allowed = f"an object of {', '.join(CHECK_LIMITS)} to numbers"
    items = mapping(name, value, allowed)
    if not items or not set(items) <= set(CHECK_LIMITS):
        raise PaiConfigError(name, value, allowed)
    limits = {key: number(f"{name}[{key!r}]", item) for key, item in items.items()}
    order = [(key, limits[key]) for key in ("hard_min", "min", "max", "hard_max") if key in limits]
    for (low, smallest), (high, largest) in pairwise(order):
        if smallest > largest:
            raise PaiConfigError(name, value, f"{low} of at most {high}")
    return limits


_STEPS_ALLOWED = f"1 to {MAX_STEPS} whole percentages from 1 to 100, strictly rising, the last one 100"


def _steps(name: str, value: Any) -> tuple[int, ...]:
    """Read a list, its JSON, a comma list or one number."""
    items = value
    if isinstance(value, str | int | float) and not str(value).lstrip().startswith("["):
        items = f"[{value}]"
    try:
        steps = tuple(whole_number(name, item) for item in json_list(name, items))
    except PaiConfigError:
        raise PaiConfigError(name, value, _STEPS_ALLOWED) from None
    _check_steps(steps, name)
    return steps


def _check_steps(steps: tuple[int, ...], name: str = "steps") -> None:
    rising = all(left < right for left, right in pairwise(steps))
    if not steps or len(steps) > MAX_STEPS or not rising or steps[0] < 1 or steps[-1] != 100:
        raise PaiConfigError(name, list(steps), _STEPS_ALLOWED)


_span = partial(seconds, least=0)
_count = partial(whole_number, least=0)
_share = _or_none(share)
_milliseconds = partial(number, least=0)
_ratio = _or_none(partial(number, least=1))
_READERS: dict[str, Reader] = {
    "steps": _steps,
    "interval": partial(seconds, least=0.05),
    "warm_up": _span,
    "min_duration": _span,
    "max_duration": _span,
    "min_requests": partial(whole_number, least=1),
    "max_error_rate": _share,
    "max_error_rate_delta": _share,
    "max_p95_ms": _or_none(_milliseconds),
    "max_p95_ratio": _ratio,
    "max_p50_ratio": _ratio,
    "min_latency_effect_ms": _milliseconds,
    "hard_error_rate": _share,
    "hard_p95_ms": _or_none(_milliseconds),
    "checks": _checks,
    "significance": partial(number, least=1e-9, most=0.2),
    "power": partial(number, least=0, most=0.999),
    "max_failures": _count,
    "max_consecutive_failures": _or_none(_count),
    "max_inconclusive": _or_none(_count),
    "on_inconclusive": partial(one_of, allowed=get_args(OnInconclusive)),
    "max_source_errors": _count,
    "on_failure": partial(one_of, allowed=get_args(OnFailure)),
    "on_conflict": partial(one_of, allowed=get_args(OnConflict)),
    "bake": _span,
    "ready_timeout": _span,
    "gateway_timeout": _span,
    "drain": _span,
    "keep_versions": _count,
}
assert set(_READERS) == {item.name for item in fields(RolloutPlan)}
