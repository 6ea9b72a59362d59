"""docs/emulator.md names every action that is emulated and, of the APIs that jobs and services need, every other."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

from airflow_provider_pai.emulator.oss.auth import V1_SUBRESOURCES
from airflow_provider_pai.emulator.oss.routes import _MODIFIERS, BUCKET, OBJECT, SERVICE
from airflow_provider_pai.emulator.permissions import ACTIONS

DOCS = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text()
APIS = {
    "DLC 2020-12-03": "alibabacloud_pai_dlc20201203",
    "DSW 2022-01-01": "alibabacloud_pai_dsw20220101",
    "EAS 2021-07-01": "alibabacloud_eas20210701",
    "AIWorkspace 2021-02-04": "",
    "CloudMonitor 2019-01-01": "",
    "STS 2015-04-01": "",
    "RAM 2015-05-01": "",
}


def actions_of(sdk: str) -> set[str]:
    """Return the actions that an SDK can call."""
    source = inspect.getsource(importlib.import_module(f"{sdk}.client"))
    return set(re.findall(r"action\s*=\s*'(\w+)'", source))


def row(name: str) -> list[set[str]]:
    """Return the cells of a row, as sets of words."""
    (line,) = re.findall(rf"^\| {re.escape(name)} \|(.*)\|$", DOCS, re.MULTILINE)
    return [set(re.findall(r"[\w-]+", cell)) for cell in line.split("|")]


@pytest.mark.parametrize(("name", "sdk"), APIS.items())
def test_the_table_of_actions_is_that_of_the_routes(name, sdk):
    has, lacks = row(name)
    assert has == {action for version, action in ACTIONS if version == name.split()[1]}
    assert lacks == (actions_of(sdk) - has if sdk else {"the", "rest"})


def test_the_sub_resources_of_oss_that_are_known_and_refused_are_named():
    operations = {name for _, name in (*SERVICE, *BUCKET, *OBJECT)}
    (lacks,) = row("OSS, sub-resources")
    assert lacks == V1_SUBRESOURCES - _MODIFIERS - operations
