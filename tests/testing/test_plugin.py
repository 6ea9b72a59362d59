"""People's own test projects: docs/testing.md word by word, on this Airflow, without a conftest.py."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from tests.docs.blocks import ROOT, blocks_of

PLUGIN = "airflow_provider_pai.testing.plugin"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with the files of the page."""
    folder = tmp_path_factory.mktemp("project")
    for block in blocks_of(ROOT / "docs" / "testing.md"):
        if block.title:
            (folder / block.title).parent.mkdir(exist_ok=True)
            (folder / block.title).write_text(block.text)
    return folder


def run_pytest(project: Path, *arguments: str) -> str:
    """Run pytest in a project as its owner would, and return what it prints.

    The plugin is named: a source tree that is not installed has no entry points.
    """
    ours = ("AIRFLOW", "PYTEST")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "HOME": str(project)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", PLUGIN, "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.system
@pytest.mark.timeout(400)
def test_the_smallest_test_passes(project):
    assert "1 passed" in run_pytest(project, "tests/test_train.py")
    assert not (project / "airflow").exists()


@pytest.mark.system
@pytest.mark.timeout(400)
@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="the examples are written for Airflow 3")
def test_two_nights_of_the_example_pass(project):
    shutil.copy(Path(__file__).with_name("nightly_example.py"), project / "tests" / "test_example.py")
    print(run_pytest(project, "tests/test_example.py", "--durations=0"))


@pytest.mark.system
@pytest.mark.timeout(400)
def test_the_faults_of_the_page_pass(project):
    print(run_pytest(project, "tests/test_faults.py", "--durations=0"))


@pytest.mark.system
@pytest.mark.timeout(400)
@pytest.mark.skipif("PYTEST_XDIST_WORKER" in os.environ, reason="beside other tests, answers of good models are late")
def test_the_canaries_of_the_page_pass(project):
    print(run_pytest(project, "tests/test_nightly.py", "--durations=0"))


COUNT = """
import json, pytest, sys, time
known = set(sys.modules)
begun = time.perf_counter()
import airflow_provider_pai.testing.plugin
took = time.perf_counter() - begun
print(json.dumps({"ms": 1000 * took, "imported": sorted(set(sys.modules) - known)}))
"""


def test_it_costs_nothing_where_nobody_uses_it():
    command, environment = [sys.executable, "-c", COUNT], {**os.environ, "PYTHONPATH": str(ROOT)}
    told = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    print(f"importing the plugin: {told['ms']:.1f} ms")
    ours = "airflow_provider_pai"
    assert told["imported"] == [ours, f"{ours}.lazy", f"{ours}.testing", PLUGIN]
