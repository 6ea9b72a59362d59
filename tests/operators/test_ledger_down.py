"""A ledger that is down is in nobody's way: paid work ends well, a rollout with its own error and XCom."""

from __future__ import annotations

import pytest

from airflow_provider_pai.exceptions import RolloutRolledBackError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator
from airflow_provider_pai.operators.model import ModelGateOperator
from airflow_provider_pai.sensors.oss import OssArtifactSensor
from tests.dead import WAYS, dead
from tests.group import PROBE, ServiceGroup
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

SAVE = "echo m > $PAI_OUTPUT_DIR/model; echo '{\"accuracy\": 0.9}' > $PAI_OUTPUT_DIR/metrics.json"


def kinds():
    return [row.kind for row in Ledger.open().rows()]


def waiting(bucket):
    return list(OssHook().list_objects(f"oss://{bucket}/.pai/ledger/"))


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_training_that_succeeded_ends_well_and_its_row_is_written_before_the_next(bucket, way, deferrable):
    name = bucket.bucket_name
    train = Task(
        lambda: DlcSubmitJobOperator(
            task_id="task",
            framework="xgboost",
            ecs_spec="ecs.g6.large",
            image="train:1",
            command=SAVE,
            output=f"oss://{name}/models/digits",
            poll_interval=0.02,
            deferrable=deferrable,
        ),
        run_id=f"{name}-train",
    )
    with dead(way):
        artifact = train.run()
        assert train.run() == artifact
    assert artifact["metrics"] == {"accuracy": 0.9}
    assert kinds() == []
    assert len(waiting(name)) == 2
    gate = Task(lambda: ModelGateOperator(task_id="task", artifact=artifact, group="no_such_group"), run_id="gate")
    assert gate.run()["passed"]
    assert kinds() == ["usage", "artifact_produced", "gate_passed"]
    assert waiting(name) == []


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_sensor_finds_its_artifact(bucket, deferrable):
    group = ServiceGroup(bucket.bucket_name)
    artifact = group.model(20)
    given = {"task_id": "task", "artifact": artifact["uri"], "deferrable": deferrable, "poke_interval": 0.05}
    with dead("refused"):
        assert Task(lambda: OssArtifactSensor(**given)).run()["digest"] == artifact["digest"]
    assert len(waiting(bucket.bucket_name)) == 1


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_rollout_that_was_rolled_back_ends_with_its_own_error_and_xcom(bucket, deferrable):
    group = ServiceGroup(bucket.bucket_name)
    given = group.arguments(group.model(20, answer=41), probe=PROBE, deferrable=deferrable)
    task = Task(lambda: EasCanaryDeployOperator(**given), run_id="night-1")
    try:
        with dead("silent"), pytest.raises(RolloutRolledBackError, match="smoke test"):
            task.run()
    finally:
        group.clean_up()
    assert task.xcoms["return_value"]["outcome"] == "rolled_back"
    assert len(waiting(bucket.bucket_name)) == 1
