"""Instances that outlive their task: made once, ended on every way out, refused before anything is made."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator

from airflow_provider_pai.cli.jobs import TaskNow, find_orphans
from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError, PaiNotFoundError
from airflow_provider_pai.hooks.dsw import DswHook, DswRestHook, DswRunHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.dsw import (
    DswCreateInstanceOperator,
    DswDeleteInstanceOperator,
    DswStartInstanceOperator,
    DswStopInstanceOperator,
)
from airflow_provider_pai.sensors.dsw import DswInstanceSensor
from tests.emulator.pai_sdk import until
from tests.task import Task, WorkerLostError, lost_now

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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ecs_spec": None}, "ecs_spec, resource_id"),
        (
            {"instance_config": {"InstanceName": "my-notebook"}},
            r"InstanceName'\]: 'my-notebook' .*letters, digits and _",
        ),
        ({"instance_config": {"InstanceName": "a" * 28}}, "1 to 27"),
        ({"role_arn": "role/airflow"}, "role_arn: 'role/airflow' .*acs:ram::"),
        ({"command": "true"}, "run_uri: None"),
        ({"instance_config": {"Datasets": [{"Uri": "oss://b/", "MountPath": "/mnt/pai"}]}}, "MountPath: '/mnt/pai'"),
        ({"instance_config": {"Datasets": "no"}}, "a list of objects with Uri and MountPath"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(bucket, changes, message):
    one = create(f"bad-{message}", **{"inputs": {"a": f"oss://{bucket.bucket_name}/in"}, **changes})
    OssHook().put(f"oss://{bucket.bucket_name}/in/a", "a")
    with pytest.raises(PaiConfigError, match=message):
        one.run()
    assert made(one) == []


@pytest.mark.parametrize("field", ["output", "run_uri", "inputs"])
def test_a_bucket_in_another_region_is_refused_before_anything_is_made(pai, field):
    name = f"far-{field.replace('_', '-')}"
    pai.call(lambda: pai.services.oss.create_bucket(name, region="cn-beijing"))
    given = f"oss://{name}/x"
    one = create(
        f"far-{field}", command="true", **{"run_uri": given, field: {"a": given} if field == "inputs" else given}
    )
    with pytest.raises(PaiApiError, match="cn-beijing"):
        one.run()
    assert made(one) == []


def test_a_cleared_task_stops_its_instance_and_makes_another():
    one = create("cleared")
    first = one.run()["instance_id"]
    one.max_tries += 1
    second = one.run()["instance_id"]
    assert first != second
    assert stopped(first)
    assert DswHook().get(second).status == "Running"


def stopped(instance_id):
    return DswRestHook().wait(instance_id, poll_interval=0.02).status == "Stopped"


def test_a_lost_worker_s_instance_is_found_again(monkeypatch):
    one = create("lost")
    one.max_tries = 2
    with monkeypatch.context() as patch:
        patch.setattr(DswCreateInstanceOperator, "wait_here", lost_now)
        with pytest.raises(WorkerLostError):
            one.run()
    one.run()
    assert made(one) == ["Running"]


def test_a_killed_task_s_instance_is_stopped():
    one = create("killed")
    operator = one.make()
    instance_id = operator.begin(one.context())
    operator.on_kill()
    assert stopped(instance_id)


def test_an_instance_that_can_not_be_watched_for_idleness_runs_and_that_is_told(pai):
    pai.account.faults.add(match="api CreateIdleInstanceCuller ", status=403, code="NoPermission")
    one = create("no-culler")
    assert one.run()["status"] == "Running"
    assert any("IS NOT STOPPED WHEN IT IDLES" in line for _, line in one.lines)


@pytest.mark.parametrize(("keep", "why"), [(False, "its DAG run has ended"), (True, None)])
def test_what_runs_on_when_its_run_has_ended_is_an_orphan_unless_it_is_kept_and_at_rest_it_is_no_waste(keep, why):
    instance_id = create(f"orphan-{keep}", keep=keep).run()["instance_id"]
    ended, going_on = TaskNow("success", cycle=1), TaskNow("success", cycle=1, run_goes_on=True)
    whys = [
        {each.job.job_id: each.why for each in find_orphans([DswRunHook()], lambda _, now=now: now)}.get(instance_id)
        for now in (ended, going_on)
    ]
    assert whys == [why, None]
    DswHook().request_stop(instance_id)
    assert stopped(instance_id)
    assert DswRunHook().usage(DswRunHook().get(instance_id)).cause == ""


def test_its_command_runs_at_each_start(bucket):
    one = create("command", command="date +%s%N >> $PAI_OUTPUT_DIR/starts", output=f"oss://{bucket.bucket_name}/out")
    result = one.run()
    lines = lambda: OssHook().get(result["output"] + "starts").splitlines()  # noqa: E731
    until(lambda: OssHook().head(result["output"] + "starts"), bool)
    assert change(DswStopInstanceOperator, result).run() == "Stopped"
    assert change(DswStartInstanceOperator, result).run() == "Running"
    until(lambda: len(lines()), lambda count: count == 2)


def change(kind, result, run_id="x", **changes):
    given = {"task_id": "task", "instance_id": result["instance_id"], "poll_interval": 0.02, **changes}
    return Task(lambda: kind(**given), run_id=f"change-{run_id}")


@pytest.mark.parametrize("deferrable", [False, True])
def test_an_instance_is_stopped_started_and_deleted(pai, deferrable):
    result = create(f"cycle-{deferrable}").run()
    both = {"deferrable": deferrable}
    assert change(DswStopInstanceOperator, result, save_image=True, **both).run() == "Stopped"
    assert len(document(pai, result["instance_id"])["Snapshots"]) == 1
    assert change(DswStopInstanceOperator, result, **both).run() == "Stopped"
    assert change(DswStartInstanceOperator, result, **both).run() == "Running"
    assert change(DswStartInstanceOperator, result, **both).run() == "Running"
    assert change(DswDeleteInstanceOperator, result, **both).run() is None
    until(lambda: DswRestHook().get(result["instance_id"]).status, lambda status: status == "Deleted")
    assert change(DswDeleteInstanceOperator, result, **both).run() is None
    assert change(DswStopInstanceOperator, result, **both).run() == "Deleted"
    with pytest.raises(PaiNotFoundError):
        change(DswStartInstanceOperator, result, **both).run()


def test_a_killed_start_stops_what_it_has_started_and_nothing_that_ran_before():
    result = create("start").run()
    running = change(DswStartInstanceOperator, result)
    operator = running.make()
    operator.begin(running.context())
    operator.on_kill()
    assert DswHook().get(result["instance_id"]).status == "Running"
    change(DswStopInstanceOperator, result).run()
    operator = running.make()
    operator.begin(running.context())
    operator.on_kill()
    assert stopped(result["instance_id"])


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_sensor_waits_for_an_instance_and_leaves_it(deferrable):
    given = {"task_id": "task", "image": "cpu", "ecs_spec": "ecs.g6.large"}
    one = Task(lambda: DswCreateInstanceOperator(**given), run_id=f"sensor-{deferrable}")
    operator = one.make()
    body = operator.build(one.context(), operator.identity(one.context()), 1)
    instance_id = DswHook().submit(body)
    wait = {"task_id": "task", "instance_id": instance_id, "poke_interval": 0.02, "deferrable": deferrable}
    found = Task(lambda: DswInstanceSensor(**wait)).run()
    assert (found["instance_id"], found["status"]) == (instance_id, "Running")
    DswHook().request_stop(instance_id)
    assert Task(lambda: DswInstanceSensor(until="stopped", **wait)).run()["status"] == "Stopped"
    with pytest.raises(PaiConfigError, match="until: 'up'"):
        Task(lambda: DswInstanceSensor(until="up", **wait)).run()


def test_create_and_delete_are_a_setup_and_its_teardown():
    with DAG("warm", schedule=None) as dag:
        made = DswCreateInstanceOperator(task_id="create", image="cpu", ecs_spec="ecs.g6.large")
        delete = DswDeleteInstanceOperator(task_id="delete", instance_id=made.output["instance_id"])
        delete.as_teardown(setups=made)
        made >> BaseOperator(task_id="use") >> delete
    assert made.is_setup
    assert delete.is_teardown
    assert dag.get_task("delete").upstream_task_ids == {"create", "use"}
