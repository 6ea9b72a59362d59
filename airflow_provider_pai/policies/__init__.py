"""Retry policies for Airflow 3.3 and later; older ones import the package, and find that it has no such name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_pai.lazy import late_names

if TYPE_CHECKING:
    from airflow_provider_pai.policies.retry import PaiRetryPolicy

__all__ = ["PaiRetryPolicy"]

__getattr__ = late_names(__name__, {"PaiRetryPolicy": "retry"})
