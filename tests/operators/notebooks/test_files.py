"""Notebooks as files: what is none is refused, undeclared parameters are named."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.notebooks.files import find_notebook, read_notebook, undeclared
from airflow_provider_pai.operators.workload.code import Source
from tests.conftest import git
from tests.operators.notebooks.test_base import notebook


def cell(source, *tags):
    return {"cell_type": "code", "metadata": {"tags": [*tags]}, "outputs": [], "source": source}


def written(*cells):
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "which is JSON"),
        ("[]", "with cells"),
        (written(), "with a code cell"),
        (written(cell(" \n")), "with a code cell"),
    ],
)
def test_what_is_no_notebook_is_refused(text, message):
    with pytest.raises(PaiConfigError, match=message):
        read_notebook("a.ipynb", text)


def test_undeclared_parameters_are_named():
    declared = read_notebook("a", written(cell("a: int = 1\nb, c = 2, 3\n", "parameters"), cell("d = 1")))
    assert undeclared(declared, ["a", "b", "c"]) == ""
    assert undeclared(declared, ["d"]) == "does not declare the parameters d; it declares a, b, c"
    assert "no cell with the tag" in undeclared(read_notebook("a", written(cell("a = 1"))), ["a"])
    assert undeclared(read_notebook("a", written(cell("%magic", "parameters"))), ["a"]) == ""


@pytest.mark.usefixtures("connection")
def test_a_notebook_that_is_not_there_makes_nothing(bucket):
    with pytest.raises(PaiConfigError, match=r"a file that is there: oss://.*/nb/b.ipynb is not"):
        notebook(bucket, notebook="/mnt/pai/input/nb/b.ipynb").run()
    assert not list(OssHook().list_objects(f"oss://{bucket.bucket_name}/out/"))


def test_a_notebook_of_a_repository_is_read_at_its_commit(tmp_path):
    git(tmp_path, "init", "--quiet", "r")
    repo = tmp_path / "r"
    (repo / "a b.ipynb").write_text(written(cell("1")))
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "one")
    source = Source(f"file://{repo}", git(repo, "rev-parse", "HEAD").strip())
    assert find_notebook("a b.ipynb", None, source, {}, OssHook) == written(cell("1"))
    with pytest.raises(PaiConfigError, match="does not exist in"):
        find_notebook("c.ipynb", None, source, {}, OssHook)
