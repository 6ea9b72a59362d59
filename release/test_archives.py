"""The wheel and the source archive: what they hold, and what they say of themselves."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

from release.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def tracked(*folders: str) -> set[str]:
    found = subprocess.run(["git", "ls-files", "-z", *folders], cwd=ROOT, check=True, capture_output=True, text=True)
    return set(filter(None, found.stdout.split("\0")))


@pytest.fixture(scope="session")
def about(wheel: Path) -> Message:
    """The wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(name).decode())


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert files == tracked("airflow_provider_pai")
    assert "airflow_provider_pai/py.typed" in files


def test_the_source_archive_holds_the_repository(source):
    with tarfile.open(source) as archive:
        files = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert files == tracked() | {"PKG-INFO"}


def test_an_index_takes_both_archives(wheel, source):
    uvx = Path(sys.executable).with_name("uvx")
    subprocess.run([uvx, "--quiet", "twine", "check", "--strict", wheel, source], check=True)


def test_airflow_finds_the_provider(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        assert "[apache_airflow_provider]" in archive.read(name).decode()


def test_the_classifiers_name_airflow_and_each_python(about):
    named = about.get_all("Classifier")
    assert {"Framework :: Apache Airflow", "Framework :: Apache Airflow :: Provider", "Typing :: Typed"} <= set(named)


def test_the_page_on_an_index_leads_nowhere_that_is_not_there(about):
    links = re.findall(r"\]\(([^)]+)\)", about.get_payload())
    assert [link for link in links if not re.match(r"https?://|#", link)] == []


def test_every_upper_bound_has_its_reason():
    """A bound that nobody needs keeps people from a fixed version."""
    bounds = [
        line for line in (ROOT / "pyproject.toml").read_text().splitlines() if re.search(r'^\s*"[\w.-]+.*<', line)
    ]
    assert [line for line in bounds if "#" not in line] == []
