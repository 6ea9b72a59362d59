"""mypy --strict over a user's DAG files: every mistake of theirs is found, and nothing of ours."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from release.conftest import ROOT

# The first time mypy reads all of Airflow.
pytestmark = pytest.mark.timeout(600)
DAGS = Path(__file__).with_name("dags")


@pytest.fixture(scope="module")
def found(installed: Path) -> set[tuple[str, int, str]]:
    """What mypy says of the DAG files, in a folder from where it sees nothing else of ours: file, line, code."""
    dags = shutil.copytree(DAGS, ROOT / "build" / "user" / "dags")
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", installed, "--config-file="]
    command += ["--cache-dir", ROOT / ".mypy_cache" / "user", "--show-error-codes", "--hide-error-context", dags]
    said = subprocess.run(command, cwd=dags, capture_output=True, text=True, check=False)
    lines = [line for line in said.stdout.splitlines() if ": note:" not in line]
    return {(Path(path).name, int(line), code) for path, line, code in map(parts, lines[:-1])}


def parts(line: str) -> tuple[str, str, str]:
    match = re.fullmatch(r"(.+?):(\d+): error: .* \[([\w-]+)\]", line)
    assert match, line
    return match[1], match[2], match[3]


def test_a_right_dag_file_has_nothing_to_mend(found):
    assert {one for one in found if one[0] != "wrong.py"} == set()


def test_every_mistake_is_found_where_it_stands(found):
    lines = enumerate((DAGS / "wrong.py").read_text().splitlines(), 1)
    meant = {("wrong.py", number, mark[1]) for number, line in lines if (mark := re.search(r"# ([\w-]+)$", line))}
    assert {one for one in found if one[0] == "wrong.py"} == meant
    assert meant
