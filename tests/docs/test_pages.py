"""Pages of the documentation: what is public stands in them, and what they name is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_pai import exceptions
from airflow_provider_pai.get_provider_info import get_provider_info
from airflow_provider_pai.ledger import LedgerError
from tests.docs.blocks import FENCE, PAGES, ROOT

DOCS = ROOT / "docs"
EVERY = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("field", sorted(get_provider_info()["connection-types"][0]["conn-fields"]))
def test_every_connection_field_is_described(field):
    assert f"`{field}`" in (DOCS / "connection.md").read_text()


TROUBLES = (DOCS / "troubleshooting.md").read_text()
ERRORS = [one for one in vars(exceptions).values() if isinstance(one, type) and one.__module__ == exceptions.__name__]


@pytest.mark.parametrize("error", [*ERRORS, LedgerError], ids=lambda one: one.__name__)
def test_every_error_has_its_section(error):
    assert re.search(rf"^##+ `{error.__name__}`$", TROUBLES, re.MULTILINE)


def test_every_text_of_an_error_is_one_that_the_code_says():
    """In tables: what stands in the first column, `…` for what differs, is in a text of the package."""
    texts = "\n".join(_texts(ROOT / "airflow_provider_pai"))
    ours = TROUBLES.partition("\n## `PaiConfigError`")[2].partition("\n## How")[0]
    quoted = [
        code for row in re.findall(r"^\| (`[^|]*) \|", ours, re.MULTILINE) for code in re.findall(r"`([^`]+)`", row)
    ]
    pieces = {piece.strip() for code in quoted for piece in code.split("…") if len(piece.strip()) > 3}
    assert len(quoted) > 40
    assert [piece for piece in sorted(pieces) if piece not in texts] == []


def _texts(folder: Path) -> Iterator[str]:
    """Yield the texts of the code, formatted ones as `…` has it."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(each.value if isinstance(each, ast.Constant) else "…" for each in node.values)


def test_every_file_named_in_the_documentation_is_there():
    for path in EVERY:
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", prose(path)):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def prose(path: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^( *)```.*?^\1```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_a_list_or_a_table_begins_behind_an_empty_line():
    """Git hosts show it all the same; the site makes it a part of the paragraph before."""
    begins, wrong = re.compile(r"(- |\d+\. |\|)"), []
    for path in PAGES:
        before, fenced = "", False
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            fenced ^= bool(FENCE.match(line))
            if not fenced and begins.match(line) and before and not begins.match(before) and before[0] not in " `":
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line[:60]}")
            # What goes on with a list's item is no paragraph.
            before = before if before and begins.match(before) and line.strip() else line
    assert not wrong, "\n".join(wrong)


def test_every_page_has_a_place_in_the_navigation():
    """MkDocs itself says so, but only where `make docs` is run."""
    nav = (ROOT / "mkdocs.yml").read_text()
    missing = [path for path in DOCS.rglob("*.md") if f" {path.relative_to(DOCS).as_posix()}\n" not in nav]
    assert not missing, f"mkdocs.yml names no {', '.join(str(path.relative_to(DOCS)) for path in missing)}"


def test_no_example_has_a_template_that_a_run_without_a_date_lacks():
    """Airflow 3 defines these for scheduled runs alone; `StrictUndefined` fails the task."""
    dated = re.compile(r"(?<!\| )\b(ts|ds)(_\w+)?\b|logical_date|data_interval")
    for path in (*EVERY, *sorted((ROOT / "example_dags").glob("*.py"))):
        for line in re.findall(r"oss://.*{{.*", path.read_text()):
            found = [template for template in re.findall(r"{{.*?}}", line) if dated.search(template)]
            assert not found, f"{path.name}: {found}"


def test_the_map_shows_every_room_of_the_package_and_no_other():
    package, text = ROOT / "airflow_provider_pai", (DOCS / "architecture.md").read_text()
    rows = "".join(re.findall(r"^\|([^|]+)\|", text, re.MULTILINE))
    rooms = {path.stem for path in package.iterdir() if not path.name.startswith("__") and path.name != "py.typed"}
    assert {name.partition("/")[0] for name in re.findall(r"`([^`]+)`", rows)} == rooms
    files = re.findall(r"`((?:\w+/)*\w+\.py)`", text)
    assert [name for name in files if not ((package / name).exists() or (ROOT / name).exists())] == []
