"""Values that are not what they look like: one pattern for many, no numbers among numbers, texts for switches."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.eas import EasDeployServiceOperator
from airflow_provider_pai.operators.model import ModelGateOperator
from airflow_provider_pai.operators.oss import OssDeleteOperator, OssListOperator, OssUploadOperator
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def home(bucket):
    """A prefix with a table and what is left of its making."""
    for name in ("a.csv", "b.tmp"):
        OssHook().put(f"oss://{bucket.bucket_name}/p/{name}", "1")
    return f"oss://{bucket.bucket_name}/p/"


def run(operator, **given):
    return Task(lambda: operator(task_id="task", **given)).run()


def trained(home, command, **changes):
    """Train a model on DLC; return the artifact as its XCom holds it."""
    given = {"framework": "pytorch", "image": "i", "ecs_spec": "ecs.g6.large", "poll_interval": 0.02, **changes}
    return run(DlcSubmitJobOperator, command=command, output=f"{home}models/m", **given)


def test_a_person_gives_one_pattern_where_many_are_meant(home, tmp_path):
    assert run(OssListOperator, uri=home, include="*.tmp") == [f"{home}b.tmp"]
    assert run(OssDeleteOperator, uri=home, include="*.tmp") == 1
    assert run(OssDeleteOperator, uri=home, include=[]) == 0
    (tmp_path / "c.csv").write_text("1")
    assert run(OssUploadOperator, path=str(tmp_path), uri=home, exclude="*.tmp")["moved"] == 1
    assert run(OssListOperator, uri=home) == [f"{home}a.csv", f"{home}c.csv"]


def test_a_person_writes_a_template_where_none_is_read(home, tmp_path):
    with pytest.raises(PaiConfigError, match=r"delete: '{{ params.delete }}' is not allowed; true or false"):
        run(OssUploadOperator, path=str(tmp_path), uri=home, delete="{{ params.delete }}")


def test_a_training_leaves_a_nan_and_no_gate_lets_it_through(home):
    command = """echo '{"loss": NaN, "accuracy": NaN, "f1": 0.9}' > "$PAI_OUTPUT_DIR/metrics.json" """
    artifact = trained(home, command)
    assert artifact["metrics"] == {"f1": 0.9}
    assert json.dumps(artifact, allow_nan=False), "Airflow stores it"
    with pytest.raises(PaiConfigError, match=r"metrics\.json it is nan, and a metric is a finite number"):
        run(ModelGateOperator, artifact=artifact, group="no_such_group")
    assert run(ModelGateOperator, artifact=artifact["uri"], metric="f1", group="no_such_group")["passed"]


def test_a_training_forgets_its_metrics(home):
    artifact = trained(home, 'echo 1 > "$PAI_OUTPUT_DIR/model"')
    with pytest.raises(PaiConfigError, match=r"has no metrics\.json: the job has to leave one in PAI_OUTPUT_DIR"):
        run(ModelGateOperator, artifact=artifact, group="no_such_group")


def test_a_gate_or_deployment_comes_after_a_task_that_was_skipped():
    def deployed():
        operator = EasDeployServiceOperator(task_id="task", service_name="one", image="i", artifact="{{ … }}")
        operator.artifact = None  # what XComs and native templates make of it
        return operator

    for task in (Task(deployed), Task(lambda: ModelGateOperator(task_id="task", artifact=None, group="no_such"))):
        with pytest.raises(PaiConfigError, match="the task that makes it left none: was it skipped"):
            task.run()
