"""Testing of DAGs that use the provider: a pytest plugin over the emulator, and assertions in words for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_pai.lazy import late_names

if TYPE_CHECKING:
    from airflow_provider_pai.testing.account import Job, Pai
    from airflow_provider_pai.testing.assertions import assert_complete, assert_promoted, assert_rolled_back
    from airflow_provider_pai.testing.runs import Run, RunFailedError
    from airflow_provider_pai.testing.traffic import ServiceGroup, Traffic

__all__ = [
    "Job",
    "Pai",
    "Run",
    "RunFailedError",
    "ServiceGroup",
    "Traffic",
    "assert_complete",
    "assert_promoted",
    "assert_rolled_back",
]

__getattr__ = late_names(
    __name__,
    {
        "Job": "account",
        "Pai": "account",
        "Run": "runs",
        "RunFailedError": "runs",
        "ServiceGroup": "traffic",
        "Traffic": "traffic",
        "assert_complete": "assertions",
        "assert_promoted": "assertions",
        "assert_rolled_back": "assertions",
    },
)
