"""A run that could not be had again is told why, one by one, and refused where that is asked for."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from airflow_provider_pai.artifact import DatasetRef
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.operators.notebooks.reproducible import (
    cell_findings,
    code_findings,
    file_findings,
    heed,
    image_findings,
    input_findings,
)
from airflow_provider_pai.operators.workload.code import Source
from airflow_provider_pai.uri import OssUri
from tests.conftest import commit_file, git


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("registry.cn-hangzhou.aliyuncs.com/pai/modelscope:1.9", ""),
        ("registry.example.com:5000/train@sha256:ab", ""),
        ("image-0a1b2c", ""),
        ("registry.example.com:5000/train", "no tag"),
        ("registry.example.com/train:latest", "tag latest"),
        ("pytorch:latest", "tag latest"),
    ],
)
def test_an_image_that_may_be_another_one_tomorrow_is_named(image, said):
    found = list(image_findings(image))
    assert [said in each and image in each for each in found] == [True] * bool(said)


def test_an_input_that_may_be_replaced_is_named():
    ref = DatasetRef(name="days", uri="oss://b/days/", digest="d", size=1, files=1)
    pinned = DatasetRef(name="pinned", uri="oss://b/p/", digest="d", size=1, files=1, pinned="oss://b/.pai/pins/d/")
    versioned = DatasetRef(name="versions", uri="oss://b/v/", digest="d", size=1, files=1, versioned=True)
    (found,) = input_findings([pinned, ref, versioned])
    assert "days (oss://b/days/)" in found


def test_code_that_may_be_another_one_is_named():
    on_oss = Source(repo="oss://b/code/", commit="crc64:1", mount=OssUri("b", "code/"))
    unseen = Source(repo="https://git.example.com/a.git", commit="main")
    assert not [*code_findings(None, {}), *code_findings(unseen._replace(commit="a" * 40), {})]
    assert not [*code_findings(on_oss, {"uri": "oss://b/code/", "digest": "crc64:1"})]
    assert "crc64:1" in next(code_findings(on_oss, {"uri": "oss://b/code/"}))
    assert "main of https://git.example.com/a.git" in next(code_findings(unseen, {}))


def notebook(*counts: int | None, source: str = "1") -> dict[str, object]:
    cells = [{"cell_type": "code", "source": [source], "execution_count": count} for count in counts]
    return {"cells": [{"cell_type": "markdown", "source": "# Days"}, *cells]}


@pytest.mark.parametrize(
    ("counts", "named"),
    [
        ([None, None], []),
        ([1, 2, 3], []),
        ([2, 5, 9], []),
        ([1, 4, 2, 3, 7], ["cell 3 of the source was run as [2]", "cell 4 of the source was run as [3]"]),
        ([1, None, 2], ["cell 2 of the source was not run"]),
    ],
)
def test_cells_that_ran_in_another_order_are_named_one_by_one(counts, named):
    found = list(cell_findings(notebook(*counts)))
    assert [one in line for one, line in zip(named, found, strict=True)] == [True] * len(named)
    assert not list(cell_findings(notebook(*counts, source=" ")))


def test_a_notebook_is_compared_with_its_commit(tmp_path: Path):
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    path = tmp_path / "days.ipynb"
    commit = commit_file(path, "{}")
    assert not list(file_findings(path, None))
    path.write_text("{ }")
    assert list(file_findings(path, None)) == [f"notebook days.ipynb differs from commit {commit}"]
    assert not list(file_findings(path, "a version that Airflow has checked out"))


def test_require_refuses_with_all_that_was_found_and_warn_tells_it(caplog):
    log = logging.getLogger("reproducible")
    with pytest.raises(PaiConfigError, match=r"(?s)- the image\n- cell 3"):
        heed("require", ["the image", "cell 3"], log)
    heed("require", [], log)
    heed("warn", ["the image"], log)
    heed("off", ["cell 3"], log)
    assert [record.getMessage() for record in caplog.records] == ["Not reproducible: the image"]
