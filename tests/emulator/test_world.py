"""Switches of what no document tells: read, turned and refused; the file of facts."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
import requests

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.emulator.__main__ import main
from airflow_provider_pai.emulator.world import World
from tests.emulator.pai_sdk import control

DOCS = Path(__file__).parents[2] / "docs" / "emulator.md"


def test_each_switch_has_another_position_and_says_what_it_stands_for():
    for switch in fields(World):
        default, *others = switch.metadata["allowed"]
        assert switch.default == default
        assert others
        assert switch.metadata["says"].endswith(".")


def test_the_documentation_names_each_switch_and_its_positions():
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    for switch in fields(World):
        (row,) = [row for row in rows if row.startswith(f"| `{switch.name}` |")]
        for position in switch.metadata["allowed"]:
            assert f"`{position}`" in row


def test_switches_are_turned_while_it_runs(tmp_path):
    with Emulator(tmp_path, world={"eas_merge": "top"}) as pai:
        assert control(pai, "world", {"dlc_list_days": 7})["eas_merge"] == "top"
        assert pai.account.world.dlc_list_days == 7
        url = f"{pai.endpoints.endpoint_url}/_emulator/world"
        refused = requests.post(url, json={"dlc_list_days": 8}, timeout=5)
        assert refused.status_code == 400
        assert refused.json() == {"error": "dlc_list_days: 8 is not one of 0, 30, 7"}
        assert requests.delete(url, timeout=5).json() == World().to_dict()


@pytest.mark.parametrize("changes", [{"eas_merge": "flat"}, {"flat": 1}, {"dlc_list_page": True}, {"eas_merge": None}])
def test_a_position_that_there_is_not(changes):
    (name,) = changes
    with pytest.raises(ValueError, match=name):
        World().changed(changes)


def facts(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_facts_become_a_world(tmp_path):
    path = facts(
        tmp_path / "facts.json", {"version": 1, "facts": {"dsw_user": "user"}, "seen": {"dsw_user": "uid 1000"}}
    )
    assert World.of_facts(path) == World(dsw_user="user")


@pytest.mark.parametrize(
    "content", [{"version": 2, "facts": {}}, {"facts": {}}, [], {"version": 1}, {"version": 1, "facts": {"x": 1}}]
)
def test_other_facts_are_refused_before_anything_starts(tmp_path, capsys, content):
    path = facts(tmp_path / "facts.json", content)
    assert main(["--facts", str(path), "--data", str(tmp_path / "data")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "data").exists()
