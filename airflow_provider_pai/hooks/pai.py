"""Hook of the connection type `pai`: what Airflow makes of a connection, and what its form's Test button asks."""

from __future__ import annotations

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.base import PaiHook

TEST_SECONDS = 10.0
"""How long the Test button may take."""


class PaiConnectionHook(PaiHook):
    """The connection itself, without a service of its own."""

    def test_connection(self) -> tuple[bool, str]:
        """Ask who calls and each service for one item, side by side; tell what is wrong first, then what is right."""
        from airflow_provider_pai.hooks.checks import Health, grouped, quick, run_checks

        try:
            self.connection  # noqa: B018 - read once for all
        except PaiError as error:
            return False, str(error)
        self.retry_seconds = 0.0
        rows = run_checks(quick(self), TEST_SECONDS)
        told = [
            f"{result}: {names}: {row.says}{f' → {row.todo}' if row.todo else ''}"
            for result in (Health.FAULT, Health.WARNING, Health.UNCHECKED, Health.OK)
            for names, row in grouped(row for row in rows if row.result is result)
        ]
        return not any(row.result is Health.FAULT for row in rows), "; ".join(told)
