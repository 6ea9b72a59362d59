"""CONTRIBUTING's recipe for a service, followed word by word in a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
RECIPE = (ROOT / "CONTRIBUTING.md").read_text().partition("### Add a service")[2]
COPIED = ("airflow_provider_pai", "benchmarks", "demo", "docs", "docs_site", "example_dags", "tests")
CACHES = (".mypy_cache", ".ruff_cache", ".import_linter_cache")
CONTRACTS = (
    *("test_provider_info", "test_house", "test_services"),
    *("docs/test_pages", "docs/test_reference", "operators/test_flow"),
)


class Block(NamedTuple):
    """One block of the recipe."""

    path: str
    place: str
    """`new`, `at its end`, or `below …` a line."""
    text: str


def blocks() -> Iterator[Block]:
    for match in re.finditer(r"^`([^`]+)`, ([^\n]+):\n\n```\w+\n(.*?)^```$", RECIPE, re.MULTILINE | re.DOTALL):
        yield Block(*match.groups())


def carry_out(block: Block, root: Path) -> None:
    """Do with a file what a reader of the recipe would."""
    path = root / block.path
    if block.place == "new":
        path.parent.mkdir(exist_ok=True)
        assert not path.exists()
        path.write_text(block.text)
    elif block.place == "at its end":
        path.write_text(path.read_text() + block.text)
    else:
        put_below(path, block)


def put_below(path: Path, block: Block) -> None:
    how, anchor = re.fullmatch(r"below (the line that begins with )?`+ ?(.+?) ?`+", block.place).groups()
    lines = path.read_text().splitlines(keepends=True)
    fits = str.startswith if how else lambda line, anchor: line.strip() == anchor.strip()
    (number,) = [number for number, line in enumerate(lines, start=1) if fits(line, anchor)]
    path.write_text("".join([*lines[:number], block.text, *lines[number:]]))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree in which somebody has added the service; caches make mypy and lint-imports quick."""
    root = tmp_path_factory.mktemp("recipe")
    for name in (*COPIED, *CACHES):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy2(path, root)
    for block in blocks():
        carry_out(block, root)
    return root


BIN = Path(sys.executable).parent
CHECKS = {
    "ruff": [BIN / "ruff", "check", "."],
    "format": [BIN / "ruff", "format", "--check", "."],
    "mypy": [BIN / "mypy"],
    "lint-imports": [BIN / "lint-imports"],
    "contracts": [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *(f"tests/{name}.py" for name in CONTRACTS),
    ],
}


@pytest.mark.parametrize("check", CHECKS)
def test_a_service_that_is_added_by_the_recipe_passes(tree, check):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        CHECKS[check],
        cwd=tree,
        env={**environment, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
