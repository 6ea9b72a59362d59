"""Hook for EAS (Elastic Algorithm Service)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_pai.lazy import late_names

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas.hook import EasHook

__all__ = [
    "EasHook",
]

__getattr__ = late_names(
    __name__,
    {
        "EasHook": "hook",
    },
)
