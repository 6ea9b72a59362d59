"""Packaging: nobody who installs us has to move what Airflow pins."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = sorted((ROOT / "tests/constraints").glob("airflow-*.txt"))


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.stem)
def test_no_pin_of_airflow_is_in_the_way(path):
    lines = [line.partition("==") for line in path.read_text().splitlines() if not line.startswith("#")]
    pins = {canonicalize_name(name): version for name, _, version in lines}
    asked = map(Requirement, PROJECT["dependencies"] + PROJECT["optional-dependencies"]["emulator"])
    pinned = [(need, pins[name]) for need in asked if (name := canonicalize_name(need.name)) in pins]
    assert len(pinned) > 5
    assert [f"{need}: {pin}" for need, pin in pinned if not need.specifier.contains(pin)] == []


def test_the_versions_in_the_readme_are_those_whose_pins_are_kept():
    readme = (ROOT / "README.md").read_text()
    assert PINS
    assert [path.stem for path in PINS if f"| {path.stem.removeprefix('airflow-')} |" not in readme] == []
