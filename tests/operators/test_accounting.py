"""Accounts of tasks stand in the ledger and on artifacts, and are what the emulator's meter has counted."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.artifact import ModelArtifact
from airflow_provider_pai.cli.__main__ import main
from airflow_provider_pai.cli.cost import complete, entries
from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.dsw import DswHook, DswRunHook
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.ledger.task import TaskLedger
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.dsw import DswRunCommandOperator
from tests.conftest import airflow_connection
from tests.task import Task, WorkerLostError, lost_now

TRAIN = """echo m > $PAI_OUTPUT_DIR/model; echo '{"accuracy": 0.9}' > $PAI_OUTPUT_DIR/metrics.json"""


@pytest.fixture
def ledger(pai, bucket, monkeypatch, tmp_path, connection):
    name, prices = bucket.bucket_name, "currency=CNY ecs.g6.large=3600 spot=0.5"
    told = airflow_connection(pai, state_uri=f"oss://{name}/state", deployment=name, prices=prices)
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(told))
    monkeypatch.setenv("AIRFLOW_CONN_AUDIT", f"sqlite://{tmp_path}/audit.sqlite")
    return tmp_path / "audit.sqlite"


def train(bucket, command, **arguments):
    return Task(
        lambda: DlcSubmitJobOperator(
            task_id="task",
            framework="pytorch",
            workers=2,
            ecs_spec="ecs.g6.large",
            image="i",
            command=command,
            output=f"oss://{bucket.bucket_name}/models/digits",
            poll_interval=0.02,
            ledger_conn_id="audit",
            **arguments,
        ),
        run_id=f"night-{bucket.bucket_name}",
        max_tries=3,
    )


def metered(pai):
    return {f"{each['Service']}/{each['Id']}": each for each in pai.account.meter.read(pai.account.now().timestamp())}


def recorded(path):
    return {each.usage.key.removeprefix("usage/"): each for each in entries(Ledger.at(path), "dag")}


def completed(path):
    hooks = [DlcHook(), DswRunHook()]
    told = list(entries(Ledger.at(path), "dag"))
    return complete(hooks, TaskLedger(hooks[0], "audit", hooks[0].log), told, "dag")


def test_each_generation_is_recorded_once_and_is_what_the_meter_has_counted(pai, bucket, ledger, capsys):
    task = train(bucket, "exit 3")
    with pytest.raises(PaiError):
        task.run()
    task.make = train(bucket, "sleep 60").make
    operator = task.make()
    operator.wait_here = lost_now  # the worker is lost, and a person clears the task: its job is stopped
    task.try_number += 1
    with pytest.raises(WorkerLostError):
        operator.execute(task.context())
    task.max_tries += 1
    task.make = train(bucket, TRAIN).make
    artifact = ModelArtifact.from_dict(task.run())
    assert [(each.cycle, each.generation) for each in artifact.usage] == [(3, 1), (3, 2), (4, 1)]
    assert artifact.usage[-1].cause == ""

    completed(ledger)
    assert completed(ledger) == []
    rows = recorded(ledger)
    assert len(rows) == 3
    assert {each.run_id for each in rows.values()} == {task.run_id}
    counted = metered(pai)
    assert {name: each.usage.seconds for name, each in rows.items()} == {
        name: counted[name]["Seconds"] if name in counted else 0.0 for name in rows
    }
    nodes = next(each["Nodes"] for name, each in counted.items() if name in rows)
    assert nodes == [{"Type": "ecs.g6.large", "Count": 2, "Spot": False}]

    capsys.readouterr()
    main(["cost", "--dag", "dag", "--model", "digits", "--ledger-conn-id", "audit", "--json"])
    told = json.loads(capsys.readouterr().out)
    (version,) = told["versions"]
    seconds = sum(2 * each.usage.seconds for each in rows.values())
    assert (version["version"], version["money"]) == (artifact.version, pytest.approx(seconds))
    assert set(told["wasted"]) == {each.usage.cause for each in rows.values()} - {""}
    main(["cost", "--dag", "dag", "--ledger-conn-id", "audit"])
    assert capsys.readouterr().out.startswith(f"{seconds:.2f} CNY (")


def test_an_instance_that_is_deleted_is_recorded_before(pai, bucket, ledger):
    task = Task(
        lambda: DswRunCommandOperator(
            task_id="task",
            ecs_spec="ecs.g6.large",
            image="prepare",
            command="true",
            run_uri=f"oss://{bucket.bucket_name}/runs",
            poll_interval=0.02,
            after="delete",
            ledger_conn_id="audit",
        )
    )
    name = f"dsw/{task.run()['instance_id']}"
    row, counted = recorded(ledger)[name], metered(pai)[name]
    assert row.usage.seconds == pytest.approx(counted["Seconds"], abs=0.01)
    assert (row.usage.cause, row.usage.nodes[0].type) == ("", "ecs.g6.large")


def test_an_instance_has_the_price_that_dsw_tells_where_the_connection_has_none(pai, bucket, ledger, capsys):
    task = Task(
        lambda: DswRunCommandOperator(
            task_id="task",
            ecs_spec="ecs.gn6i-c4g1.xlarge",
            image="prepare",
            command="sleep 0.2",
            run_uri=f"oss://{bucket.bucket_name}/runs",
            poll_interval=0.02,
            after="delete",
            ledger_conn_id="audit",
        )
    )
    name = f"dsw/{task.run()['instance_id']}"
    (spec,) = (each for each in DswHook().ecs_specs() if each["InstanceType"] == "ecs.gn6i-c4g1.xlarge")
    assert spec["Price"] > 0
    capsys.readouterr()
    main(["cost", "--dag", "dag", "--ledger-conn-id", "audit", "--json"])
    told = json.loads(capsys.readouterr().out)
    hours = metered(pai)[name]["Seconds"] / 3600
    assert (told["currency"], told["total"]["unpriced_hours"]) == ("CNY", {})
    assert told["total"]["money"] == pytest.approx(hours * spec["Price"], rel=0.1)
