"""docs/deployment.md and the Compose file beside it: what they set is Airflow's, and fits together."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml
from airflow.providers.common.compat.sdk import BaseHook, conf

from tests.docs.blocks import BLOCKS, ROOT

PAGE = ROOT / "docs" / "deployment.md"
OVERRIDE = yaml.safe_load((PAGE.parent / "docker-compose.override.yml").read_text())
MINE = [block for block in BLOCKS if block.page == PAGE]
VALUES = [yaml.safe_load(block.text) for block in MINE if block.language == "yaml"]
(ENV,) = [
    dict(word.split("=", 1) for word in shlex.split(block.text)) for block in MINE if "AIRFLOW_UID=" in block.text
]
CONNECTIONS = {name for name in ENV if name.startswith("AIRFLOW_CONN_")}


def settings():
    """Yield each setting of Airflow that is given, by section and option."""
    for service in OVERRIDE["services"].values():
        for name in service.get("environment", {}):
            yield tuple(name.removeprefix("AIRFLOW__").lower().split("__"))
    for values in VALUES:
        yield from ((section, option) for section, given in values.get("config", {}).items() for option in given)


@pytest.mark.parametrize("setting", sorted(set(settings())))
def test_a_setting_is_one_of_airflows(setting):
    section, option = setting
    assert option in conf.configuration_description[section]["options"]


@pytest.mark.parametrize(
    "option", re.findall(r"`([a-z_]+_(?:threshold|timeout|interval))`", PAGE.read_text()), ids=lambda option: option
)
def test_an_option_in_the_text_is_one_of_airflows(option):
    assert any(option in section["options"] for section in conf.configuration_description.values())


def test_every_connection_has_its_secret_and_the_ledgers_is_a_servers(monkeypatch):
    (secrets,) = [values["secret"] for values in VALUES if "secret" in values]
    assert {one["envName"] for one in secrets} == CONNECTIONS
    assert {one["secretKey"] for one in secrets} == set(re.findall(r"--from-\w+=(\w+)=", PAGE.read_text()))
    asked = set(re.findall(r'"ledger_conn_id": "(\w+)"', PAGE.read_text()))
    assert {f"AIRFLOW_CONN_{conn_id.upper()}" for conn_id in asked} < CONNECTIONS
    monkeypatch.setenv("AIRFLOW_CONN_PAI_LEDGER", ENV["AIRFLOW_CONN_PAI_LEDGER"])
    assert BaseHook.get_connection("pai_ledger").conn_type in {"postgres", "mysql"}


def test_parts_that_may_be_two_are_two():
    given = {name.removeprefix("airflow-"): service["deploy"] for name, service in OVERRIDE["services"].items()}
    assert given == {part: {"replicas": 2} for part in ("scheduler", "triggerer", "worker")}
