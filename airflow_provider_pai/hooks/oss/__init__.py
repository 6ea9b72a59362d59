"""Hook for OSS (Object Storage Service)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_pai.lazy import late_names

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss.hook import OssHook

__all__ = [
    "OssHook",
]

__getattr__ = late_names(
    __name__,
    {
        "OssHook": "hook",
    },
)
