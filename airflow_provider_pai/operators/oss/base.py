"""The base of the operators on OSS."""

from __future__ import annotations

from airflow_provider_pai.operators.base import PaiOperator


class OssOperator(PaiOperator):
    """Base of the operators on OSS."""

    hook_path = "airflow_provider_pai.hooks.oss.OssHook"
    ui_color = "#e2ecf5"
