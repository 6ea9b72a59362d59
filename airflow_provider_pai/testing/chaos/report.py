"""Report of an evening, for people and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from airflow_provider_pai.testing.chaos.rules import Defect, Evening

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Findings and figures of bad nights.

    :param actions: the RAM actions that were asked for: what a policy has to allow.
    """

    dag_id: str
    findings: list[Defect]
    nights: list[Json]
    requests: int
    failed_requests: int
    actions: list[str]
    seconds: float

    @classmethod
    def of(cls, dag_id: str, evening: Evening, findings: list[Defect], **figures: Any) -> Report:
        """Count."""
        calm = evening.calm
        nights = [
            {
                "night": night.name,
                "state": night.state,
                "seconds": night.seconds,
                "paid": night.paid.total(),
                "expected": (calm or night).paid.total() + len(night.evicted),
                "left_running": len(night.left),
                "killed": night.killed,
                "evicted": night.evicted,
            }
            for night in evening.nights
        ]
        return cls(dag_id=dag_id, findings=findings, nights=nights, failed_requests=len(evening.failed), **figures)

    @property
    def is_clean(self) -> bool:
        """Tell whether nothing was found."""
        return not self.findings

    def to_json(self) -> str:
        """Return everything."""
        return json.dumps({**vars(self), "findings": [finding._asdict() for finding in self.findings]}, indent=1)

    def __str__(self) -> str:
        """Return what a person reads: findings first."""
        told = [str(finding) for finding in self.findings] or [f"{self.dag_id}: nothing found"]
        told += [
            f"  {night['night']:<9} {night['state']}, {night['seconds']:.0f} s; paid for {night['paid']}, "
            f"expected {night['expected']}; {night['left_running']} left running"
            for night in self.nights
        ]
        told.append(f"  live traffic: {self.requests} requests, {self.failed_requests} failed without reason")
        told.append(f"  RAM actions: {' '.join(self.actions) or 'none'}")
        return "\n".join(told)
