"""Rows of services, and the lists outside Python that have to name each of them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from airflow.providers.common.compat.module_loading import import_string

from airflow_provider_pai import links
from airflow_provider_pai.emulator.permissions import ACTIONS, OSS_BUCKET, OSS_OBJECT, OSS_SERVICE
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.services import SERVICES, path_of

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)


@each_service
def test_the_sdk_is_installed_with_the_provider_and_imported_by_no_module(service):
    distributions = {re.split(r"[<>=~! \[]", text)[0] for text in PROJECT["project"]["dependencies"]}
    tidy = PROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]
    untyped = [name for table in PROJECT["tool"]["mypy"]["overrides"] for name in table["module"]]
    assert service.sdk.replace("_", "-") in distributions
    assert service.sdk in tidy["banned-module-level-imports"]
    assert f"{service.sdk}.*" in untyped


@each_service
def test_the_hook_bears_the_services_name(service):
    hook = import_string(path_of(service.hook))
    assert hook.service == service.name
    assert hook.ping is not PaiHook.ping


@each_service
def test_hosts_are_the_regions(service):
    everywhere_alike = service.name == "ram"
    assert ("{region}" in service.host) is not everywhere_alike
    assert ("{region}" in service.vpc_host) is not everywhere_alike
    assert service.host != service.vpc_host


# Calls of the emulator that the provider never makes.
UNUSED = {"DescribeMetricLast", "GetImage", "ListWorkspaces", "GetCallerIdentity", "RemoveImage"}


@pytest.mark.parametrize(("version", "call"), [key for key in ACTIONS if key[1] not in UNUSED])
def test_the_ram_action_of_a_call_is_that_which_the_emulator_asks_for(version, call):
    assert ACTIONS[version, call] in {service.ram_action(call) for service in SERVICES.values()}


def test_each_call_on_oss_has_a_ram_action_that_the_emulator_knows():
    known = {*OSS_SERVICE.values(), *OSS_BUCKET.values(), *OSS_OBJECT.values()}
    source = "".join(path.read_text() for path in (ROOT / "airflow_provider_pai/hooks/oss").glob("*.py"))
    calls = set(re.findall(r"(?:call|call_for|verified)\(\s*f?\"([A-Z]\w+)", source))
    assert "PutObject" in calls
    assert {SERVICES["oss"].ram_action(call) for call in calls} <= known


@each_service
def test_links_are_there(service):
    assert all(hasattr(links, link) for link in service.links)


@each_service
def test_orphans_are_found_by_tags_and_stopped(service):
    for path in service.orphans:
        hook = import_string(path_of(path))
        assert callable(hook.tagged)
        assert callable(hook.request_stop)
        assert hook.service == service.name


@each_service
def test_its_hosts_stand_in_the_connections_documentation(service):
    row = f"| `{service.name}` | `{service.host}` | `{service.vpc_host}` |"
    assert row in (ROOT / "docs/connection.md").read_text()


def test_every_link_is_a_services():
    named = {link for service in SERVICES.values() for link in service.links}
    assert named == {name for name, one in vars(links).items() if name.endswith("Link") and hasattr(one, "key")}
