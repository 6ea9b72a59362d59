"""Notebooks on DSW."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.dsw import DswRunNotebookOperator
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


def notebook(*sources: str) -> str:
    cells = [
        {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None}
        for source in sources
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})


def test_a_person_runs_a_notebook_and_reads_what_it_printed(bucket):
    pytest.importorskip("nbconvert")
    home = f"oss://{bucket.bucket_name}"
    OssHook().put(f"{home}/nb/a.ipynb", notebook("print(6 * 7)"))
    run = Task(
        lambda: DswRunNotebookOperator(
            task_id="task",
            image="cpu",
            ecs_spec="ecs.g6.large",
            poll_interval=0.02,
            inputs={"nb": f"{home}/nb"},
            notebook="/mnt/pai/input/nb/a.ipynb",
            output=f"{home}/out",
        )
    )
    assert b"42" in OssHook().get(run.run()["notebook_uri"])
