"""Several tasks on one instance that serves their commands."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.exceptions import PaiConfigError, PaiJobFailedError
from airflow_provider_pai.hooks.dsw import DswCommandHook, DswHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.dsw import (
    DswCreateInstanceOperator,
    DswRunCommandOperator,
    DswRunNotebookOperator,
)
from tests.emulator.pai_sdk import until
from tests.task import Task, WorkerLostError, lost_now

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def instance(bucket):
    """What the task that made an instance has returned."""
    OssHook().put(f"oss://{bucket.bucket_name}/in/a.txt", "data")
    given = {
        "task_id": "create",
        "image": "cpu",
        "ecs_spec": "ecs.g6.large",
        "poll_interval": 0.02,
        "serve_commands": True,
        "command": "touch ~/prepared",
        "inputs": {"all": f"oss://{bucket.bucket_name}/in"},
        "output": f"oss://{bucket.bucket_name}/out",
    }
    yield Task(lambda: DswCreateInstanceOperator(**given), run_id=f"{bucket.bucket_name}-create").run()
    for each in DswHook().list_instances():
        DswHook().request_stop(each["InstanceId"])


def task(bucket, run_id, instance, kind=DswRunCommandOperator, **changes):
    output = f"oss://{bucket.bucket_name}/out/{run_id}"
    given = {"task_id": "task", "instance": instance, "poll_interval": 0.02, "log_interval": 0.05, "output": output}
    return Task(lambda: kind(**{**given, **changes}), run_id=f"{bucket.bucket_name}-{run_id}")


def count():
    return len(list(DswHook().list_instances()))


@pytest.mark.parametrize("deferrable", [False, True])
def test_tasks_run_one_after_another_on_one_instance(bucket, instance, repository, deferrable):
    before = count()
    inputs = {"raw": f"oss://{bucket.bucket_name}/in"}
    copy = "cp $PAI_INPUT_RAW_DIR/a.txt $PAI_OUTPUT_DIR/b.txt; ls ~/prepared; cat n.txt; echo; echo $PAI_PARAMS"
    code = {"repo": repository[0], "commit": "v1", "path": "sub"}
    given = {"deferrable": deferrable, "parameters": {"n": 1}, "after": "keep"}
    one = task(bucket, "one", instance, command=copy, inputs=inputs, code=code, **given)
    result = one.run()
    assert (result["instance_id"], result["instance"], result["exit_code"]) == (instance["instance_id"], "kept", 0)
    assert one.xcoms["pai_dsw_jupyterlab_url"].endswith("/lab/")
    assert OssHook().get(result["output"] + "b.txt") == b"data"
    assert OssHook().get(result["log_uri"]).decode().splitlines()[1:] == ["one", '{"n": 1}']
    assert one.run()["output"] == result["output"]
    two = task(bucket, "two", instance["instance_id"], command="ls -A; exit 3", deferrable=deferrable)
    with pytest.raises(PaiJobFailedError, match="exited with 3"):
        two.run()
    assert (count(), DswHook().get(instance["instance_id"]).status) == (before, "Running")


def test_a_notebook_runs_there_too(bucket, instance):
    pytest.importorskip("papermill")
    cell = {"cell_type": "code", "id": "a", "execution_count": None, "metadata": {}, "outputs": [], "source": "1 + 1"}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    OssHook().put(f"oss://{bucket.bucket_name}/in/nb/a.ipynb", json.dumps(notebook))
    instance_id = instance["instance_id"]
    DswHook().request_stop(instance_id)
    until(lambda: DswHook().get(instance_id).status, lambda status: status == "Stopped")
    DswHook().start(instance_id)  # what is mounted for reading alone is a copy there, of what was there at the start
    code = {"uri": f"oss://{bucket.bucket_name}/in/nb"}
    run = task(bucket, "nb", instance, kind=DswRunNotebookOperator, notebook="a.ipynb", kernel="python3", code=code)
    executed = json.loads(OssHook().get(run.run()["notebook_uri"]))
    assert executed["cells"][0]["outputs"][0]["data"] == {"text/plain": ["2"]}


def test_a_lost_worker_finds_its_command_again(bucket, instance, monkeypatch):
    run = task(bucket, "lost", instance, command="echo once >> $PAI_OUTPUT_DIR/n")
    with monkeypatch.context() as patch:
        patch.setattr(DswRunCommandOperator, "wait_here", lost_now)
        with pytest.raises(WorkerLostError):
            run.run()
    run.store.clear()
    monkeypatch.setattr("airflow_provider_pai.operators.jobs.SETTLE_SECONDS", 0.1)
    assert OssHook().get(run.run()["output"] + "n") == b"once\n"


def test_a_killed_tasks_command_is_stopped_and_the_next_one_runs(bucket, instance):
    run = task(bucket, "killed", instance, command="sleep 60")
    one = run.make()
    job_id = one.hook.submit(one.build(run.context(), one.identity(run.context()), 1))
    one._remember(run.context(), job_id)
    until(lambda: one.hook.get(job_id).status, lambda status: status == "Running")
    one.on_kill()
    assert task(bucket, "next", instance, command="true").run()["exit_code"] == 0
    assert DswCommandHook().get(job_id).reason_code == "StoppedByUser"


REFUSED = [
    ({"image": "gpu"}, "image: 'gpu' is not allowed; nothing beside instance"),
    ({"ecs_spec": "ecs.g6.large"}, "ecs_spec: .* nothing beside instance"),
    ({"role_arn": "acs:ram::1:role/a"}, "role_arn: .* nothing beside instance"),
    ({"instance": {"status": "Running"}}, "instance: None"),
    ({"instance": "dsw-none"}, "instance: 'dsw-none' .* an instance of this Airflow that serves commands"),
    ({"output": "oss://BUCKET/elsewhere"}, "output: 'oss://BUCKET/elsewhere/.* has mounted for writes: "),
    ({"output": "oss://BUCKET/in"}, "output: .* has mounted for writes: "),
    ({"inputs": {"raw": "oss://BUCKET/other/"}}, "raw: .* has mounted: "),
]


def test_what_an_instance_can_not_serve_is_refused_before_anything_is_queued(bucket, instance):
    OssHook().put(f"oss://{bucket.bucket_name}/other/a", "a")
    for changes, message in REFUSED:
        given = json.loads(json.dumps(changes).replace("BUCKET", bucket.bucket_name))
        with pytest.raises(PaiConfigError, match=message.replace("BUCKET", bucket.bucket_name)):
            task(bucket, "bad", **{"instance": instance, "command": "true", **given}).run()
    queue = DswCommandHook().serving(instance["instance_id"]).queue
    assert list(OssHook().list_objects(queue)) == []
