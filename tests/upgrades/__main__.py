"""Command that freezes the records of the current version."""

from __future__ import annotations

import json
from pathlib import Path

import airflow_provider_pai
from tests.upgrades.records import KINDS

FOLDER = Path(__file__).parent


def main() -> None:
    """Write a file for each kind of record."""
    release = FOLDER / airflow_provider_pai.__version__
    release.mkdir(exist_ok=True)
    for path in release.glob("*.json"):
        path.unlink()
    for name, kind in KINDS.items():
        record = json.loads(json.dumps(kind.make()))
        frozen = {"schema": kind.schema.number if kind.schema else None, "record": record, "means": kind.read(record)}
        (release / f"{name}.json").write_text(json.dumps(frozen, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
