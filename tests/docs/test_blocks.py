"""Blocks of code in the documentation: each is read in its language, and what it names is there."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
import subprocess
import tomllib
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
import yaml
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_pai.get_provider_info import get_provider_info
from airflow_provider_pai.hooks.connection import PaiConnection
from docs_site.commands import parser_of
from tests.conftest import oss_bucket
from tests.dag_bag import MODULE
from tests.docs.blocks import BLOCKS, PAGES, ROOT, TRANSLATIONS, Block, blocks_of, unfenced
from tests.public import public_classes


def in_language(*names: str) -> list[Any]:
    return [pytest.param(block, id=block.place) for block in BLOCKS if block.language in names]


def test_every_block_names_its_language():
    known = {*READERS, "text", "ini", "sql"}
    wrong = [f"{block.place}: {block.language or 'no language'}" for block in BLOCKS if block.language not in known]
    wrong += [f"{page.relative_to(ROOT)}:{line}: fence it" for page in PAGES for line in unfenced(page)]
    assert not wrong, f"a block is fenced and is one of {', '.join(sorted(known))}:\n" + "\n".join(wrong)


@pytest.mark.parametrize("page", TRANSLATIONS, ids=lambda page: page.name)
def test_a_translation_has_the_same_blocks(page):
    """They are tested where they are written first."""
    ours, theirs = ([each[2:] for each in blocks_of(one)] for one in (page, TRANSLATIONS[page]))
    assert ours == theirs


# --- each in its language


def read_shell(text: str) -> None:
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def read_dockerfile(text: str) -> None:
    known = set("ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL RUN SHELL USER VOLUME WORKDIR".split())
    lines = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    instructions = [line.split()[0].upper() for line in lines if line.strip()]
    assert set(instructions) <= known, set(instructions) - known
    assert instructions[0] in {"FROM", "ARG"}


def read_hcl(text: str) -> Any:
    return import_module("hcl2").loads(text)


READERS: dict[str, Callable[[str], Any]] = {
    "bash": read_shell,
    "dockerfile": read_dockerfile,
    "hcl": read_hcl,
    "json": json.loads,
    "python": ast.parse,
    "toml": tomllib.loads,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
}


@pytest.mark.parametrize("block", in_language(*READERS))
def test_a_block_is_what_it_says(block):
    try:
        READERS[block.language](block.text)
    except Exception as error:
        error.add_note(f"{block.place}: no {block.language}")
        raise


# --- connections


FIELDS = set(get_provider_info()["connection-types"][0]["conn-fields"])
COLUMNS = {"conn_id", "conn_type", "description", "login", "password", "extra"}


def connections(block: Block) -> Iterator[dict[str, Any]]:
    """Yield what is a connection of ours, wherever it stands: as JSON, in YAML, in quotes of a shell, as a URI."""
    read = READERS.get(block.language) if block.language in {"json", "yaml", "hcl"} else None
    texts = re.findall(r"'(\{.*?\})'(?=\s|$)", block.text, re.DOTALL)
    yield from (one for one in _dicts([read(block.text) if read else None, *texts]) if one.get("conn_type") == "pai")
    for uri in re.findall(r"\bpai://[^\s'\"]+", block.text):
        yield {"conn_type": "pai", "extra": Connection(uri=uri).extra_dejson}


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _dicts(each)


CONNECTIONS = [pytest.param(block, one, id=block.place) for block in BLOCKS for one in connections(block)]


@pytest.mark.parametrize(("block", "one"), CONNECTIONS)
def test_a_connection_has_fields_that_there_are(block, one):
    extra = one.get("extra") or {}
    extra = json.loads(extra) if isinstance(extra, str) else extra
    assert one.keys() <= COLUMNS, block.place
    assert extra.keys() <= FIELDS, f"{block.place}: {extra.keys() - FIELDS}"
    # Placeholders are for people; whatever else a field has is read as it will be.
    secrets = {name: str(one[name]).replace("…", "x") for name in ("login", "password") if one.get(name)}
    extra = {name: value.replace("…", "x") if isinstance(value, str) else value for name, value in extra.items()}
    PaiConnection.read(Connection(conn_id="pai_default", conn_type="pai", **secrets), extra)


# --- Python


CLASSES = {one.__name__: one for kind in ("operators", "sensors", "triggers", "hooks") for one in public_classes(kind)}


def taken(one: type) -> set[str]:
    """Return the arguments that a class takes."""
    return {name for each in one.__mro__ for name in inspect.signature(each.__init__).parameters}


@pytest.mark.parametrize("block", in_language("python"))
def test_a_call_has_arguments_that_there_are(block):
    for node in ast.walk(ast.parse(block.text)):
        name = getattr(node.func, "id", None) if isinstance(node, ast.Call) else None
        if name in CLASSES:
            unknown = {each.arg for each in node.keywords if each.arg} - taken(CLASSES[name])
            assert not unknown, f"{block.place}: {name} has no {', '.join(unknown)}"


def has_dag(block: Block) -> bool:
    return bool(re.search(r"^@dag\b|\bDAG\(", block.text, re.MULTILINE))


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """All DAG files of the documentation, as Airflow parses them."""
    pytest.importorskip("airflow.sdk")
    folder = tmp_path_factory.mktemp("dags")
    for block in BLOCKS:
        if block.language == "python" and has_dag(block):
            (folder / f"{block.file}.py").write_text(block.text)
    return import_module(MODULE).DagBag(str(folder))


@pytest.mark.parametrize("block", [each for each in in_language("python") if has_dag(each.values[0])])
def test_a_dag_file_is_a_dag(block, bag):
    errors = {path.rpartition("/")[2]: error for path, error in bag.import_errors.items()}
    assert errors.get(f"{block.file}.py") is None, f"{block.place}: {errors[f'{block.file}.py']}"
    files = {dag.fileloc.rpartition("/")[2] for dag in bag.dags.values()}
    assert f"{block.file}.py" in files, f"{block.place}: Airflow finds no DAG in it, or one of another page's dag_id"


def runs_here(block: Block) -> bool:
    return not (block.title or has_dag(block) or block.mark.startswith("not run") or "def test_" in block.text)


@pytest.mark.parametrize("block", [each for each in in_language("python") if runs_here(each.values[0])])
def test_a_piece_of_python_runs_as_it_is_pasted(block, pai, connection, tmp_path, monkeypatch):
    pytest.importorskip("airflow.sdk")
    monkeypatch.chdir(tmp_path)
    make_buckets(pai, block.text)
    try:
        exec(compile(block.text, block.place, "exec"), {"__name__": "__main__"})
    except Exception as error:
        error.add_note(f"{block.place}: a reader pastes it, and it raises")
        raise


def make_buckets(pai: Any, text: str) -> None:
    """Make the buckets that a text names, as its reader has."""
    for name in set(re.findall(r"\boss://(?:[\w-]+@)?([a-z0-9][a-z0-9-]+)", text)):
        oss_bucket(pai, name).create_bucket()


# --- commands


TARGETS = set(re.findall(r"^([a-z][a-z.-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
COMMAND = re.compile(r"(?:make|airflow pai|python3? -m airflow_provider_pai\.[\w.]+)(?: .*)?")


def commands() -> Iterator[tuple[str, str]]:
    """Yield each command of ours that the documentation names, in blocks and in lines, with its place."""
    for block in BLOCKS:
        if block.language == "bash":
            lines = block.text.replace("\\\n", "  ").splitlines()
            for number, line in enumerate(lines):
                for part in re.split(r"&&|\|\||[;|]", line):
                    yield f"{block.page.relative_to(ROOT)}:{block.line + number}", part.strip()
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for number, line in enumerate(page.read_text().splitlines(), start=1):
            for code in re.findall(r"`([^`]+)`", line):
                yield f"{page.relative_to(ROOT)}:{number}", code


def test_every_command_and_its_options_are_there():
    wrong = []
    for place, command in commands():
        if COMMAND.fullmatch(command) and (fault := fault_of(command)):
            wrong.append(f"{place}: {command}: {fault}")
    assert not wrong, "\n".join(wrong)


def fault_of(command: str) -> str:
    """Return what is wrong with a command, if anything."""
    words = [word for word in shlex.split(re.sub(r"[\[\]]", "", command), comments=True) if word != "…"]
    if words[0] == "make":
        unknown = [word for word in words[1:] if not word.startswith("-") and "=" not in word and word not in TARGETS]
        return f"no target {', '.join(unknown)}" if unknown else ""
    module = "airflow_provider_pai.cli" if words[0] == "airflow" else words[2]
    try:
        parser = parser_of(module)
    except (ImportError, AttributeError) as error:
        return f"{error}: a command has `parser()` in its `__main__`"
    return unknown_to(parser, words[2 if words[0] == "airflow" else 3 :])


def unknown_to(parser: ArgumentParser, words: list[str]) -> str:
    for action in parser._actions:
        if isinstance(action, _SubParsersAction) and words:
            if words[0] not in action.choices:
                return f"no command {words[0]}"
            return unknown_to(action.choices[words[0]], words[1:])
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    return ", ".join(f"no option {name}" for name in options if name not in parser._option_string_actions)
