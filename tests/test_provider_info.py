"""What Airflow discovers of the provider is there, imports, and costs nothing to parse."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from importlib import resources

import jsonschema
import pytest
from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator

import airflow_provider_pai
from airflow_provider_pai.get_provider_info import get_provider_info
from airflow_provider_pai.hooks.connection import AUTH_KINDS, NETWORKS, SERVICES

INFO = get_provider_info()
KINDS = ("operators", "sensors", "hooks", "triggers")


def modules(kind):
    return {module for entry in INFO.get(kind, []) for module in entry["python-modules"]}


def test_fits_airflows_schema():
    schema = json.loads((resources.files("airflow") / "provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)


@pytest.mark.parametrize("module", sorted({module for kind in KINDS for module in modules(kind)}))
def test_every_named_module_imports(module):
    importlib.import_module(module)


@pytest.mark.parametrize(("kind", "base"), [("operators", BaseOperator), ("sensors", BaseSensorOperator)])
def test_every_module_with_a_public_class_is_named(kind, base):
    package = importlib.import_module(f"airflow_provider_pai.{kind}")
    found = set()
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        classes = inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        own = [one for _, one in classes if one.__module__ == module.name and issubclass(one, base)]
        if any(not one.__name__.startswith("_") and not inspect.isabstract(one) for one in own):
            found.add(module.name)
    bases = ("base", "oss_base", "workload", "rollout", "service", "eas_wait")
    abstract = {f"airflow_provider_pai.operators.{name}" for name in bases}
    assert found - abstract == modules(kind)


def test_the_connections_fields_are_those_that_are_read():
    (connection,) = INFO["connection-types"]
    fields = connection["conn-fields"]
    assert {f"{service}_endpoint" for service in SERVICES} <= set(fields)
    assert set(fields["auth"]["schema"]["enum"]) - {None} == set(AUTH_KINDS)
    assert set(fields["network"]["schema"]["enum"]) - {None} == set(NETWORKS)
    secret = {name for name, field in fields.items() if field["schema"].get("format") == "password"}
    assert secret == {"security_token"}


def test_links_and_hook_import():
    paths = [*INFO["extra-links"], *(entry["hook-class-name"] for entry in INFO["connection-types"])]
    for path in paths:
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name)


def test_decorators_are_callable_where_they_are_named():
    for entry in INFO["task-decorators"]:
        module, _, name = entry["class-name"].rpartition(".")
        assert callable(getattr(importlib.import_module(module), name))


def test_airflow_finds_the_provider():
    from airflow.providers_manager import ProvidersManager

    assert "airflow-provider-pai" in ProvidersManager().providers


def test_parsing_a_dag_file_imports_no_sdk():
    public = sorted(
        modules("operators")
        | modules("sensors")
        | {"airflow_provider_pai.links", "airflow_provider_pai.decorators.dlc"}
    )
    code = (
        "import sys, importlib\n"
        f"[importlib.import_module(m) for m in {public}]\n"
        "sdks = ('alibabacloud', 'oss2', 'Tea', 'darabonba')\n"
        "print([m for m in sys.modules if m.startswith(sdks)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_version_is_written_once():
    assert airflow_provider_pai.__version__.count(".") == 2


def test_what_only_a_running_task_needs_is_not_imported_with_the_operators():
    late = ("artifact", "canary", "metrics", "hooks.connection", "hooks.artifacts", "hooks.lease", "hooks.oss_folder")
    names = sorted(set().union(*map(modules, KINDS)))
    code = f"import sys, importlib; [importlib.import_module(name) for name in {names}]; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ast.literal_eval(done.stdout.strip().splitlines()[-1])
    assert [name for name in late if f"airflow_provider_pai.{name}" in loaded] == []
