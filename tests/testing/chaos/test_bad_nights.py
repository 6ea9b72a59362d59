"""Bad nights of two DAG files, on an Airflow each: a planted defect is found, an example comes through clean."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from demo.material import load_samples, row

pytest.importorskip("airflow.sdk.definitions._internal.contextmanager", reason="bad nights need Airflow 3")
pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "example_dags"
GRID = {"grid": {"max_depth": [1], "learning_rate": [0.3]}}


@pytest.fixture
def digits(tmp_path):
    """A folder as the sweep has it on OSS."""
    for name, samples in zip(("train.csv", "holdout.csv"), load_samples(), strict=True):
        (tmp_path / name).write_text("".join(f"{row(sample)}\n" for sample in samples))
    return tmp_path


def begin(path, folder, *options):
    command = [sys.executable, "-m", "airflow_provider_pai.testing.chaos", str(path), "--nights", "calm,lost"]
    options = (*options, "--folder", str(folder), "--json", "-")
    return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_what_is_planted_is_found_and_a_good_dag_is_clean(tmp_path_factory, digits):
    data = (f"{digits}=oss://my-team/datasets/digits", f"{EXAMPLES / 'nightly_retraining'}=oss://my-team/code/digits")
    options = [option for each in data for option in ("--data", each)]
    # Side by side: most of an evening is Airflow's start.
    evenings = {
        "planted": begin(HERE / "planted" / "twice.py", tmp_path_factory.mktemp("twice")),
        "good": begin(
            EXAMPLES / "pai_hyperparameter_sweep.py",
            tmp_path_factory.mktemp("sweep"),
            *options,
            "--conf",
            json.dumps(GRID),
        ),
    }
    told = {name: evening.communicate() for name, evening in evenings.items()}
    reports = {name: json.loads(out) if out else pytest.fail(said) for name, (out, said) in told.items()}
    found = {name: [(each["rule"], each["task"]) for each in report["findings"]] for name, report in reports.items()}
    assert found == {"planted": [("paid_twice", "train")], "good": []}, told
    assert {name: evening.returncode for name, evening in evenings.items()} == {"planted": 1, "good": 0}
    calm, lost = reports["planted"]["nights"]
    assert calm["paid"] == lost["expected"] == 1 < lost["paid"]
    assert "paidlc:CreateJob" in reports["good"]["actions"]
