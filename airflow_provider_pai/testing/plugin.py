"""Entry module of the pytest plugin: it imports pytest alone, and the rest when a test asks for a fixture."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_provider_pai.testing.account import Pai
    from airflow_provider_pai.testing.chaos import Report
    from airflow_provider_pai.testing.runs import Runner

_OUR_HOME = "AIRFLOW_PROVIDER_PAI_TEST_HOME"
_MARKER = "pai(speed=60, world=None, **settings): how the emulated account of `pai` is; `settings` are the emulator's"


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Give Airflow a home of its own where none was chosen: what is collected may import it, and it is read then.

    A worker of pytest-xdist inherits the home of the process that started it; it gets another one.
    """
    if os.environ.get("AIRFLOW_HOME") in (None, "", os.environ.get(_OUR_HOME)):
        os.environ["AIRFLOW_HOME"] = os.environ[_OUR_HOME] = home = tempfile.mkdtemp(prefix="airflow-")
        Path(home, "dags").mkdir()
        os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


def pytest_unconfigure() -> None:
    """Remove the home."""
    if home := os.environ.get(_OUR_HOME):
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def _airflow_database() -> None:
    from airflow_provider_pai.testing.database import make_ready

    make_ready()


@pytest.fixture
def pai(request: pytest.FixtureRequest, _airflow_database: None) -> Iterator[Pai]:
    """An emulated account of the test's own, behind the connection `pai_default`; Airflow's database is ready."""
    from airflow_provider_pai.testing.account import opened

    marker = request.node.get_closest_marker("pai")
    with opened(**(marker.kwargs if marker else {})) as account:
        yield account


@pytest.fixture(name="run_dag")
def _run_dag(pai: Pai) -> Runner:
    """Run a DAG to its end in this process: `run_dag(dag, date="2026-11-02")`."""
    from airflow_provider_pai.testing.runs import run_dag

    return run_dag


@pytest.fixture
def bad_nights(tmp_path: Path) -> Callable[..., Report]:
    """Play bad nights of a DAG file on an Airflow of their own: `bad_nights("dags/train.py", nights=("calm", "lost"))`.

    What it takes beside the file are the fields of `testing.chaos.Given`.
    """
    from airflow_provider_pai.testing.chaos import Given, play

    def played(dag_file: str | Path, **given: Any) -> Report:
        return play(Given(dag_file=Path(dag_file), **given), tmp_path / "bad_nights", print)

    return played
