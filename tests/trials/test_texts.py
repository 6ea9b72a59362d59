"""Bytes and lines: files in another encoding, logs of any kind."""

from __future__ import annotations

import pytest

from airflow_provider_pai.exceptions import PaiConfigError, PaiJobFailedError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.eas import EasPredictOperator
from tests.service import create
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


def test_a_person_asks_a_model_about_a_file_that_a_spreadsheet_has_saved(group):
    name, requests = create(group), f"oss://{group.bucket}/requests.jsonl"
    ask = Task(
        lambda: EasPredictOperator(
            task_id="task", service_name=name, requests=requests, output=f"oss://{group.bucket}/answers"
        )
    )
    lines = '{"json": {"x": 1}}\n{"body": "文件", "expect": {"answer": 42}}\n'
    OssHook().put(requests, lines.encode("gbk"))
    with pytest.raises(PaiConfigError, match=r"requests\.jsonl line 2: .* is not allowed; text in UTF-8"):
        ask.run()
    OssHook().put(requests, lines.encode("utf-8-sig"))
    end = ask.run()
    assert (end["requests"], end["wrong"]) == (2, 0)


def test_a_persons_script_draws_a_progress_bar_of_a_megabyte_and_fails(bucket):
    command = "head -c 900000 /dev/zero | tr '\\0' '#'; printf '\\n\\377\\376 and why it failed\\n'; exit 3"
    run = Task(
        lambda: DlcSubmitJobOperator(
            task_id="task", framework="pytorch", command=command, image="i", ecs_spec="ecs.g6.large", poll_interval=0.02
        )
    )
    with pytest.raises(PaiJobFailedError) as failed:
        run.run()
    text = str(failed.value)
    assert "and why it failed\n→ mend" in text
    assert "899500 characters are left out here" in text
    assert len(text) < 2000
