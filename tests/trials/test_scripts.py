"""First scripts of a person who reads docs/scripts.md and copies what stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.eas import EasPredictOperator
from tests.task import Task

PAGE = Path(__file__).parents[2] / "docs" / "scripts.md"
TRAIN, SERVE, DAG = re.findall(r"```python[^\n]*\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_a_person_copies_the_smallest_pair_of_scripts_and_it_serves(group, bucket):
    for needed in ("airflow.sdk", "sklearn"):
        pytest.importorskip(needed)
    page = DAG.replace("oss://my-team", f"oss://{bucket.bucket_name}").replace('"first"', f'"{group.name}"')

    def task(task_id, **changes):
        def make():
            names = {}
            exec(page, names)
            operator = names["smallest"]().get_task(task_id)
            vars(operator).update(poll_interval=0.02, **changes)
            return operator

        return Task(make)

    rows = "0,1,1\n0,2,1\n1,5,5\n1,6,5\n" * 4
    for name, text in {"code/train.py": TRAIN, "code/serve.py": SERVE, "data/rows.csv": rows}.items():
        OssHook().put(f"oss://{bucket.bucket_name}/{name}", text)
    artifact = task("train").run()
    assert artifact["metrics"] == {"accuracy": 1.0, "rows": 8}
    assert task("deploy", artifact=artifact).run()["outcome"] == "deployed"
    asked = {"task_id": "ask", "group": group.name, "requests": {"json": {"rows": [[1, 1], [5, 5]]}}}
    assert Task(lambda: EasPredictOperator(**asked)).run() == {"labels": [0.0, 1.0]}
