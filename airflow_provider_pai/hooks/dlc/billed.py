"""Bill of a DLC job, as its answer tells it: which nodes, from when on, until when.

Page "Billing for DLC": nodes times price by 60 times runtime in minutes, until the job has ended or is Stopped. Nodes
of a quota are paid by subscription.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_pai.costs import QUOTA
from airflow_provider_pai.hooks.answers import JsonText
from airflow_provider_pai.remote import Json

BILLED: dict[str, Any] = {
    "GmtRunningTime": str,
    "GmtFinishTime": str,
    "ResourceId": str,
    "JobSpecs": [
        {
            "EcsSpec": str,
            "PodCount": JsonText(int),
            "UseSpotInstance": bool,
            "SpotSpec": {"SpotStrategy": str},
        }
    ],
}
"""Shape of what is read."""


def job_usage(job: Json) -> Json:
    """Return it as `costs.Usage` has it."""
    quota = job.get("ResourceId")
    nodes = [
        {
            "type": f"{QUOTA}{quota}" if quota else spec.get("EcsSpec") or "unknown",
            "count": int(spec.get("PodCount") or 0),
            "spot": bool(spec.get("UseSpotInstance") or (spec.get("SpotSpec") or {}).get("SpotStrategy")),
        }
        for spec in job.get("JobSpecs") or ()
    ]
    return {"nodes": nodes, "began": job.get("GmtRunningTime") or "", "ended": job.get("GmtFinishTime") or ""}
