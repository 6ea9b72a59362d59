"""Policies of docs/permissions.md: each is enough for all that its operator does, and no action in it is idle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_pai.emulator import Emulator
from tests.permissions import jobs, objects, services  # noqa: F401 - they tell their stories when they are imported
from tests.permissions.page import PAGE, documented, page
from tests.permissions.scene import SISTERS, STORIES, account, look
from tests.public import public_classes

DOCUMENTED = documented(PAGE.read_text())


@pytest.fixture(scope="module")
def own() -> Iterator[Emulator]:
    """An account of the stories' own."""
    with account() as pai:
        yield pai


def test_every_operator_and_sensor_has_a_story():
    public = {one.__name__ for kind in ("operators", "sensors") for one in public_classes(kind, BaseOperator)}
    assert public <= STORIES.keys()


@pytest.mark.emulator
@pytest.mark.parametrize("name", STORIES)
def test_a_policy_is_enough_and_each_of_its_actions_is_needed_or_said_to_be_missed(own, name):
    asked = look(own, name, DOCUMENTED, DOCUMENTED[name].keys())
    assert asked == DOCUMENTED[name], "run `python -m tests.permissions`, which writes docs/permissions.md anew"


def test_the_page_is_what_the_stories_give():
    text = PAGE.read_text()
    assert text == page(text, DOCUMENTED)
    assert DOCUMENTED.keys() == STORIES.keys()
    assert SISTERS.keys() | set(SISTERS.values()) <= STORIES.keys()
