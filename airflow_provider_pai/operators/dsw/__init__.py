"""Operators for DSW: notebooks and commands on instances, and the instances themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_pai.lazy import late_names

if TYPE_CHECKING:
    from airflow_provider_pai.operators.dsw.creation import DswCreateInstanceOperator
    from airflow_provider_pai.operators.dsw.images import DswRegisterImageOperator
    from airflow_provider_pai.operators.dsw.instances import (
        DswDeleteInstanceOperator,
        DswStartInstanceOperator,
        DswStopInstanceOperator,
    )
    from airflow_provider_pai.operators.dsw.runs import DswRunCommandOperator, DswRunNotebookOperator

__all__ = [
    "DswCreateInstanceOperator",
    "DswDeleteInstanceOperator",
    "DswRegisterImageOperator",
    "DswRunCommandOperator",
    "DswRunNotebookOperator",
    "DswStartInstanceOperator",
    "DswStopInstanceOperator",
]

__getattr__ = late_names(
    __name__,
    {
        "DswCreateInstanceOperator": "creation",
        "DswDeleteInstanceOperator": "instances",
        "DswRegisterImageOperator": "images",
        "DswRunCommandOperator": "runs",
        "DswRunNotebookOperator": "runs",
        "DswStartInstanceOperator": "instances",
        "DswStopInstanceOperator": "instances",
    },
)
