"""Notebooks on DSW."""

from __future__ import annotations

import json
import re

import pytest

from airflow_provider_pai.exceptions import PaiJobFailedError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.dsw import DswRunNotebookOperator
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


def test_a_person_runs_a_notebook_of_another_kernel_that_fails_and_reads_what_it_had_printed(bucket):
    pytest.importorskip("papermill")
    home = f"oss://{bucket.bucket_name}"
    sources = ["print(6 * 7)", "raise ValueError('no rows')"]
    made = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    of_a_desk = {"kernelspec": {"name": "my-conda", "display_name": "mine", "language": "python"}}
    cells = [{**made, "source": source} for source in sources]
    notebook = {"cells": cells, "metadata": of_a_desk, "nbformat": 4, "nbformat_minor": 4}
    OssHook().put(f"{home}/nb/a.ipynb", json.dumps(notebook))
    run = Task(
        lambda: DswRunNotebookOperator(
            task_id="task",
            image="cpu",
            ecs_spec="ecs.g6.large",
            poll_interval=0.02,
            inputs={"nb": f"{home}/nb"},
            notebook="/mnt/pai/input/nb/a.ipynb",
            kernel="python3",
            output=f"{home}/out",
        )
    )
    with pytest.raises(PaiJobFailedError, match=r"^code: cell 2: ValueError: no rows: DSW run") as failed:
        run.run()
    (executed,) = re.findall(r"executed notebook: (oss://\S+)", str(failed.value))
    first, second = json.loads(OssHook().get(executed))["cells"]
    assert first["outputs"][0]["text"] == ["42\n"]
    assert second["outputs"][0]["ename"] == "ValueError"
