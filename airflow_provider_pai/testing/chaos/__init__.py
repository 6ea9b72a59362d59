"""Bad nights: your own DAG file on a real Airflow and the emulator, while everything breaks that may break.

`python -m airflow_provider_pai.testing.chaos FILE` from a shell, `play` from a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_pai.lazy import late_names

if TYPE_CHECKING:
    from airflow_provider_pai.testing.chaos.evening import play
    from airflow_provider_pai.testing.chaos.given import NIGHTS, Given
    from airflow_provider_pai.testing.chaos.report import Report
    from airflow_provider_pai.testing.chaos.rules import Defect

__all__ = ["NIGHTS", "Defect", "Given", "Report", "play"]

__getattr__ = late_names(
    __name__,
    {"Defect": "rules", "Given": "given", "NIGHTS": "given", "Report": "report", "play": "evening"},
)
