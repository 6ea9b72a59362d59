from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.models import import_all_models
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from airflow_provider_pai.cli.__main__ import main
from airflow_provider_pai.cli.definition import get_pai_commands
from airflow_provider_pai.cli.jobs import (
    Maker,
    Orphan,
    TaskNow,
    find_orphans,
    is_since,
    orphans,
    reason,
    since_when,
    task_in_database,
)
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.get_provider_info import get_provider_info
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.dsw import DswRunHook
from airflow_provider_pai.identity import TaskName
from airflow_provider_pai.labels import UNTIL_RUN_ENDS, UNTIL_STOPPED, Key
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.dsw import DswRunCommandOperator
from airflow_provider_pai.remote import RemoteJob
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
        {"airflow_dag_id": "d", "airflow_run_id": "r", "airflow_task_id": "t", "airflow_map_index": "x"},
    ],
)
def test_tags_that_are_not_ours_name_no_task(tags):
    assert TaskName.of(tags) is None


def submit(make, run_id, **names):
    run = Task(make, run_id=run_id)
    one = run.make()
    return one.hook.submit(one.build(run.context(), one.identity(run.context())._replace(**names), 1))


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
    found = {orphan.job.job_id: orphan for orphan in find_orphans(hooks, lambda maker: tasks.get(maker.name.run_id))}
    assert mine & set(found) == {lost, instance}
    assert f"DLC job {lost}" in str(found[lost])
    assert f"made by dag.task of run {bucket.bucket_name}0: the task is gone" in str(found[lost])
    for orphan in found.values():
        orphan.hook.request_stop(orphan.job.job_id)
    DlcHook().request_stop(kept)


LONG = {"dag_id": "d" * 200, "run_id": "r" * 200, "task_id": "t" * 200}


def maker(**changes):
    names = {**LONG, "map_index": -1, **changes}
    tags = {**TaskName(**names).labels(), Key.TASK: TaskName(**names).hash("here")}
    return Maker.of({**tags, Key.DEPLOYMENT: "here"}, "here")


@pytest.fixture
def database(monkeypatch):
    """A metadata database with task instances, none of them `maker()`'s."""
    import_all_models()
    engine = create_engine("sqlite://")
    for table in (DagRun.__table__, TaskInstance.__table__):
        table.create(engine)
    monkeypatch.setattr("airflow.utils.session.create_session", lambda: Session(engine))

    def add(state="running", run_state=None, **changes):
        values = {**LONG, "map_index": -1, "max_tries": 1, "state": state, **changes}
        with engine.begin() as connection:
            if run_state:
                run = {"dag_id": values["dag_id"], "run_id": values["run_id"], "state": run_state}
                needed = {
                    "run_type": "manual",
                    "run_after": datetime.now(UTC),
                    "clear_number": 0,
                    "log_template_id": None,
                }
                known = {name: value for name, value in needed.items() if name in DagRun.__table__.columns}
                connection.execute(DagRun.__table__.insert().values(**run, **known))
            connection.execute(TaskInstance.__table__.insert().values(pool="p", pool_slots=1, **values))

    add(run_id="r" * 199)
    add(task_id="t" * 201)
    add(map_index=3)
    return add


def test_a_task_with_long_ids_is_found_by_its_hash(database):
    assert task_in_database(maker()) is None
    database("success", max_tries=4)
    assert task_in_database(maker()) == TaskNow("success", 4)


@pytest.mark.parametrize(("run_state", "goes_on"), [("queued", True), ("running", True), ("failed", False)])
def test_whether_the_run_of_a_task_goes_on_is_told(database, run_state, goes_on):
    database("success", run_state)
    assert task_in_database(maker()) == TaskNow("success", 1, goes_on)


@pytest.mark.parametrize(
    ("now", "lasts", "why"),
    [
        (TaskNow("success", 1, run_goes_on=True), UNTIL_RUN_ENDS, ""),
        (TaskNow("success", 1), UNTIL_RUN_ENDS, "its DAG run has ended"),
        (TaskNow("failed", 1, run_goes_on=True), UNTIL_RUN_ENDS, "the task is finished (failed)"),
        (TaskNow("success", 2, run_goes_on=True), UNTIL_RUN_ENDS, "the task was cleared"),
        (None, UNTIL_RUN_ENDS, "the task is gone"),
        (None, UNTIL_STOPPED, ""),
    ],
)
def test_an_instance_that_outlives_its_task_is_an_orphan_once_its_run_has_ended(now, lasts, why):
    assert reason(now, 1, lasts) == why


def test_a_task_with_short_ids_is_found_by_them(database):
    short = {"dag_id": "d_d", "run_id": "r", "task_id": "t"}
    database("failed", **short)
    database("running", **{**short, "run_id": "r2"})
    assert task_in_database(maker(**short)) == TaskNow("failed", 1)
    assert task_in_database(maker(**{**short, "dag_id": "dxd"})) is None


def test_a_job_whose_ids_were_cut_is_found_too(bucket, connection):
    arguments = {"ecs_spec": "ecs.g6.large", "image": "i", "command": "sleep 60", "framework": "pytorch"}
    make = lambda: DlcSubmitJobOperator(task_id="task", **arguments)  # noqa: E731
    job = submit(make, bucket.bucket_name + "r" * 150, dag_id="d" * 150, task_id="t" * 150)
    try:
        (orphan,) = (found for found in find_orphans([DlcHook()], lambda maker: None) if found.job.job_id == job)
        assert orphan.why == "the task is gone"
    finally:
        DlcHook().request_stop(job)


