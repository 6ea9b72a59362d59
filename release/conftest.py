"""Fixtures about the two archives in dist/, which `make wheel` has built."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The wheel."""
    return the_one("*.whl")


@pytest.fixture(scope="session")
def source() -> Path:
    """The source archive."""
    return the_one("*.tar.gz")


def the_one(pattern: str) -> Path:
    """Return the only file in dist/ of a pattern."""
    (found,) = (ROOT / "dist").glob(pattern)
    return found


@pytest.fixture(scope="session")
def installed(wheel: Path) -> Path:
    """A Python that has the wheel as a user has it, and borrows all else from the one that runs the tests.

    Always in the same place: mypy keeps what it has found out about all else.
    """
    folder = ROOT / "build" / "user"
    uv("venv", "--quiet", "--clear", "--python", sys.executable, folder)
    python = folder / "bin" / "python"
    uv("pip", "install", "--quiet", "--no-deps", "--python", python, wheel)
    (site,) = folder.glob("lib/*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return python


def uv(*arguments: object) -> None:
    subprocess.run([Path(sys.executable).with_name("uv"), *map(str, arguments)], check=True)
