"""Trigger forms in the demo: each default is of a param that the example has."""

from __future__ import annotations

import runpy
from importlib import import_module
from pathlib import Path

import pytest

from demo.form import write_form
from tests.dag_bag import MODULE

pytest.importorskip("airflow.sdk.execution_time.hitl", reason="an example asks a person")


def test_the_forms_have_the_demos_values_and_no_others(tmp_path):
    code = {"repo": "/repo", "commit": "4f2a9c1"}
    for model in ("", "oss://b/v1/"):
        write_form(tmp_path, code, model)
    policy = runpy.run_path(str(tmp_path / "config" / "airflow_local_settings.py"))["dag_policy"]
    dags = import_module(MODULE).DagBag(str(Path(__file__).parents[2] / "example_dags")).dags
    for dag in dags.values():
        before = set(dag.params)
        policy(dag)
        assert set(dag.params) == before
    nightly = dags["pai_nightly_retraining"].params
    assert (nightly["repo"], nightly["commit"], nightly["step_seconds"]) == ("/repo", "4f2a9c1", 3)
    assert dags["pai_batch_prediction"].params["artifact"] == "oss://b/v1/"
