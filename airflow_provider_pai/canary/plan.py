"""Plan of a rollout: its steps, its patience and its limits."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from itertools import pairwise
from typing import Any, Literal, cast

OnInconclusive = Literal["hold", "rollback", "promote"]
OnFailure = Literal["rollback", "freeze"]
OnConflict = Literal["wait", "fail", "skip"]

_POLL = 2.0

MAX_STEPS = 10
"""Each step leaves a label on the candidate, and a service bears only so many."""


class InputError(ValueError):
    """Bad input, named by field, value and what is allowed."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field}: {value!r} is not allowed; {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed


@dataclass(frozen=True, kw_only=True)
class RolloutPlan:
    """Steps, durations (seconds) and limits of one canary rollout.

    Limits on rates are shares between 0 and 1. `None` switches a check off.
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
    drain: float = 30.0
    """Pause between taking a service's traffic away and stopping it, and for EAS to follow weights that were set:
    it should be longer than a request takes, and than EAS does."""
    keep_versions: int = 1
    """Replaced services that are kept, stopped, to go back to."""

    def __post_init__(self) -> None:
        _check_steps(self.steps)
        if self.max_duration < self.min_duration:
            raise InputError("max_duration", self.max_duration, f"at least min_duration, {self.min_duration:g}")
        if self.warm_up >= self.max_duration:
            raise InputError("warm_up", self.warm_up, f"less than max_duration, {self.max_duration:g}")
        if self.interval > self.max_duration:
            raise InputError("interval", self.interval, f"at most max_duration, {self.max_duration:g}")
        for hard, soft in (("hard_error_rate", "max_error_rate"), ("hard_p95_ms", "max_p95_ms")):
            high, low = getattr(self, hard), getattr(self, soft)
            if high is not None and low is not None and high < low:
                raise InputError(hard, high, f"at least {soft}, {low:g}")
        if self.max_consecutive_failures is not None and self.max_consecutive_failures > self.max_failures:
            allowed = f"at most max_failures, {self.max_failures}"
            raise InputError("max_consecutive_failures", self.max_consecutive_failures, allowed)

    @property
    def poll(self) -> float:
        """Return the seconds between two looks while a service comes up or requests in flight end."""
        return min(_POLL, self.interval)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> RolloutPlan:
        """Read a plan from what DAG files and templates give: numbers as text, steps as JSON or a comma list.

        :raises InputError: naming the field, the value and what is allowed.
        """
        unknown = sorted(set(values) - set(_PARSERS))
        if unknown:
            raise InputError(unknown[0], values[unknown[0]], f"fields of a rollout plan: {', '.join(_PARSERS)}")
        return cls(**{name: _PARSERS[name](name, value) for name, value in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON; `parse` reads it back."""
        return {**asdict(self), "steps": list(self.steps)}


Parser = Callable[[str, Any], Any]


def _number(*, low: float, high: float = math.inf, whole: bool = False, optional: bool = False) -> Parser:
    kind = "a whole number" if whole else "a number"
    bounds = f"from {low:g} to {high:g}" if high < math.inf else f"of at least {low:g}"
    allowed = f"{kind} {bounds}{' or none' if optional else ''}"

    def parse(name: str, value: Any) -> float | int | None:
        if value is None or (isinstance(value, str) and value.strip().lower() in ("", "none", "null")):
            if optional:
                return None
            raise InputError(name, value, allowed)
        number = _to_float(value)
        if number is None or not low <= number <= high or (whole and number != int(number)):
            raise InputError(name, value, allowed)
        return int(number) if whole else number

    return parse


def _to_float(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, timedelta):
        return value.total_seconds()
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _choice(*allowed: str) -> Parser:
    def parse(name: str, value: Any) -> str:
        if value not in allowed:
            raise InputError(name, value, ", ".join(allowed))
        return cast("str", value)

    return parse


