"""`make demo` and `make ui`: five nights on a real Airflow and the embedded PAI."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "demo"
