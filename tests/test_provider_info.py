"""Provider metadata: what Airflow discovers is there, imports, and costs nothing to parse."""

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
from airflow_provider_pai.hooks.connection import _READERS
from airflow_provider_pai.services import SERVICES
from tests.public import named_modules, public_classes

INFO = get_provider_info()
KINDS = ("operators", "sensors", "hooks", "triggers")


PACKAGES = [f"{kind}.{service}" for kind in ("hooks", "operators") for service in ("dlc", "eas", "oss")]

# A public class is named after its service; what is not is a base.
PREFIXES = ("Model", "ObjectStorage", *(name.capitalize() for name in SERVICES))


def test_fits_airflows_schema():
    schema = json.loads((resources.files("airflow") / "provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)


@pytest.mark.parametrize("module", sorted({module for kind in KINDS for module in named_modules(kind)}))
def test_every_named_module_imports(module):
    importlib.import_module(module)


@pytest.mark.parametrize(("kind", "base"), [("operators", BaseOperator), ("sensors", BaseSensorOperator)])
def test_every_module_with_a_public_class_is_named(kind, base):
    package = importlib.import_module(f"airflow_provider_pai.{kind}")
    found = set()
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        classes = inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        own = [one for _, one in classes if one.__module__ == module.name and issubclass(one, base)]
        own = [] if module.name.endswith(".base") else own
        found |= {one for one in own if one.__name__.startswith(PREFIXES) and not inspect.isabstract(one)}
    assert found == set(public_classes(kind, base))


@pytest.mark.parametrize(
    "package", ["operators.dlc", "operators.eas", "operators.oss", "hooks.dlc", "hooks.eas", "hooks.oss"]
)
def test_a_package_hands_on_its_modules_names(package):
    module = importlib.import_module(f"airflow_provider_pai.{package}")
    assert module.__all__ == sorted(module.__all__)
    assert all(getattr(module, name).__module__.startswith(f"{module.__name__}.") for name in module.__all__)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        module.nothing_of_the_kind  # noqa: B018


def test_the_connections_fields_are_those_that_are_read():
    (connection,) = INFO["connection-types"]
    fields = connection["conn-fields"]
    assert fields.keys() | {"access_key_id", "access_key_secret"} == _READERS.keys()
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
        named_modules("operators")
        | named_modules("sensors")
        | {"airflow_provider_pai.links", "airflow_provider_pai.decorators.dlc"}
    )
    code = (
        "import sys, importlib\n"
        f"modules = [importlib.import_module(m) for m in {public}]\n"
        "[getattr(m, name) for m in modules for name in getattr(m, '__all__', ())]\n"
        "sdks = ('alibabacloud', 'oss2', 'Tea', 'darabonba')\n"
        "print([m for m in sys.modules if m.startswith(sdks)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_version_is_written_once():
    assert airflow_provider_pai.__version__.count(".") == 2


def test_what_only_a_running_task_needs_is_not_imported_with_the_operators():
    late = ("artifact", "canary", "hooks.connection", "hooks.oss.folder", "manifests", "metrics", "rollouts.lease")
    names = sorted(set().union(*map(named_modules, KINDS)))
    code = (
        f"import sys, importlib\nmodules = [importlib.import_module(m) for m in {names}]\n"
        "[getattr(m, name) for m in modules if 'hooks' not in m.__name__ for name in getattr(m, '__all__', ())]\n"
        "print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ast.literal_eval(done.stdout.strip().splitlines()[-1])
    assert [name for name in late if f"airflow_provider_pai.{name}" in loaded] == []
