"""Base of the metrics sources, and the one list of their kinds.

A source is declared in a DAG as plain JSON, `{"kind": "cloudmonitor", "period": 60}`, since it travels to the
triggerer; it is built where it is asked. Of a list of sources the first counts requests, the others add values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Protocol

from airflow.providers.common.compat.module_loading import import_string

from airflow_provider_pai.canary.samples import Sample
from airflow_provider_pai.exceptions import PaiConfigError, PaiMetricsError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.inputs import json_list, known, one_of

KINDS = {
    "cloudmonitor": "airflow_provider_pai.metrics.cloudmonitor.CloudMonitorMetrics",
    "sql": "airflow_provider_pai.metrics.sql.SqlMetrics",
    "callable": "airflow_provider_pai.metrics.function.CallableMetrics",
}
"""Kind to a frozen dataclass whose first field is the `EasHook` and whose others are the options."""

_PERCENTILE = re.compile(r"p(\d+)_ms")

Declaration = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class MetricsSource(Protocol):
    """Counts what services answered."""

    @property
    def names(self) -> Collection[str]:
        """Return the values that `RolloutPlan.checks` may name."""
        ...

    @property
    def lateness(self) -> float:
        """Return the seconds before a look's end that its counts do not cover."""
        ...

    def check(self, counts: bool = True) -> None:
        """Make sure that the source answers.

        :param counts: False: only its further values are wanted.
        :raises PaiError: it does not.
        """
        ...

    def sample(self, service: str, start: float, end: float) -> Sample:
        """Return what a service answered in a span of Unix times.

        :raises PaiApiError: the source did not answer.
        :raises PaiMetricsError: the same, or it did not answer with numbers, or without `requests`.
        """
        ...

    def further(self, service: str, start: float, end: float) -> Mapping[str, float]:
        """Return the further values alone, as `sample`."""
        ...


def make_source(metrics: Declaration | str, eas: EasHook) -> MetricsSource:
    """Build a source from its declaration.

    :raises PaiConfigError: an unknown kind, an unknown option or a value that the option does not take.
    """
    allowed = f"a source as {{'kind': …}}, or a list of them; kinds: {', '.join(KINDS)}"
    declarations = json_list("metrics", metrics, allowed)
    if not declarations or not all(isinstance(one, Mapping) for one in declarations):
        raise PaiConfigError("metrics", metrics, allowed)
    first, *others = [_make(one, eas) for one in declarations]
    return Several(first, tuple(others)) if others else first


def check_names(source: MetricsSource, checks: Collection[str]) -> None:
    """Make sure that a source tells every value that has limits.

    :raises PaiConfigError: naming the value.
    """
    for name in checks:
        if name not in source.names:
            known = ", ".join(sorted(source.names))
            raise PaiConfigError("checks", name, f"a value that the metrics source tells: {known}")


def _make(config: Mapping[str, Any], eas: EasHook) -> MetricsSource:
    options = dict(config)
    kind = options.pop("kind", None)
    source_class = import_string(KINDS[one_of("metrics['kind']", kind, KINDS)])
    allowed = [item.name for item in fields(source_class)][1:]
    known("metrics", options, allowed, f"options of {kind}:")
    source: MetricsSource = source_class(eas, **options)
    return source


@dataclass(frozen=True)
class Several:
    """A source that counts, and others that add values."""

    first: MetricsSource
    others: tuple[MetricsSource, ...]

    @property
    def names(self) -> Collection[str]:
        """Return everything that one of them tells."""
        return {name for source in (self.first, *self.others) for name in source.names}

    @property
    def lateness(self) -> float:
        """Return that of the source that counts."""
        return self.first.lateness

    def check(self, counts: bool = True) -> None:
        """Ask each."""
        self.first.check(counts)
        for source in self.others:
            source.check(counts=False)

    def sample(self, service: str, start: float, end: float) -> Sample:
        """Return the first's sample with the values of the others."""
        sample = self.first.sample(service, start, end)
        for source in self.others:
            sample = replace(sample, values={**sample.values, **source.further(service, start, end)})
        return sample

    def further(self, service: str, start: float, end: float) -> Mapping[str, float]:
        """Return the values of all."""
        return self.sample(service, start, end).values


class NamedNumbers:
    """Base of the sources that somebody tells numbers by name: `requests`, `errors`, `p95_ms`, `p50_ms`, …, and values.

    What is None or NaN is not known, and 0 where it is a count; what nobody asked for may be anything.
    """

    values: tuple[str, ...]
    lateness: ClassVar[float] = 0.0

    @property
    def names(self) -> Collection[str]:
        """Return the values that checks may name."""
        return {*self.values, "error_rate", "p50_ms", "p75_ms", "p90_ms", "p95_ms", "p99_ms"}

    def told(self, service: str, start: float, end: float) -> Mapping[str, Any]:
        """Return what is told.

        :raises PaiMetricsError: nothing is.
        """
        raise NotImplementedError

    def sample(self, service: str, start: float, end: float) -> Sample:
        """Read what is told of a service in a span of Unix times.

        :raises PaiMetricsError: naming what is missing or not a number.
        """
        given = self.told(service, start, end)
        require_counts(given)
        quantiles = {int(found[1]): name for name in given if (found := _PERCENTILE.fullmatch(name))}
        numbers = _known(given, ("requests", "errors", *quantiles.values()))
        latencies = {percent: numbers[name] for percent, name in quantiles.items() if name in numbers}
        try:
            return Sample(
                requests=int(numbers.get("requests", 0)),
                errors=int(numbers.get("errors", 0)),
                p95_ms=latencies.pop(95, None),
                quantiles=latencies,
                values=_known(given, self.values),
            )
        except ValueError as error:
            raise PaiMetricsError(str(error)) from None

    def further(self, service: str, start: float, end: float) -> Mapping[str, float]:
        """Read the values alone, as `sample`."""
        return _known(self.told(service, start, end), self.values)


def require_counts(names: Collection[str]) -> None:
    """Make sure that requests are counted: 0 for ever would be a rollout that no request ever judges.

    :raises PaiMetricsError: they are not.
    """
    if "requests" not in names:
        raise PaiMetricsError(f"requests are not counted: there is only {', '.join(names) or 'nothing'}")


def _known(given: Mapping[str, Any], names: Iterable[str]) -> dict[str, float]:
    numbers = {name: _number(name, given[name]) for name in names if given.get(name) is not None}
    return {name: number for name, number in numbers.items() if math.isfinite(number)}


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise PaiMetricsError(f"{name} is {value!r}, not a number") from None
