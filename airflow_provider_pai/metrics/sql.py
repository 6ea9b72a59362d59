"""Metrics source that runs an SQL query: a log of predictions, late labels, business figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_pai.exceptions import PaiMetricsError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.inputs import required, texts
from airflow_provider_pai.metrics.base import NamedNumbers, require_counts


@dataclass(frozen=True)
class SqlMetrics(NamedNumbers):
    """One row of a query through any common-sql connection.

    The columns are named `requests`, which must be there, `errors`, `p95_ms` (`p50_ms`, …) and as `values` says. NULL
    and NaN are not known, other columns are passed over. The query gets the parameters `service`, `start` and `end` (in
    Unix seconds), in the way its database writes them: `:service` or `%(service)s`.

    :param conn_id: an Airflow connection with a common-sql hook.
    :param values: further columns that the plan's `checks` may name.
    """

    eas: EasHook
    conn_id: str = ""
    sql: str = ""
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        required("metrics['conn_id']", self.conn_id, "an Airflow connection")
        required("metrics['sql']", self.sql, "a query")
        object.__setattr__(self, "values", texts("metrics['values']", self.values) or ())

    def check(self, counts: bool = True) -> None:
        """Run the query once for a service that is not there, and look at its columns."""
        columns = self.told("-", 0.0, 1.0)
        if counts:
            require_counts(columns)
        for name in self.values:
            if name not in columns:
                raise PaiMetricsError(f"the query has no column {name}, only {', '.join(columns)}")

    def told(self, service: str, start: float, end: float) -> Mapping[str, Any]:
        """Run the query."""
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
