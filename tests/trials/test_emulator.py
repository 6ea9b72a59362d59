"""The emulator on a desk and in somebody's tests."""

from __future__ import annotations

import json
import logging

import requests

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from tests.conftest import airflow_connection
from tests.task import Task


def test_a_person_clicks_a_tasks_link_and_sees_the_job_and_a_tests_output_has_no_requests(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    logging.getLogger("uvicorn.access").propagate = True  # as whoever sets up logging later leaves it
    with Emulator(dwell=0.01) as pai:
        connection = airflow_connection(pai, console_url=pai.endpoints.console_url)
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(connection))
        given = {"task_id": "train", "framework": "python", "ecs_spec": "ecs.g6.large", "image": "python:3.11"}
        task = Task(lambda: DlcSubmitJobOperator(command="echo trained", poll_interval=0.02, **given))
        task.run()
        entry, _, page = task.xcoms["pai_dlc_job_url"].partition("#")
        shown = requests.get(f"{entry.partition('?')[0]}page{page}", timeout=10).text
    assert f"DLC job {task.xcoms['return_value']['job_id']}: Succeeded" in shown
    assert "trained" in shown
    assert [each.name for each in caplog.records if each.name.startswith(("uvicorn", "airflow_provider_pai.emu"))] == []
