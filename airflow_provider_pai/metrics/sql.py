"""Metrics source that runs an SQL query: a log of predictions, late labels, business figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airflow_provider_pai.canary.samples import Sample
from airflow_provider_pai.exceptions import PaiMetricsError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.inputs import required, texts
from airflow_provider_pai.metrics.base import sample_of

_COUNTS = ("requests", "errors", "p95_ms")


@dataclass(frozen=True)
class SqlMetrics:
    """One row of a query through any common-sql connection.

    The columns are named `requests`, `errors`, `p95_ms` (`p50_ms`, …) and as `values` says; NULL is not known. The
    query gets the parameters `service`, `start` and `end` (Unix seconds), in the way its database writes them:
    `:service` or `%(service)s`.

    :param conn_id: an Airflow connection with a common-sql hook.
    :param values: further columns that the plan's `checks` may name.
    """

    eas: EasHook
    conn_id: str = ""
    sql: str = ""
    values: tuple[str, ...] = ()

    lateness: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        required("metrics['conn_id']", self.conn_id, "an Airflow connection")
        required("metrics['sql']", self.sql, "a query")
        object.__setattr__(self, "values", texts("metrics['values']", self.values) or ())

    @property
    def names(self) -> Collection[str]:
        """Return the values that checks may name."""
        return {*self.values, "error_rate", "p50_ms", "p75_ms", "p90_ms", "p95_ms", "p99_ms"}

    def check(self) -> None:
        """Run the query once for a service that is not there, and look at its columns."""
        columns = self._row("-", 0.0, 1.0)
        for name in self.values:
            if name not in columns:
                raise PaiMetricsError(f"the query has no column {name}, only {', '.join(columns)}")

    def sample(self, service: str, start: float, end: float) -> Sample:
        """Run the query."""
        return sample_of(self._row(service, start, end), self.values)

    def _row(self, service: str, start: float, end: float) -> Mapping[str, Any]:
        from airflow.providers.common.compat.sdk import BaseHook

        parameters = {"service": service, "start": start, "end": end}
        try:
            hook = BaseHook.get_hook(self.conn_id)
            found: Mapping[str, Any] = hook.run(self.sql, parameters=parameters, handler=_first_row)
        except Exception as error:
            # Every database has errors of its own.
            raise PaiMetricsError(f"{self.conn_id}: {type(error).__name__}: {error}") from error
        return found


def _first_row(cursor: Any) -> dict[str, Any]:
    row = cursor.fetchone() or [None] * len(cursor.description)
    return dict(zip([column[0].lower() for column in cursor.description], row, strict=True))
