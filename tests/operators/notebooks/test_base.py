"""A notebook's run on DSW: what could not be had again, results in Git, links to what it leaves."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.exceptions import PaiConfigError, PaiTransientError
from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.operators.dsw import DswRunNotebookOperator
from airflow_provider_pai.operators.workload import git
from tests.conftest import git as git_in
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

CELL = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": ["6 * 7"]}
NOTEBOOK = {"cells": [CELL], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}


def notebook(bucket, cells=(CELL,), **changes):
    OssHook().put(f"oss://{bucket.bucket_name}/nb/a.ipynb", json.dumps({**NOTEBOOK, "cells": [*cells]}))
    given = {
        "task_id": "task",
        "image": "registry.example.com/cpu:1.9",
        "ecs_spec": "ecs.g6.large",
        "poll_interval": 0.02,
        "output": f"oss://{bucket.bucket_name}/out",
        "notebook": "/mnt/pai/input/nb/a.ipynb",
        "inputs": {"nb": f"oss://{bucket.bucket_name}/nb"},
    }
    return Task(lambda: DswRunNotebookOperator(**{**given, **changes}), run_id=bucket.bucket_name)


@pytest.fixture
def results(repository, tmp_path):
    bare = tmp_path / "results.git"
    git_in(tmp_path, "clone", "--quiet", "--bare", repository[0], str(bare))
    return {"repo": f"file://{bare}", "branch": "main", "path": "nights"}, bare


def test_require_makes_nothing_and_warn_says_it(bucket):
    pytest.importorskip("papermill")

    def instances():
        return {instance["InstanceId"] for instance in DswHook().list_instances()}

    before = instances()
    with pytest.raises(PaiConfigError, match=r"image registry.example.com/cpu has no tag"):
        notebook(bucket, reproducible="require", image="registry.example.com/cpu").run()
    with pytest.raises(PaiConfigError, match=r"input nb .* is not pinned"):
        notebook(bucket, reproducible="require").run()
    out_of_order = [{**CELL, "execution_count": count} for count in (2, 1)]
    with pytest.raises(PaiConfigError, match=r"cell 2 of the source was run as \[1\], before \[2\]"):
        notebook(bucket, out_of_order, reproducible="require").run()
    assert instances() <= before  # those of other tests may still be on their way out
    warned = notebook(bucket, after="keep")
    DswHook().request_stop(warned.run()["instance_id"])
    assert warned.xcoms["pai_dsw_jupyterlab_url"].endswith("/lab/")
    said = [line for _, line in warned.lines if line.startswith("Not reproducible")]
    assert [line.partition(" (")[0] for line in said] == ["Not reproducible: input nb"]


def test_results_that_could_not_be_pushed_are_pushed_by_the_next_try_which_runs_nothing_again(
    bucket, results, monkeypatch
):
    pytest.importorskip("papermill")
    target, bare = results
    real = git.Push.once
    lost = iter([True])

    def pushed(push, files):
        real(push, files)
        if next(lost, False):
            raise git.GitError("the remote end hung up")
        return real(push, files)

    monkeypatch.setattr(git.Push, "once", pushed)
    task = notebook(bucket, commit_results=target, after="delete")
    with pytest.raises(PaiTransientError, match="another try of the task pushes it"):
        task.run()
    result = task.run()
    assert result["instance"] == "deleted"
    assert task.xcoms["pai_run_folder"]["uri"] == result["run_uri"]
    assert "pai_dsw_jupyterlab_url" not in task.xcoms
    assert git_in(bare, "log", "--format=%s", "main").split("\n")[1:] == ["two", "one"]
    assert git_in(bare, "ls-tree", "--name-only", "main:nights").split("\n") == ["executed.html", "executed.ipynb"]
    cells = json.loads(git_in(bare, "show", "main:nights/executed.ipynb"))["cells"]
    assert "".join(cells[-1]["outputs"][0]["data"]["text/plain"]) == "42"
    (row,) = [row for row in Ledger.open().rows() if row.kind == "results_committed"]
    assert json.loads(row.payload)["commit"] == git_in(bare, "rev-parse", "main")
    with pytest.raises(PaiConfigError, match=r"commit_results\['branch'\]"):
        notebook(bucket, commit_results={**target, "branch": "nights"}).run()
