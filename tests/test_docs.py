"""Documentation: everything public stands in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_pai import exceptions
from airflow_provider_pai.get_provider_info import get_provider_info
from tests.public import public_classes

ROOT = Path(__file__).parents[1]
DOCS = "\n".join(path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
INFO = get_provider_info()


OPERATORS = [one.__name__ for kind in ("operators", "sensors") for one in public_classes(kind, BaseOperator)]


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_is_described(name):
    assert f"`{name}`" in DOCS


@pytest.mark.parametrize("name", [entry["name"] for entry in INFO["task-decorators"]])
def test_every_decorator_is_described(name):
    assert f"`@task.{name}" in DOCS


@pytest.mark.parametrize("field", sorted(INFO["connection-types"][0]["conn-fields"]))
def test_every_connection_field_is_described(field):
    assert f"`{field}`" in (ROOT / "docs" / "connection.md").read_text()


ERRORS = [
    name for name, one in vars(exceptions).items() if isinstance(one, type) and one.__module__ == exceptions.__name__
]


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_every_error_is_described(name):
    assert f"`{name}`" in DOCS


PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def test_every_file_named_in_the_documentation_is_there():
    for path in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_no_example_has_a_template_that_a_run_without_a_date_lacks():
    """Airflow 3 defines these for scheduled runs alone; `StrictUndefined` fails the task."""
    dated = re.compile(r"(?<!\| )\b(ts|ds)(_\w+)?\b|logical_date|data_interval")
    for path in (*PAGES, *sorted((ROOT / "example_dags").glob("*.py"))):
        for line in re.findall(r"oss://.*{{.*", path.read_text()):
            found = [template for template in re.findall(r"{{.*?}}", line) if dated.search(template)]
            assert not found, f"{path.name}: {found}"


def test_every_make_target_named_in_the_documentation_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target for path in PAGES for target in re.findall(r"(?:`|^    )make ([a-z-]+)", path.read_text(), re.MULTILINE)
    }
    assert named <= targets
    assert {"demo", "test", "test-fast", "test-all"} <= named


def test_the_map_shows_every_room_of_the_package_and_no_other():
    package, text = ROOT / "airflow_provider_pai", (ROOT / "CONTRIBUTING.md").read_text().partition("\n## Recipes")[0]
    rows = "".join(re.findall(r"^\|([^|]+)\|", text.partition("\n## How")[0], re.MULTILINE))
    rooms = {path.stem for path in package.iterdir() if not path.name.startswith("__") and path.name != "py.typed"}
    assert {name.partition("/")[0] for name in re.findall(r"`([^`]+)`", rows)} == rooms
    files = re.findall(r"`((?:\w+/)*\w+\.py)`", text)
    assert [name for name in files if not ((package / name).exists() or (ROOT / name).exists())] == []
