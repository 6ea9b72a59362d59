"""One version, told the same everywhere."""

from __future__ import annotations

import re

from airflow_provider_pai import __version__
from release.conftest import ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
NEWEST = re.search(r"^## (\S+) \((.+)\)\n(.*?)(?=^## |\Z)", CHANGELOG, re.MULTILINE | re.DOTALL)


def test_the_archives_bear_the_version(wheel, source):
    assert wheel.name.split("-")[1] == __version__
    assert source.name == f"airflow_provider_pai-{__version__}.tar.gz"


def test_the_changelog_begins_with_the_version_and_tells_something():
    version, day, told = NEWEST.groups()
    assert version == __version__
    assert re.fullmatch(r"unreleased|\d{4}-\d\d-\d\d", day)
    assert re.search(r"^- ", told, re.MULTILINE)
