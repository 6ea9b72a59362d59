"""Images of a workspace: registered once, found again."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError
from airflow_provider_pai.hooks.aiworkspace import AIWorkspaceHook

pytestmark = pytest.mark.usefixtures("connection")

URI = "registry.example.com/team/kernel:1"
LABELS = {"system.supported.dsw": "true"}


def register(name, uri=URI, labels=LABELS):
    return AIWorkspaceHook().register_image(name, uri, labels, accessibility="PUBLIC")


def registered(name):
    images = AIWorkspaceHook().list_images(name=name)
    return [{each["Key"]: each["Value"] for each in image["Labels"]} for image in images]


@pytest.fixture(params=["once", "again"])
def name(request, world):
    """A name of its own, in a world where a workspace has names once, and in one where it may have them again."""
    world(image_names=request.param)
    return f"kernel-{uuid.uuid4().hex[:8]}"


def test_who_registers_an_image_again_finds_it_and_sets_the_labels_that_it_lacks(name):
    first = register(name)
    more = {**LABELS, "system.chipType": "GPU"}
    assert register(name, labels=more) == first
    assert registered(name) == [more]
    assert register(f"{name}-2") != first


def test_two_who_register_at_once_and_one_whose_answer_is_lost_make_one(name, pai):
    pai.account.faults.add(match="api AddImage", drop="answer", times=1)
    with ThreadPoolExecutor(2) as pool:
        ids = {*pool.map(lambda _: register(name), range(2))}
    assert (len(ids), registered(name)) == (1, [LABELS])


def test_a_name_stays_that_of_its_address(name):
    first = register(name)
    with pytest.raises(PaiConfigError, match=f"image_name: '{name}' .* {first} has it for {URI}"):
        register(name, "registry.example.com/team/kernel:2")
    with pytest.raises(PaiApiError, match="'mine' is not one of"):
        register(f"{name}-2", labels={"mine": "1"})
    assert registered(name) == [LABELS]
