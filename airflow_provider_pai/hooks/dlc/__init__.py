"""Hooks for DLC (Deep Learning Containers): jobs and TensorBoards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_pai.lazy import late_names

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.dlc.jobs import DlcHook
    from airflow_provider_pai.hooks.dlc.tensorboards import TensorBoardHook

__all__ = [
    "DlcHook",
    "TensorBoardHook",
]

__getattr__ = late_names(
    __name__,
    {
        "DlcHook": "jobs",
        "TensorBoardHook": "tensorboards",
    },
)
