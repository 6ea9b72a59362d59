"""Fixtures that every test may use: an emulated account and clients for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before anything imports Airflow: no test may touch the home, the configuration or the database of whoever runs it.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{os.environ['AIRFLOW_HOME']}/airflow.db?timeout=30"

import oss2
import pytest
from airflow.providers.common.compat.sdk import redact
from alibabacloud_tea_openapi.models import Config
from hypothesis import HealthCheck, settings

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.emulator.connection import connection_to
from airflow_provider_pai.emulator.world import World
from tests.group import ServiceGroup
from tests.service import delete_all

# The same examples each time, however slow the machine is; `--hypothesis-profile default` looks for others.
SLOW = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("steady", derandomize=True, **SLOW)
settings.load_profile("steady")

# Tests marked `fuzz`: 200 of these in the suite, 20,000 others by `make fuzz`. A test's examples share its fixtures.
SHARED = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
FUZZ = settings(SHARED, max_examples=200)
settings.register_profile("fuzz", SHARED, derandomize=False, max_examples=20_000, print_blob=True)

HERE = Path(__file__).parent
START_PROCESSES = (
    *(HERE / name for name in ("demo", "emulator", "testing", "test_example_dags.py", "test_recipe.py")),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests marked `fuzz` their examples; mark what `make test-fast` leaves out.

    That is who asks for an account, and whole folders that start processes.
    """
    if settings.get_current_profile_name() == "steady":
        for test in {item.function for item in items if item.get_closest_marker("fuzz")}:  # type: ignore[attr-defined]
            FUZZ(test)
    for item in items:
        if "pai" in item.fixturenames or {item.path, *item.path.parents} & {*START_PROCESSES}:
            item.add_marker(pytest.mark.emulator)


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["AIRFLOW_HOME"], ignore_errors=True)


@pytest.fixture(scope="session")
def pai() -> Iterator[Emulator]:
    """One emulated account for the whole run; tests keep apart by names of their own."""
    with Emulator(dwell=0.01, grace=0.5, gateway_lag=0.02) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def no_faults_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lift the faults that a test has set, and turn its world back."""
    yield
    if "pai" in request.fixturenames:
        account = request.getfixturevalue("pai").account
        account.faults.clear()
        account.world = World()


@pytest.fixture(autouse=True)
def own_masks() -> Iterator[None]:
    """Forget the secrets that a test made: Airflow 2.11 masks them however short, in the words of every later test."""
    masker = sys.modules[redact.__module__]._secrets_masker()
    before = set(masker.patterns), masker.replacer
    yield
    masker.patterns, masker.replacer = before


@pytest.fixture
def world(pai: Emulator) -> Iterator[Callable[..., None]]:
    """Turns switches of the emulated cloud, and turns them back afterwards."""
    before = pai.account.world
    yield lambda **switches: pai.account.change_world(switches)
    pai.account.change_world(before.to_dict())


@pytest.fixture
def gateway_lag(pai: Emulator) -> Iterator[Callable[[float], None]]:
    """Sets how late EAS's gateway learns of a service that came up."""
    before = pai.account.settings.gateway_lag
    yield lambda seconds: pai.account.change_settings({"gateway_lag": seconds})
    pai.account.change_settings({"gateway_lag": before})


@pytest.fixture
def bucket(pai: Emulator) -> oss2.Bucket:
    """A fresh bucket."""
    bucket = oss_bucket(pai, f"test-{uuid.uuid4().hex[:12]}")
    bucket.create_bucket()
    return bucket


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, tuple[str, str]]:
    """A Git repository: its URL and its two commits on main, the first of them tagged v1; sub/n.txt tells which."""
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    (folder / "sub").mkdir()
    commits = [commit_file(folder / "sub" / "n.txt", text) for text in ("one", "two")]
    git(folder, "tag", "-a", "v1", "-m", "first", commits[0])
    return f"file://{folder}", (commits[0], commits[1])


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it prints."""
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit_file(path: Path, text: str) -> str:
    """Write a file of a repository, commit it and return the commit."""
    path.write_text(text)
    git(path.parent, "add", ".")
    git(path.parent, "commit", "--quiet", "-m", text)
    return git(path.parent, "rev-parse", "HEAD")


@pytest.fixture
def connection(pai: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The connection `pai_default`, pointed at the emulated account; a fresh ledger in a fresh AIRFLOW_HOME."""
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai)))
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    return "pai_default"


def airflow_connection(pai: Emulator, **extra: Any) -> dict[str, Any]:
    """Return an Airflow connection to the emulated account as JSON."""
    return connection_to(pai.endpoints.to_dict(), **{"deployment": "https://airflow.test", **extra})


def sdk_config(pai: Emulator, **overrides: Any) -> Config:
    """Return what every Tea client of the PAI APIs takes."""
    settings = {
        "access_key_id": pai.endpoints.access_key_id,
        "access_key_secret": pai.endpoints.access_key_secret,
        "endpoint": pai.endpoints.endpoint_url.removeprefix("http://"),
        "protocol": "http",
        "region_id": pai.endpoints.region,
    }
    return Config(**{**settings, **overrides})


def oss_auth(pai: Emulator, version: str = "v4", secret: str | None = None) -> Any:
    """Return the account's key as oss2 signs with it."""
    return oss2.make_auth(pai.endpoints.access_key_id, secret or pai.endpoints.access_key_secret, auth_version=version)


def oss_bucket(pai: Emulator, name: str, auth: Any = None, **options: Any) -> oss2.Bucket:
    """Return a client of one bucket, which need not exist."""
    options = {"region": pai.endpoints.region, **options}
    return oss2.Bucket(auth or oss_auth(pai), pai.endpoints.oss_endpoint, name, **options)


@pytest.fixture
def group(bucket: oss2.Bucket, connection: str) -> Iterator[ServiceGroup]:
    """A service group of its own; whatever bears its name is gone afterwards."""
    group = ServiceGroup(bucket.bucket_name)
    yield group
    delete_all(group)
