"""Digests of images: what a registry tells, and what stands there where it does not; logins of private ones."""

from __future__ import annotations

import json

import pytest
import requests

from airflow_provider_pai.exceptions import PaiConfigError, PaiNotFoundError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.registry import RegistryLogin, image_digest

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


@pytest.fixture
def registry_login(monkeypatch):
    """Store an Airflow connection of type docker, and read it as the login of an image's registry."""

    def read(image=IMAGE, **fields):
        stored = {"conn_type": "docker", "login": "team", "password": "hunter2-hunter2", **fields}
        monkeypatch.setenv("AIRFLOW_CONN_TEAM_REGISTRY", json.dumps(stored))
        return RegistryLogin.of("team_registry", image)

    return read


def test_a_private_registry_tells_its_digest_to_whoever_logs_in(pai, world, registry_login):
    world(registry="login")
    key, at = pai.account.credential, OssHook().connection
    good = registry_login(login=key.access_key_id, password=key.access_key_secret)
    assert image_digest(IMAGE, at, good).digest.startswith("sha256:")
    assert image_digest(IMAGE, at, registry_login()).note == "its registry does not tell: it wants a login"
    assert "hunter2" not in repr(registry_login())


@pytest.mark.parametrize("host", ["registry.example.com", "https://registry.example.com/v2/", ""])
def test_a_login_is_that_of_the_images_registry(registry_login, host):
    login = registry_login(host=host)
    assert login.dlc_config == {
        "DockerRegistry": "registry.example.com",
        "Username": "team",
        "Password": "hunter2-hunter2",
    }
    assert login.dsw_auth == "dGVhbTpodW50ZXIyLWh1bnRlcjI="


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"password": ""}, "'team_registry' is not allowed; a connection with a login and a password"),
        ({"host": "registry.other.com"}, "a connection to registry.example.com, where the image lies"),
        ({"image": "image-0123456789abcdef01"}, "a connection with a host"),
    ],
)
def test_a_connection_that_is_no_login_of_the_registry_is_refused(registry_login, fields, message):
    with pytest.raises(PaiConfigError, match=message):
        registry_login(**fields)


def test_a_connection_that_is_not_there_is_named():
    with pytest.raises(PaiNotFoundError, match="image_conn_id"):
        RegistryLogin.of("none_such", IMAGE)
