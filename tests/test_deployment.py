"""docs/deployment.md: what it gives to paste is read by those it is for, as far as they are here."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from airflow.cli.cli_parser import get_parser
from airflow.models import Connection
from airflow.providers.common.compat.sdk import conf
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_pai.hooks.dlc import DlcHook

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="the page is written for Airflow 3")

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "deployment.md").read_text()
OVERRIDE = yaml.safe_load((DOCS / "docker-compose.override.yml").read_text())
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
VALUES = [yaml.safe_load(text) for language, text in BLOCKS if language == "yaml"]
(JSON,) = [json.loads(text) for language, text in BLOCKS if language == "json"]
(ENV,) = [
    dict(one.split("=", 1) for one in shlex.split(text, comments=True))
    for language, text in BLOCKS
    if language == "bash"
]
# Parts of Airflow's own Compose file that the override names.
SERVICES = {"airflow-scheduler", "airflow-triggerer", "airflow-worker"}


def options(values):
    return {(section, option) for section, given in values.get("config", {}).items() for option in given}


def test_every_setting_of_airflow_that_is_given_is_one():
    environment = [name for service in OVERRIDE["services"].values() for name in service.get("environment", {})]
    given = {tuple(name.removeprefix("AIRFLOW__").lower().split("__")) for name in environment}
    given |= {one for values in VALUES for one in options(values)}
    assert len(given) == 4
    for section, option in given:
        assert option in conf.configuration_description[section]["options"], f"[{section}] {option}"
    for option in re.findall(r"`(?:\[\w+\] )?([a-z]+_[a-z_]+_(?:threshold|timeout|interval))`", PAGE):
        assert any(option in section["options"] for section in conf.configuration_description.values()), option


def test_the_override_names_services_of_airflows_file_and_the_values_a_secret_for_each_connection():
    assert set(OVERRIDE["services"]) == SERVICES
    (secrets,) = [values["secret"] for values in VALUES if "secret" in values]
    assert {one["envName"] for one in secrets} == {name for name in ENV if name.startswith("AIRFLOW_CONN_")}
    keys = {key for one in secrets for key in (one["secretKey"],)}
    assert keys == set(re.findall(r"--from-(?:file|literal)=(\w+)=", PAGE))


@pytest.mark.parametrize("given", [JSON, json.loads(ENV["AIRFLOW_CONN_PAI_DEFAULT"])])
def test_the_connection_says_what_several_machines_need(given, monkeypatch):
    ledger = given["extra"]["ledger_conn_id"]
    assert f"AIRFLOW_CONN_{ledger.upper()}" in ENV
    assert Connection(uri=ENV[f"AIRFLOW_CONN_{ledger.upper()}"]).conn_type == "postgres"
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(given))
    read = DlcHook().connection
    assert (read.deployment, read.state_uri, read.ledger_conn_id) == tuple(
        given["extra"][name] for name in ("deployment", "state_uri", "ledger_conn_id")
    )


def test_every_command_of_airflow_is_one():
    commands = set(re.findall(r"^    .*?(airflow pai [a-z ]+)$", PAGE, re.MULTILINE))
    assert commands == {"airflow pai ledger migrate", "airflow pai check"}
    for command in commands:
        assert isinstance(get_parser().parse_args(command.split()[1:]), argparse.Namespace)
