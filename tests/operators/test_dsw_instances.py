"""Instances that outlive their task: made once, ended on every way out, refused before anything is made."""

from __future__ import annotations

import pytest

from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.dsw import DswCreateInstanceOperator
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


def create(run_id, **changes):
    given = {"task_id": "task", "image": "cpu", "ecs_spec": "ecs.g6.large", "poll_interval": 0.02, **changes}
    return Task(lambda: DswCreateInstanceOperator(**given), run_id=f"instance-{run_id}")


def document(pai, instance_id):
    return pai.account.store.get("dsw-instance", instance_id)


def made(task):
    """Return the statuses of the instances that a task has made."""
    operator = task.make()
    tags = {"airflow_task": operator.identity(task.context()).task}
    return sorted(job.status for job in DswHook().tagged(tags))


@pytest.mark.parametrize("deferrable", [False, True])
def test_an_instance_runs_and_the_service_itself_ends_it_when_it_idles_or_its_time_is_over(pai, bucket, deferrable):
    OssHook().put(f"oss://{bucket.bucket_name}/in/a", "a")
    one = create(
        f"made-{deferrable}",
        deferrable=deferrable,
        inputs={"raw": f"oss://{bucket.bucket_name}/in"},
        output=f"oss://{bucket.bucket_name}/out",
        max_running_time="2h",
        idle_timeout="30m",
    )
    result = one.run()
    known = document(pai, result["instance_id"])
    assert (result["status"], result["output"]) == ("Running", f"oss://{bucket.bucket_name}/out/")
    assert [each["MountPath"] for each in known["Request"]["Datasets"]] == ["/mnt/pai/input/raw", "/mnt/pai/output"]
    assert known["IdleInstanceCuller"]["MaxIdleTimeInMinutes"] == 30
    assert known["ShutdownTimer"]
    assert one.run() == result
    assert made(one) == ["Running"]
