"""Digests of images: what a registry tells without a login, and what stands there where it does not."""

from __future__ import annotations

import pytest
import requests

from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.registry import image_digest

IMAGE = "registry.example.com/ml/python:3.11"

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def digest():
    at = OssHook().connection
    return lambda image=IMAGE: image_digest(image, at)


def push(pai, image, manifest):
    """Let a tag stand for other bytes, as a push does."""
    name, _, tag = image.partition("/")[2].partition(":")
    url = f"{pai.endpoints.endpoint_url}/v2/{name}/manifests/{tag}"
    return requests.put(url, manifest, timeout=5).headers["Docker-Content-Digest"]


@pytest.mark.parametrize("registry", ["open", "token"])
def test_a_tag_stands_for_what_was_pushed_last(digest, pai, world, registry):
    world(registry=registry)
    first, pushed = digest(), push(pai, IMAGE, registry.encode())
    assert first.digest.startswith("sha256:")
    assert digest() == (pushed, None) != first
    assert digest("registry.example.com/ml/python").digest != pushed, "the tag latest"


@pytest.mark.parametrize(
    ("image", "note"),
    [
        ("python:3.11", "its name has no registry that could be asked"),
        ("ml/python", "its name has no registry that could be asked"),
        ("", "its name is none that a registry knows"),
        (IMAGE, "its registry does not tell: it wants a login"),
    ],
)
def test_where_nobody_tells_the_note_says_why(digest, world, image, note):
    world(registry="login")
    assert digest(image) == (None, note)


def test_a_digest_in_the_name_is_taken_and_nobody_is_asked(digest, pai):
    pai.account.faults.add(match="/v2/", status=500)
    known = "sha256:" + "ab" * 32
    assert digest(f"{IMAGE}@{known}") == (known, None)
    assert digest(f"ml/python@{known}") == (known, None)


@pytest.mark.parametrize(
    ("fault", "says"),
    [({"status": 500}, "it answers 500 without a digest"), ({"drop": "request"}, "no answer from 127.0.0.1")],
)
def test_a_registry_that_is_down_is_a_note(digest, pai, fault, says):
    pai.account.faults.add(match="/v2/", **fault)
    found = digest()
    assert found.digest is None
    assert says in found.note
