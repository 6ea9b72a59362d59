"""What a metrics source is, and the one list of kinds.

A source is declared in a DAG as plain JSON, `{"kind": "cloudmonitor", "period": 60}`, since it travels to the
triggerer; it is built where it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Protocol

from airflow.providers.common.compat.module_loading import import_string

from airflow_provider_pai.canary.analysis import Sample
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.eas import EasHook

KINDS = {"cloudmonitor": "airflow_provider_pai.metrics.cloudmonitor.CloudMonitorMetrics"}
"""Kind to a frozen dataclass whose first field is the `EasHook` and whose others are the options."""


class MetricsSource(Protocol):
    """Counts what services answered."""

    def check(self) -> None:
        """Make sure that the source answers.

        :raises PaiError: it does not.
        """
        ...

    def sample(self, service: str, start: float, end: float) -> Sample:
        """Return what a service answered in a span of Unix times.

        :raises PaiApiError: the source did not answer.
        """
        ...


def make_source(config: Mapping[str, Any], eas: EasHook) -> MetricsSource:
    """Build a source from its declaration.

    :raises PaiConfigError: an unknown kind, an unknown option or a value that the option does not take.
    """
    options = dict(config)
    kind = options.pop("kind", None)
    if kind not in KINDS:
        raise PaiConfigError("metrics['kind']", kind, f"one of {', '.join(KINDS)}")
    source_class = import_string(KINDS[kind])
    allowed = [item.name for item in fields(source_class)][1:]
    for name in options:
        if name not in allowed:
            raise PaiConfigError("metrics", name, f"options of {kind}: {', '.join(allowed)}")
    source: MetricsSource = source_class(eas, **options)
    return source
