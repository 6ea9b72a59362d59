"""Report of the demo, read back at its end: build/demo/report.json and the table of all versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from demo.progress import table

Json = dict[str, Any]

_DEPLOYMENT = ("group", "service", "outcome", "reason", "steps")
_ENDINGS = ("deployed", "promoted", "rolled_back", "skipped", "gate_failed")


@dataclass
class Report:
    """The content of report.json."""

    nights: list[Json] = field(default_factory=list)
    backfill: Json = field(default_factory=lambda: {"runs": 0, "trained": 0, "deployed": 0})
    traffic: Json = field(default_factory=lambda: {"requests": 0, "failed": 0, "failed_outside_canary": 0})
    served: Json = field(default_factory=lambda: {"version": None, "accuracy": None, "samples": 0})
    seconds: Json = field(default_factory=lambda: {"setup": 0, "demo": 0})

    def add_night(self, run: Json, model: Json, deployment: Json) -> None:
        """Add a run as Airflow's API gave it."""
        self.nights.append(
            {
                "run_id": run["dag_run_id"],
                "logical_date": run["logical_date"],
                "state": run["state"],
                "job_id": model["job"]["id"],
                "model": model,
                "deployment": {name: deployment.get(name) for name in _DEPLOYMENT},
            }
        )

    def write(self, path: Path) -> None:
        """Write the file."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def versions(rows: list[Any], costs: Mapping[str, float]) -> str:
    """Return the table of all versions.

    :param rows: rows of the audit ledger, in their order.
    :param costs: instance hours by version.
    """
    models: dict[str, Json] = {}
    endings: dict[str, str] = {}
    for row in rows:
        if row.kind == "artifact_produced":
            models[row.version] = json.loads(row.payload)
        elif row.kind in _ENDINGS:
            endings[row.version] = row.kind
    heads = ("version", "data interval (UTC)", "commit", "job", "accuracy", "digest", "cost", "outcome")
    lines = [(models[version], costs.get(version, 0.0), endings.get(version, "kept")) for version in sorted(models)]
    return table(heads, [_line(*line) for line in lines])


def _line(model: Json, hours: float, outcome: str) -> tuple[object, ...]:
    interval = model["data_interval"]
    return (
        model["version"],
        f"{interval['start'][:16]} - {interval['end'][:16]}".replace("T", " "),
        model["code"]["commit"][:10],
        model["job"]["id"],
        f"{model['metrics']['accuracy']:.4f}",
        model["digest"][:19],
        f"{3600 * hours:.0f} instance s",
        outcome.replace("_", " "),
    )
