"""The module in which this Airflow has its DagBag."""

from __future__ import annotations

from importlib.util import find_spec

# Since 3.2 in a place of its own.
MODULE = "airflow.dag_processing.dagbag" if find_spec("airflow.dag_processing.dagbag") else "airflow.models.dagbag"
