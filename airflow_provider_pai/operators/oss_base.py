"""The base of the operators on OSS."""

from __future__ import annotations

from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.base import PaiOperator


class OssOperator(PaiOperator):
    """Base of the operators on OSS."""

    hook_class = OssHook
    ui_color = "#e2ecf5"