CHECK_LIMITS = ("min", "max", "hard_min", "hard_max", "max_above", "max_below", "max_ratio")
"""Bounds, bounds that roll back at once, and how far from production's value, or how many times it, one may be."""


def _checks(name: str, value: Any) -> dict[str, dict[str, float]]:
    if not isinstance(value or {}, Mapping):
        raise InputError(name, value, "an object of metric names to their limits")
    return {str(metric): _limits(f"{name}[{metric!r}]", limits) for metric, limits in (value or {}).items()}


def _limits(name: str, value: Any) -> dict[str, float]:
    allowed = f"an object of {', '.join(CHECK_LIMITS)} to numbers"
    numbers = {key: _to_float(item) for key, item in value.items()} if isinstance(value, Mapping) else {}
    if not numbers or not set(numbers) <= set(CHECK_LIMITS) or None in numbers.values():
        raise InputError(name, value, allowed)
    limits = {key: cast("float", number) for key, number in numbers.items()}
    order = [(key, limits[key]) for key in ("hard_min", "min", "max", "hard_max") if key in limits]
    for (low, least), (high, most) in pairwise(order):
        if least > most:
            raise InputError(name, value, f"{low} of at most {high}")
    return limits


_STEPS_ALLOWED = f"1 to {MAX_STEPS} whole percentages from 1 to 100, strictly rising, the last one 100"


def _steps(name: str, value: Any) -> tuple[int, ...]:
    given = value
    if isinstance(value, str):
        try:
            given = json.loads(value if value.strip().startswith("[") else f"[{value}]")
        except ValueError as error:
            raise InputError(name, value, _STEPS_ALLOWED) from error
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = [given]
    if not isinstance(given, list | tuple):
        raise InputError(name, value, _STEPS_ALLOWED)
    numbers = [_to_float(item) for item in given]
    if any(number is None or number != int(number) for number in numbers):
        raise InputError(name, value, _STEPS_ALLOWED)
    steps = tuple(int(cast("float", number)) for number in numbers)
    _check_steps(steps, name)
    return steps


def _check_steps(steps: tuple[int, ...], name: str = "steps") -> None:
    rising = all(left < right for left, right in pairwise(steps))
    if not steps or len(steps) > MAX_STEPS or not rising or steps[0] < 1 or steps[-1] != 100:
        raise InputError(name, list(steps), _STEPS_ALLOWED)


_SECONDS = _number(low=0)
_SHARE = _number(low=0, high=1, optional=True)
_PARSERS: dict[str, Parser] = {
    "steps": _steps,
    "interval": _number(low=0.05),
    "warm_up": _SECONDS,
    "min_duration": _SECONDS,
    "max_duration": _SECONDS,
    "min_requests": _number(low=1, whole=True),
    "max_error_rate": _SHARE,
    "max_error_rate_delta": _SHARE,
    "max_p95_ms": _number(low=0, optional=True),
    "max_p95_ratio": _number(low=1, optional=True),
    "max_p50_ratio": _number(low=1, optional=True),
    "min_latency_effect_ms": _SECONDS,
    "hard_error_rate": _SHARE,
    "hard_p95_ms": _number(low=0, optional=True),
    "checks": _checks,
    "significance": _number(low=1e-9, high=0.2),
    "power": _number(low=0, high=0.999),
    "max_failures": _number(low=0, whole=True),
    "max_consecutive_failures": _number(low=0, whole=True, optional=True),
    "max_inconclusive": _number(low=0, whole=True, optional=True),
    "on_inconclusive": _choice("hold", "rollback", "promote"),
    "max_source_errors": _number(low=0, whole=True),
    "on_failure": _choice("rollback", "freeze"),
    "on_conflict": _choice("wait", "fail", "skip"),
    "bake": _SECONDS,
    "ready_timeout": _SECONDS,
    "drain": _SECONDS,
    "keep_versions": _number(low=0, whole=True),
}
assert set(_PARSERS) == {item.name for item in fields(RolloutPlan)}
