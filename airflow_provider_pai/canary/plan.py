"""What a rollout may do: its steps, its patience and its limits."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from itertools import pairwise
from typing import Any, Literal, cast

OnInconclusive = Literal["hold", "rollback", "promote"]
OnFailure = Literal["rollback"]

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
    max_p95_ms: float | None = None
    max_p95_ratio: float | None = None
    """How many times production's 95th percentile the candidate's may be."""
    min_p95_effect_ms: float = 10.0
    """Latency differences to production below this never count."""
    significance: float = 0.001
    """Chance of calling a good candidate bad that one look may have; small, since there are many looks."""
    max_failures: int = 0
    """Consecutive failing verdicts that are tolerated."""
    max_inconclusive: int | None = None
    """Consecutive inconclusive verdicts after which `on_inconclusive` decides; None: after `max_duration`."""
    on_inconclusive: OnInconclusive = "hold"
    max_source_errors: int = 5
    """Consecutive failures of the metrics source that are tolerated."""
    on_failure: OnFailure = "rollback"
    ready_timeout: float = 1800.0
    """Time that the candidate may take until every instance is ready."""
    drain: float = 30.0
    """Pause between taking the old service's traffic away and stopping it."""
    keep_versions: int = 1
    """Replaced services that are kept, stopped, to go back to."""

    def __post_init__(self) -> None:
        _check_steps(self.steps)
        if self.max_duration < self.min_duration:
            raise InputError("max_duration", self.max_duration, f"at least min_duration, {self.min_duration:g}")
        if self.warm_up >= self.max_duration:
            raise InputError("warm_up", self.warm_up, f"less than max_duration, {self.max_duration:g}")

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
    "min_p95_effect_ms": _SECONDS,
    "significance": _number(low=1e-9, high=0.2),
    "max_failures": _number(low=0, whole=True),
    "max_inconclusive": _number(low=0, whole=True, optional=True),
    "on_inconclusive": _choice("hold", "rollback", "promote"),
    "max_source_errors": _number(low=0, whole=True),
    "on_failure": _choice("rollback"),
    "ready_timeout": _SECONDS,
    "drain": _SECONDS,
    "keep_versions": _number(low=0, whole=True),
}
assert set(_PARSERS) == {field.name for field in fields(RolloutPlan)}
