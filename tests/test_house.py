"""House rules that can be counted."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = [ROOT / name for name in ("airflow_provider_pai", "tests", "benchmarks", "demo", "example_dags")]
SOURCES = {path: path.read_text() for folder in PROJECT for path in folder.rglob("*.py")}


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_formatter_has_the_last_word():
    directive = re.compile(r"#\s*fmt:\s*(skip|off)")
    assert [short(path) for path, text in SOURCES.items() if directive.search(text)] == []
