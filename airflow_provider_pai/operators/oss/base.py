"""Base of the operators on OSS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_pai.operators.base import PaiOperator

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss import OssHook


class OssOperator(PaiOperator["OssHook"]):
    """Base of the operators on OSS."""

    ui_color = "#e2ecf5"

    @property
    def hook_class(self) -> type[OssHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.oss import OssHook

        return OssHook
