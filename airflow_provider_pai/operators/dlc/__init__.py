"""Operators for DLC: jobs and TensorBoards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_pai.lazy import late_names

if TYPE_CHECKING:
    from airflow_provider_pai.operators.dlc.jobs import DlcSubmitJobOperator
    from airflow_provider_pai.operators.dlc.stop import DlcStopJobOperator
    from airflow_provider_pai.operators.dlc.tensorboards import DlcStartTensorBoardOperator, DlcStopTensorBoardOperator

__all__ = [
    "DlcStartTensorBoardOperator",
    "DlcStopJobOperator",
    "DlcStopTensorBoardOperator",
    "DlcSubmitJobOperator",
]

__getattr__ = late_names(
    __name__,
    {
        "DlcStartTensorBoardOperator": "tensorboards",
        "DlcStopJobOperator": "stop",
        "DlcStopTensorBoardOperator": "tensorboards",
        "DlcSubmitJobOperator": "jobs",
    },
)
