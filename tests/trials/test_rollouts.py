"""Servers that do not start, bad nights, and ways back: what the person on call reads first."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.exceptions import PaiTimeoutError, RolloutRolledBackError
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.operators.eas import (
    EasCanaryDeployOperator,
    EasDeployServiceOperator,
    EasRollbackOperator,
)
from tests.group import People
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


def night(at, model, run_id, **changes):
    given = at.arguments(model, deferrable=True, **changes)
    return Task(lambda: EasCanaryDeployOperator(**given), run_id=run_id)


def test_a_person_s_server_listens_on_a_port_of_its_own(group):
    given = {"image": "python", "command": "echo listening on 5000; sleep 60", "port": 8000, "cpu": 1, "memory": 500}
    waits = {"poll_interval": 0.05, "wait_timeout": 1}
    service = {"task_id": "task", "service_name": f"{group.name}_one", **given, **waits}
    with pytest.raises(PaiTimeoutError) as error:
        Task(lambda: EasDeployServiceOperator(**service)).run()
    first, last, todo = str(error.value).splitlines()
    assert first.endswith(": nothing listens on port 8000")
    assert last.endswith("listening on 5000")
    assert todo == f"→ {PaiTimeoutError.todo}"


def test_a_person_is_called_at_night_and_goes_back_in_the_morning(group):
    models = [group.model(20), group.model(21), group.model(22, fail=0.7)]
    night(group, models[0], "night-1").run()
    night(group, models[1], "night-2", skip_analysis="nobody asks").run()
    third = night(group, models[2], "night-3")
    with People(group, threads=3), pytest.raises(RolloutRolledBackError) as error:
        third.run()
    line, todo = str(error.value).splitlines()[0], str(error.value).splitlines()[-1]
    assert line.startswith("Rolled back at 20 % after ")
    assert " of them errors (limit " in line
    assert line.endswith("serves 100 %, never touched.")
    assert (len(line) < 120, line, todo) == (
        True,
        third.xcoms["summary"],
        f"→ {RolloutRolledBackError.todo}",
    )
    back = {"task_id": "task", "group": group.name, "reason": "people complain", "drain": 0.1, "poll_interval": 0.05}
    Task(lambda: EasRollbackOperator(**back), run_id="back").run()
    row = list(Ledger.open().rows())[-1]
    told = json.loads(row.payload)
    assert (row.kind, row.version, told["triggered_by"]) == ("restored", models[0]["version"], "somebody")
    assert (told["reason"], told["previous_version"]) == ("people complain", models[1]["version"])
