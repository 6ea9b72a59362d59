"""Metrics source that calls a Python function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow.providers.common.compat.module_loading import import_string

from airflow_provider_pai.exceptions import PaiConfigError, PaiMetricsError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.inputs import mapping, texts
from airflow_provider_pai.metrics.base import NamedNumbers


@dataclass(frozen=True)
class CallableMetrics(NamedNumbers):
    """What a function returns: `f(service, start, end, **options)` → `{"requests", "errors", "p95_ms", …}`.

    It runs in the worker and in the triggerer (there in a thread), so both must be able to import it.

    :param function: import path, as `my_team.metrics.of_service`.
    :param options: further keyword arguments, JSON.
    :param values: further keys of the answer that the plan's `checks` may name.
    """

    eas: EasHook
    function: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", texts("metrics['values']", self.values) or ())
        object.__setattr__(self, "options", mapping("metrics['options']", self.options))
        self._function()

    def check(self, counts: bool = True) -> None:
        """It could be imported; whether it answers, only a service can tell."""

    def told(self, service: str, start: float, end: float) -> Mapping[str, Any]:
        """Call the function."""
        try:
            given = self._function()(service, start, end, **self.options)
        except Exception as error:
            raise PaiMetricsError(f"{self.function}: {type(error).__name__}: {error}") from error
        if not isinstance(given, Mapping):
            raise PaiMetricsError(f"{self.function} returned {given!r}, not a dict of numbers")
        return given

    def _function(self) -> Callable[..., Any]:
        allowed = "the import path of a function, module.name"
        try:
            found = import_string(str(self.function))
        except ImportError as error:
            raise PaiConfigError("metrics['function']", self.function, f"{allowed}: {error}") from None
        if not callable(found):
            raise PaiConfigError("metrics['function']", self.function, allowed)
        return found  # type: ignore[no-any-return]
