from __future__ import annotations

import pytest

from airflow_provider_pai.cli.definition import get_pai_commands
from airflow_provider_pai.cli.jobs import TaskNow, find_orphans, reason
from airflow_provider_pai.get_provider_info import get_provider_info
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.dsw import DswRunHook
from airflow_provider_pai.identity import TaskName
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.dsw import DswRunCommandOperator
from tests.task import Task


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (None, "the task is gone"),
        (TaskNow("success", 1), "the task is finished (success)"),
        (TaskNow("failed", 1), "the task is finished (failed)"),
        (TaskNow("running", 2), "the task was cleared"),
        (TaskNow("running", 1), ""),
        (TaskNow("deferred", 1), ""),
        (TaskNow("up_for_retry", 1), ""),
        (TaskNow(None, 1), ""),
    ],
)
def test_reason(now, why):
    assert reason(now, 1) == why


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"airflow_dag_id": "d", "airflow_run_id": "r", "airflow_task_id": "", "airflow_map_index": "-1"},
        {"airflow_dag_id": "d" * 128, "airflow_run_id": "r", "airflow_task_id": "t", "airflow_map_index": "-1"},
        {"airflow_dag_id": "d", "airflow_run_id": "r", "airflow_task_id": "t", "airflow_map_index": "x"},
    ],
)
def test_a_name_that_is_not_certain_is_none(tags):
    assert TaskName.of(tags) is None


def submit(make, run_id):
    run = Task(make, run_id=run_id)
    one = run.make()
    return one.hook.submit(one.build(run.context(), one.identity(run.context()), 1))


def test_only_running_jobs_without_a_task_are_found(bucket, connection):
    arguments = {"task_id": "task", "ecs_spec": "ecs.g6.large", "image": "i", "command": "sleep 60"}
    train = lambda: DlcSubmitJobOperator(framework="pytorch", **arguments)  # noqa: E731
    prepare = lambda: DswRunCommandOperator(run_uri=f"oss://{bucket.bucket_name}/runs", **arguments)  # noqa: E731
    lost, kept, instance = (submit(make, f"{bucket.bucket_name}{n}") for n, make in enumerate((train, train, prepare)))
    stopped = submit(train, f"{bucket.bucket_name}3")
    DlcHook().request_stop(stopped)
    tasks = {f"{bucket.bucket_name}1": TaskNow("running", 1)}
    hooks = [DlcHook(), DswRunHook()]
    mine = {lost, kept, instance, stopped}
    found = {orphan.job.job_id: orphan for orphan in find_orphans(hooks, lambda name: tasks.get(name.run_id))}
    assert mine & set(found) == {lost, instance}
    assert f"DLC job {lost}" in str(found[lost])
    assert f"of dag.task in {bucket.bucket_name}0: the task is gone" in str(found[lost])
    for orphan in found.values():
        orphan.hook.request_stop(orphan.job.job_id)
    DlcHook().request_stop(kept)


def test_the_commands_are_discovered():
    assert get_provider_info()["cli"] == ["airflow_provider_pai.cli.definition.get_pai_commands"]
    (pai,) = get_pai_commands()
    (jobs,) = pai.subcommands
    assert (pai.name, jobs.name, [command.name for command in jobs.subcommands]) == ("pai", "jobs", ["orphans"])
