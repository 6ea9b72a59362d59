"""Whatever way a job's task takes to its end, it leaves the same XComs, links and ledger rows."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.dsw import DswRunCommandOperator
from tests.task import Task

TRAIN = """echo working; [ $RANK = 0 ] || exit 0
echo m > $PAI_OUTPUT_DIR/model; echo '{"accuracy": 0.9}' > $PAI_OUTPUT_DIR/metrics.json"""


def dlc(bucket: str, **arguments):
    return DlcSubmitJobOperator(
        task_id="task",
        framework="xgboost",
        workers=2,
        ecs_spec="ecs.g6.large",
        image="train:1",
        command=TRAIN,
        inputs={"data": f"oss://{bucket}/in"},
        output=f"oss://{bucket}/models/digits",
        parameters={"depth": 3},
        poll_interval=0.02,
        **arguments,
    )


def dsw(bucket: str, **arguments):
    return DswRunCommandOperator(
        task_id="task",
        ecs_spec="ecs.g6.large",
        image="prepare",
        poll_interval=0.02,
        command="cat $PAI_INPUT_DATA_DIR/x.txt > $PAI_OUTPUT_DIR/y.txt",
        inputs={"data": f"oss://{bucket}/in"},
        output=f"oss://{bucket}/data",
        **arguments,
    )


def function(bucket: str, **arguments):
    @task.pai_dlc(
        task_id="task",
        workers=2,
        ecs_spec="ecs.g6.large",
        image="train:1",
        output=f"oss://{bucket}/models/digits",
        inputs={"data": f"oss://{bucket}/in"},
        poll_interval=0.02,
        **arguments,
    )
    def train(depth: int) -> dict:
        import os
        from pathlib import Path

        if os.environ["RANK"] == "0":
            Path(os.environ["PAI_OUTPUT_DIR"], "model").write_text("m")
        return {"depth": depth, "data": Path(os.environ["PAI_INPUT_DATA_DIR"], "x.txt").read_text()}

    return train(3).operator


def early_terminal(run: Task, make, monkeypatch):
    """The job has ended before the operator looks at it for the first time."""
    monkeypatch.setattr(run, "make", lambda: with_slow_link(make()))


def with_slow_link(operator):
    remember = operator._remember

    def wait_then_remember(context, job_id):
        operator.hook.wait(job_id, poll_interval=0.02)
        remember(context, job_id)

    operator._remember = wait_then_remember
    return operator


class WorkerLostError(BaseException):
    """Ends a worker as SIGKILL does: none of the operator's own handlers runs."""


def resumed(run: Task, make):
    """The first worker dies after the submit; the next try finds the job."""

    def dying():
        operator = make()

        def die(_context, _job_id):
            raise WorkerLostError

        operator._remember = die
        return operator

    run.make = dying
    with pytest.raises(WorkerLostError):
        run.run()
    run.make = make


@pytest.mark.parametrize("make", [dlc, dsw, function])
def test_every_path_ends_alike(make, bucket, connection, monkeypatch, tmp_path):
    OssHook().put(f"oss://{bucket.bucket_name}/in/x.txt", "data")
    outcomes = {}
    for path in ("sync", "deferred", "early", "resumed"):
        monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / path))
        build = lambda path=path: make(bucket.bucket_name, deferrable=path != "sync")  # noqa: E731
        run = Task(build, run_id=f"{make.__name__}-{path}")
        if path == "early":
            early_terminal(run, build, monkeypatch)
        if path == "resumed":
            resumed(run, build)
        run.run()
        rows = [(row.kind, row.subject, row.event_key.split("/")[0]) for row in Ledger.open().rows()]
        outcomes[path] = {"xcoms": shape(run.xcoms), "rows": rows}
    assert outcomes["sync"] == outcomes["deferred"] == outcomes["early"] == outcomes["resumed"]
    told = {dsw: ["run_finished", "dataset_produced"]}
    kinds = [kind for kind, *_ in outcomes["sync"]["rows"] if kind != "usage"]
    assert kinds == told.get(make, ["artifact_produced"])
    assert any(key.endswith("_url") for key in outcomes["sync"]["xcoms"])


VARIES = set(
    """version uri record digest created_at id url run_id instance_id output run_uri log_uri finished_at try_number
    began ended seconds status_seconds""".split()
)


def shape(value, name=""):
    """Return a value with what differs between any two runs cut to whether it is there."""
    if name in VARIES or name.endswith("_url"):
        return value not in (None, "")
    if isinstance(value, dict):
        return {key: shape(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item, name) for item in value]
    return value