@pytest.mark.parametrize(("deployment", "ours"), [("here", True), ("there", False), (None, False)])
def test_a_task_that_nobody_knows_may_be_another_deployment_s(deployment, ours):
    tags = {**TaskName(**LONG, map_index=-1).labels(), Key.TASK: "0" * 32}
    assert Maker.of({**tags, **({Key.DEPLOYMENT: deployment} if deployment else {})}, "here").ours == ours


def test_the_commands_are_discovered():
    assert get_provider_info()["cli"] == ["airflow_provider_pai.cli.definition.get_pai_commands"]
    (pai,) = get_pai_commands()
    groups = {each.name: [command.name for command in getattr(each, "subcommands", ())] for each in pai.subcommands}
    assert (pai.name, groups["jobs"], groups["datasets"]) == ("pai", ["orphans"], ["prune"])
    assert {"flush", "verify"} <= {*groups["ledger"]}


def test_the_commands_are_a_program_of_their_own_too(connection, capsys, monkeypatch):
    monkeypatch.setattr("airflow_provider_pai.cli.jobs.find_orphans", lambda *_: [])
    with pytest.raises(SystemExit):
        main(["jobs", "orphans", "--since"])
    assert "python -m airflow_provider_pai.cli jobs orphans" in capsys.readouterr().err
    main(["jobs", "orphans", "--since", "2000-01-01"])
    assert "0 orphans; DLC jobs of the last 90 days were looked at" in capsys.readouterr().err


def test_since_is_a_time_or_how_long_ago():
    assert since_when("2026-11-21") == datetime(2026, 11, 21, tzinfo=UTC)
    assert abs(datetime.now(UTC) - timedelta(days=2) - since_when("2d")) < timedelta(seconds=10)
    with pytest.raises(PaiConfigError, match=r"--since: 'soon' is not allowed; a time in ISO 8601.* or a span"):
        since_when("soon")
    with pytest.raises(PaiConfigError, match="--since: 'nan'"):
        since_when("nan")
    assert is_since(None, since_when("2d"))
    assert not is_since(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC))


def test_a_line_tells_when_the_job_was_made_in_airflows_zone(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__DEFAULT_TIMEZONE", "Asia/Shanghai")
    made = (datetime.now(UTC) - timedelta(hours=3, minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    job = RemoteJob(job_id="dlc1", status="Running", created=made)
    task = TaskName(dag_id="d", run_id="r", task_id="t", map_index=-1)
    line = str(Orphan(DlcHook(), job, task, "the task is gone"))
    assert ": the task is gone; made 3 hours ago (" in line
    assert line.endswith("Asia/Shanghai)")


def test_a_task_whose_dag_has_a_name_that_no_label_can_have_is_found_by_its_hash(database):
    names = {"dag_id": "aliyun_etl", "run_id": "r" * 200, "task_id": "acs:load"}
    assert maker(**names).name.dag_id.startswith("/aliyun_etl-")
    assert task_in_database(maker(**names)) is None
    database("running", **names)
    assert task_in_database(maker(**names)) == TaskNow("running", 1)


@pytest.mark.parametrize("world", ["refused", "cut"])
def test_orphans_of_a_deployment_with_a_scheme_are_told_from_another_one_s(pai, bucket, connection, world, monkeypatch):
    pai.account.change_world({"label_values": world})
    arguments = {"task_id": "task", "ecs_spec": "ecs.g6.large", "image": "i", "command": "sleep 60"}
    make = lambda: DswRunCommandOperator(run_uri=f"oss://{bucket.bucket_name}/runs", **arguments)  # noqa: E731
    # A name that is cut, so that its hash alone does not tell whose it is.
    mine = submit(make, bucket.bucket_name + "r" * 150)
    theirs = submit(make, bucket.bucket_name + "r" * 151, deployment="http://airflow.test")
    try:
        found = {orphan.job.job_id for orphan in find_orphans([DswRunHook()], lambda maker: None)}
        assert found & {mine, theirs} == {mine}
    finally:
        for instance in (mine, theirs):
            DswRunHook().request_stop(instance)


def test_what_can_t_be_stopped_yet_is_said_and_the_rest_is_stopped(pai, bucket, connection, monkeypatch, capsys):
    pai.account.change_world({"dlc_stop_creating": "refused"})
    hook = DlcHook()
    hook.retry_seconds = 0
    arguments = {"ecs_spec": "ecs.g6.large", "image": "i", "command": "sleep 60", "framework": "pytorch"}
    make = lambda: DlcSubmitJobOperator(task_id="task", **arguments)  # noqa: E731
    running = submit(make, f"{bucket.bucket_name}running")
    hook.wait(running, poll_interval=0.02, until=lambda job: job.status == "Running")
    pai.account.change_settings({"dwell": 1.5})
    preparing = submit(make, f"{bucket.bucket_name}preparing")
    found = [Orphan(hook, hook.get(job), TaskName("d", "r", "t", -1), "gone") for job in (preparing, running)]
    pai.account.change_settings({"dwell": 0.01})
    monkeypatch.setattr("airflow_provider_pai.cli.jobs.find_orphans", lambda *_: found)
    with pytest.raises(SystemExit, match="1 of them go on"):
        orphans(SimpleNamespace(conn_id="pai_default", since=None, stop=True))
    told = [line for line in capsys.readouterr().out.splitlines() if "made by" in line]
    assert f"; NOT stopped: dlc StopJob: {preparing} is Creating and can't be ended yet" in told[0]
    assert told[1].endswith("; stopped")
    DlcHook().request_stop(preparing)
    assert hook.wait(preparing, poll_interval=0.02).status == "Stopped"
