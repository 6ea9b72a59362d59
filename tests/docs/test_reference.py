"""The reference: every public argument, result and method stands in it, as its docstring says."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import BaseHook, BaseOperator
from airflow.triggers.base import BaseTrigger

from docs_site.commands import commands, parser_of
from docs_site.docstrings import Docstring
from docs_site.reference import (
    TEMPLATED,
    arguments,
    described,
    filled,
    is_templated,
    lineage,
    methods,
    pages,
)
from tests.docs.blocks import ROOT
from tests.public import public_classes

TASKS = [one for kind in ("operators", "sensors") for one in public_classes(kind, BaseOperator)]
TRIGGERS = public_classes("triggers", BaseTrigger)
HOOKS = public_classes("hooks", BaseHook)
SHOWN = {one: page for one, page in pages().items() if not issubclass(one, BaseHook)}


def test_every_operator_sensor_and_hook_has_a_section():
    assert [one.__name__ for one in (*TASKS, *HOOKS) if one not in pages()] == []


def test_every_argument_is_described():
    classes = {base for one in (*TASKS, *TRIGGERS, *SHOWN) for base in lineage(one)}
    lacking = [f"{one.__name__}: {name}" for one in classes for name in arguments(one) if not described(one, name)]
    assert not lacking, f"without `:param name: …` in the class's docstring: {', '.join(sorted(lacking))}"


def test_no_argument_is_described_that_there_is_not():
    for one in (*TASKS, *TRIGGERS, *SHOWN):
        for base in lineage(one):
            assert Docstring.of(base).params.keys() <= arguments(base).keys(), base.__name__


def test_what_a_docstring_calls_templated_is_and_nothing_else():
    for one in (*TASKS, *SHOWN):
        for base in lineage(one):
            for name, text in Docstring.of(base).params.items():
                assert text.endswith(TEMPLATED) == is_templated(base, name), f"{base.__name__}: {name}"


def test_every_task_says_what_it_returns():
    for one in TASKS:
        says = any(Docstring.of(base).returns for base in lineage(one))
        does = getattr(one, "carry_out", one.execute)
        returns = does.__annotations__["return"] != "None"
        assert says == returns, f"{one.__name__}: `:returns: …` in its docstring, or `{does.__name__}(…) -> None`"


def test_every_public_method_of_a_hook_says_what_it_does():
    for one in {base for hook in HOOKS for base in lineage(hook)}:
        silent = [name for name, method in methods(one).items() if not Docstring.of(method).text]
        assert not silent, f"{one.__name__}: {', '.join(silent)}"


@pytest.mark.parametrize("page", sorted(set(pages().values())))
def test_a_page_is_filled(page):
    text = filled((ROOT / "docs" / page).read_text(), page)
    for one in [one for one, at in pages().items() if at == page]:
        assert f"## {one.__name__}" in text or "@task" in text
        for name in arguments(one):
            assert f"| `{name}` |" in text or issubclass(one, BaseHook)


def test_inherited_arguments_stand_with_their_base():
    text = filled((ROOT / "docs/reference/dlc.md").read_text(), "reference/dlc.md")
    assert "| `framework` | `str` | needed | yes | tensorflow, pytorch" in text
    assert "of [WorkloadOperator](common.md#workloadoperator): `image`, `image_conn_id`, `command`" in text
    assert "| `image` |" not in text


def test_the_commands_are_those_that_people_type():
    names = [parser.prog for parser in commands(parser_of("airflow_provider_pai.cli"))]
    assert {f"python -m airflow_provider_pai.cli {name}" for name in ("check", "jobs orphans")} <= {*names}
