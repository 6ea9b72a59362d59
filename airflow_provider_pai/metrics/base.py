"""Base of the metrics sources, and the one list of their kinds.

A source is declared in a DAG as plain JSON, `{"kind": "cloudmonitor", "period": 60}`, since it travels to the
triggerer; it is built where it is asked. Of a list of sources the first counts requests, the others add values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

from airflow.providers.common.compat.module_loading import import_string

from airflow_provider_pai.canary.samples import Sample
from airflow_provider_pai.exceptions import PaiConfigError, PaiMetricsError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.inputs import json_list, one_of

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

    def check(self) -> None:
        """Make sure that the source answers.

        :raises PaiError: it does not.
        """
        ...

    def sample(self, service: str, start: float, end: float) -> Sample:
        """Return what a service answered in a span of Unix times.

        :raises PaiApiError: the source did not answer.
        :raises PaiMetricsError: the same, or it did not answer with numbers.
        """
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
    for name in options:
        if name not in allowed:
            raise PaiConfigError("metrics", name, f"options of {kind}: {', '.join(allowed)}")
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

    def check(self) -> None:
        """Ask each."""
        for source in (self.first, *self.others):
            source.check()

    def sample(self, service: str, start: float, end: float) -> Sample:
        """Return the first's sample with the values of the others."""
        sample = self.first.sample(service, start, end)
        for source in self.others:
            added = source.sample(service, start, end)
            sample = replace(sample, values={**sample.values, **added.values})
        return sample


def sample_of(given: Mapping[str, Any], values: Sequence[str]) -> Sample:
    """Read the numbers that a query or a function returned: `requests`, `errors`, `p95_ms`, `p50_ms`, …, and values.

    What is missing or None is not known, and 0 where it is a count.

    :raises PaiMetricsError: naming what is not a number.
    """
    numbers = {name: _number(name, given[name]) for name in given if given[name] is not None}
    quantiles = {
        int(found[1]): ms for name, ms in numbers.items() if (found := _PERCENTILE.fullmatch(name)) and name != "p95_ms"
    }
    try:
        return Sample(
            requests=int(numbers.get("requests", 0)),
            errors=int(numbers.get("errors", 0)),
            p95_ms=numbers.get("p95_ms"),
            quantiles=quantiles,
            values={name: numbers[name] for name in values if name in numbers},
        )
    except ValueError as error:
        raise PaiMetricsError(str(error)) from error


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise PaiMetricsError(f"{name} is {value!r}, not a number")
    return number
