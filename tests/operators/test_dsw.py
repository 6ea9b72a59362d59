from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta

import pytest

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError, PaiJobFailedError, PaiNotFoundError
from airflow_provider_pai.hooks.dsw import DswHook, DswRunHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.labels import Key
from airflow_provider_pai.operators import jobs
from airflow_provider_pai.operators.dsw import (
    DswRunCommandOperator,
    DswRunNotebookOperator,
    runs,
)
from airflow_provider_pai.remote import TIME_LIMIT
from airflow_provider_pai.states import DSW_INSTANCE, Verdict
from tests.conftest import airflow_connection, oss_bucket
from tests.emulator.pai_sdk import until, wait_for
from tests.private_git import private_git
from tests.task import Task, WorkerLostError, lost_now

pytestmark = pytest.mark.usefixtures("connection")


def operator(bucket, kind=DswRunCommandOperator, **changes):
    given = {
        "task_id": "task",
        "image": "cpu",
        "ecs_spec": "ecs.g6.large",
        "poll_interval": 0.02,
        "output": f"oss://{bucket.bucket_name}/out",
    }
    return kind(**{**given, **changes})


def task(bucket, run_id, **changes):
    return Task(lambda: operator(bucket, **changes), run_id=f"{bucket.bucket_name}-{run_id}")


def rest(instance_id):
    hook = DswHook()
    return hook.wait(
        instance_id, poll_interval=0.02, until=lambda job: DSW_INSTANCE.judge(job.status) is Verdict.FAILED
    ).status


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_command_reads_writes_and_leaves_a_stopped_instance(bucket, deferrable):
    OssHook().put(f"oss://{bucket.bucket_name}/in/a.txt", "data")
    result = task(
        bucket,
        f"run-{deferrable}",
        deferrable=deferrable,
        parameters={"n": 1},
        command='echo "$PAI_PARAMS"; cp $PAI_INPUT_RAW_DIR/a.txt $PAI_OUTPUT_DIR/b.txt',
        inputs={"raw": f"oss://{bucket.bucket_name}/in"},
    ).run()
    assert result["exit_code"] == 0
    assert OssHook().get(result["output"] + "b.txt") == b"data"
    assert OssHook().get(result["log_uri"]) == b'{"n": 1}\n'
    assert rest(result["instance_id"]) == "Stopped"


@pytest.mark.parametrize("field", ["PAI_OUTPUT_URI", "PAI_CODE_COMMIT", "PAI_RUN_URI"])
def test_a_fact_that_an_answer_lacks_is_asked_for_again(bucket, repository, pai, field):
    code = {"repo": repository[0], "commit": "v1"}
    run = task(bucket, field, command="date > $PAI_OUTPUT_DIR/x", code=code)
    pai.account.faults.add(match="api GetInstance ", spoil="missing", fields=f".*{field}", times=2)
    result = run.run()
    assert (bool(OssHook().get(result["output"] + "x")), result["commit"]) == (True, repository[1][0])


def test_a_failed_command_fails_the_task_with_its_log_and_the_instance_is_stopped(bucket):
    run = task(bucket, "fails", command="echo about to; false; echo not reached")
    with pytest.raises(PaiJobFailedError, match="exited with 1") as caught:
        run.run()
    assert "about to" in str(caught.value)
    assert "not reached" not in str(caught.value)
    assert rest(caught.value.job_id) == "Stopped"


WORLDS = [
    {},
    {"dsw_refusal": "body"},
    {"dsw_on_start": "blocking"},
    {"dsw_on_start_size": 1024},
    {"dsw_user": "user"},
    {"dsw_missing_prefix": "fails"},
    {"dsw_timer": "running"},
]


@pytest.mark.parametrize("switches", [*WORLDS, {name: value for world in WORLDS for name, value in world.items()}])
def test_a_run_is_the_same_in_every_world(bucket, repository, world, switches):
    world(**switches)
    long = "\n".join(f": {index:0100}" for index in range(20))
    command = f"cat n.txt; echo; {long}\necho $PAI_PARAMS > $PAI_OUTPUT_DIR/b"
    code = {"repo": repository[0], "commit": "v1", "path": "sub"}
    run = task(bucket, "world", command=command, code=code, parameters={"n": 1}, after="delete")
    result = run.run()
    assert OssHook().get(result["output"] + "b") == b'{"n": 1}\n'
    assert OssHook().get(result["log_uri"]) == b"one\n"
    assert not any("NO TIME LIMIT" in line for _, line in run.lines)
    with pytest.raises(PaiNotFoundError):
        DswHook().wait(result["instance_id"], poll_interval=0.02)


def due_of(pai, instance_id):
    """Return for how many seconds after its making an instance's timer lets it run."""
    document = pai.account.store.get("dsw-instance", instance_id)
    begun = datetime.fromisoformat(document["GmtCreateTime"])
    due = datetime.fromisoformat(document["ShutdownTimer"]["DueTime"])
    return (due - begun).total_seconds()


def test_the_service_itself_stops_the_instance_in_time(bucket, pai, monkeypatch):
    """Airflow's time-out and ten minutes; who finds the instance again asks for the same time, and is content."""
    run = task(bucket, "timer", command="sleep 1", execution_timeout=timedelta(hours=1))
    run.max_tries = 2
    with monkeypatch.context() as patch:
        patch.setattr(DswRunCommandOperator, "wait_here", lost_now)
        with pytest.raises(WorkerLostError):
            run.run()
    result = run.run()
    assert due_of(pai, result["instance_id"]) == 4200
    assert DswRunHook().variables(result["instance_id"])[TIME_LIMIT] == "4200"
    said = [line for _, line in run.lines if "time" in line.lower()]
    assert "The service itself ends it after 1 hour 10 minutes (execution_timeout and 10 minutes)" in said
    assert not any("NO TIME LIMIT" in line for line in said)


def test_a_timer_that_may_not_be_set_fails_no_run(bucket, pai):
    run = task(bucket, "no-timer", command="true")
    refusal = {"status": 403, "code": "NoPermission"}
    pai.account.faults.add(match="api CreateInstanceShutdownTimer ", **refusal)
    assert run.run()["exit_code"] == 0
    assert any("HAS NO TIME LIMIT" in line for _, line in run.lines)


def test_an_instance_that_nobody_is_left_to_stop_is_stopped_by_the_service(monkeypatch):
    with Emulator(dwell=0.01, grace=0.2, minute=0.5) as pai:
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai)))
        bucket = oss_bucket(pai, "nobody-left")
        bucket.create_bucket()
        run = task(bucket, "lost", command="sleep 60", max_running_time="1m")
        monkeypatch.setattr(DswRunCommandOperator, "wait_here", lost_now)
        with pytest.raises(WorkerLostError):
            run.run()
        (instance,) = DswHook().list_instances()
        assert rest(instance["InstanceId"]) == "Stopped"


def test_the_log_is_read_while_the_command_runs(bucket, tmp_path):
    go = tmp_path / "go"
    run = task(bucket, "live", command=f"echo first; {wait_for(go)}; echo last", log_interval=0.05)
    one = run.make()
    hook = one.hook
    job_id = hook.submit(one.build(run.context(), one.identity(run.context()), 1))
    cursor: dict = {}
    until(lambda: hook.new_log_lines(job_id, cursor), lambda lines: lines == ["first"])
    assert hook.get(job_id).status != "RunSucceeded"
    go.touch()
    job = hook.wait(job_id, poll_interval=0.02)
    assert hook.new_log_lines(job_id, cursor) == ["last"]
    assert hook.log_tail(job) == "first\nlast"
    hook.request_stop(job_id)


@pytest.mark.parametrize(("who", "home"), [("root", "root"), ("user", "home")])
def test_a_run_writes_into_its_home_and_its_mounts_alone(pai, bucket, world, who, home):
    world(dsw_user=who)
    instance_id = task(bucket, "home", command="true").run()["instance_id"]
    rest(instance_id)
    root = pai.data / "dsw" / instance_id / "root"
    assert sorted(path.name for path in root.iterdir()) == sorted(["mnt", home])
    assert sorted(path.name for path in (root / "mnt/pai").iterdir()) == ["output", "run"]


def test_code_is_checked_out_at_the_commit(bucket, repository):
    repo, (first, _) = repository
    code = {"repo": repo, "commit": "v1", "path": "sub"}
    result = task(bucket, "git", command="cat n.txt; echo; pwd; echo $PAI_CODE_DIR", code=code).run()
    text, folder, variable = OssHook().get(result["log_uri"]).decode().splitlines()
    assert text == "one"
    assert result["commit"] == first
    assert folder.endswith("/pai-code/sub")
    assert variable == folder


def test_code_of_a_private_repository_comes_without_its_token(bucket, repository, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_GIT_MINE", json.dumps({"conn_type": "git", "login": "me", "password": "my-token"}))
    with private_git(repository[0], tmp_path) as (url, server):
        server.let_in("me", "my-token")
        code = {"repo": url, "commit": "v1", "path": "sub", "git_conn_id": "git_mine"}
        result = task(bucket, "private", command="cat n.txt; pwd", code=code).run()
    assert OssHook().get(result["log_uri"]).decode().startswith("one")
    left = {each.uri: OssHook().get(each.uri) for each in OssHook().list_objects(result["run_uri"])}
    assert "my-token" not in str(left)
    assert "my-token" not in str([DswHook().describe(result["instance_id"]), result])


def test_code_on_oss_is_the_folder_that_the_command_starts_in(bucket):
    OssHook().put(f"oss://{bucket.bucket_name}/code/sub/n.txt", "from oss")
    code = {"uri": f"oss://{bucket.bucket_name}/code", "path": "sub"}
    result = task(bucket, "oss-code", command="cat n.txt", code=code).run()
    assert OssHook().get(result["log_uri"]) == b"from oss\n"
    assert result["commit"].startswith("sha256:")


def test_an_instance_that_is_started_again_does_not_run_the_command_again(bucket):
    result = task(bucket, "again", command="echo once >> $PAI_OUTPUT_DIR/n").run()
    rest(result["instance_id"])
    DswHook().start(result["instance_id"])
    DswHook().wait(result["instance_id"], poll_interval=0.02)
    DswHook().request_stop(result["instance_id"])
    assert OssHook().get(result["output"] + "n") == b"once\n"


@pytest.mark.parametrize("name", ["delete", "request_stop"])
def test_an_instance_that_goes_between_refusal_and_look_is_no_error(monkeypatch, name):
    hook, real = DswHook(), DswHook.ask

    def checked(self, action, *arguments, **options):
        if action in ("DeleteInstance", "StopInstance"):
            raise PaiApiError("dsw", action, "Instance dsw-gone is Deleting", "ValidationError", 400)
        return real(self, action, *arguments, **options)

    monkeypatch.setattr(DswHook, "ask", checked)
    getattr(hook, name)("dsw-gone")


def test_labels_that_an_instance_is_given_stand_beside_its_own(bucket):
    given = {"Labels": [{"Key": "team", "Value": "a"}]}
    instance_id = task(bucket, "labels", command="true", instance_config=given).run()["instance_id"]
    tags = DswRunHook().get(instance_id).tags
    assert tags["team"] == "a"
    assert tags[Key.DEPLOYMENT].startswith("airflow.test-")


def test_a_run_that_has_ended_may_be_stopped_again(bucket):
    instance_id = task(bucket, "ended", command="true").run()["instance_id"]
    assert rest(instance_id) == "Stopped"
    DswRunHook().request_stop(instance_id)


def test_a_run_whose_instance_is_to_be_deleted_ends_and_leaves_none(bucket):
    instance_id = task(bucket, "deleted", command="true", after="delete").run()["instance_id"]
    assert not DswHook().going(instance_id, DSW_INSTANCE.deleting)


@pytest.mark.parametrize(
    ("after", "action", "times", "left"),
    [
        ("stop", "StopInstance", 1, "stopped"),
        ("delete", "StopInstance", 1, "deleted"),
        ("delete", "DeleteInstance", 2, "deleted"),
        ("stop", "StopInstance", None, "left running"),
        ("keep", "StopInstance", None, "kept"),
    ],
)
def test_an_instance_whose_end_is_refused_is_asked_again_or_told_to_run_on(
    bucket, pai, monkeypatch, caplog, after, action, times, left
):
    monkeypatch.setattr(DswRunCommandOperator, "log", logging.getLogger("tests.dsw"), raising=False)
    monkeypatch.setattr(runs, "_END_SECONDS", 0.0 if times is None else 30.0)
    pai.account.faults.add(match=f"api {action}", status=400, code="InternalError", message="not now", times=times)
    result = task(bucket, f"refused-{after}-{action}", command="true", after=after).run()
    assert result["instance"] == left
    said = f"INSTANCE {result['instance_id']} RUNS ON and costs; `airflow pai jobs orphans --stop` ends it: dsw Stop"
    assert (said in caplog.text) is (left == "left running")


def test_a_later_try_finds_a_run_that_has_succeeded_though_its_instance_rests(bucket):
    run = task(bucket, "found", command="true")
    instance_id = run.run()["instance_id"]
    rest(instance_id)
    run.store.clear()
    one = run.make()
    identity = one.identity(run.context())
    assert [(job.job_id, job.status) for job in one.hook.find(identity)] == [(instance_id, "RunSucceeded")]
    assert run.run()["instance_id"] == instance_id


def test_an_instance_that_runs_on_after_its_run_is_seen_to_run(bucket):
    run = task(bucket, "runs-on", command="true", after="keep")
    instance_id = run.run()["instance_id"]
    task_tag = {Key.TASK: run.make().identity(run.context()).task}
    assert [(job.job_id, job.status) for job in DswRunHook().tagged(task_tag)] == [(instance_id, "Running")]
    DswRunHook().request_stop(instance_id)


def test_on_kill_stops_the_instance(bucket):
    run = task(bucket, "kill", command="sleep 60")
    one = run.make()
    job_id = one.hook.submit(one.build(run.context(), one.identity(run.context()), 1))
    one._remember(run.context(), job_id)
    one.hook.wait(job_id, poll_interval=0.02, until=lambda job: job.status == "Running")
    one.on_kill()
    assert rest(job_id) == "Stopped"


def test_a_lost_answer_makes_one_instance_though_lists_are_behind(monkeypatch):
    monkeypatch.setattr(jobs, "SETTLE_SECONDS", 2.0)
    with Emulator(dwell=0.01, list_lag=1.0) as pai:
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai)))
        OssHook().create_bucket("behind")
        pai.account.faults.add(match="api CreateInstance", drop="answer", times=1)
        run = task(oss_bucket(pai, "behind"), "behind", command="true")
        instance_id = run.run()["instance_id"]
        assert list(pai.call(lambda: pai.services.dsw._instances)) == [instance_id]


def test_a_notebook_is_executed_and_kept(bucket):
    pytest.importorskip("papermill")
    sources = {"parameters": "k = 1", "work": "import os\nopen(os.environ['PAI_OUTPUT_DIR'] + '/n', 'w').write(str(k))"}
    made = {"cell_type": "code", "execution_count": None, "outputs": []}
    cells = [{**made, "metadata": {"tags": [tag]}, "source": source} for tag, source in sources.items()]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    OssHook().put(f"oss://{bucket.bucket_name}/nb/夜 a.ipynb", json.dumps(notebook))
    result = task(
        bucket,
        "notebook",
        kind=DswRunNotebookOperator,
        notebook="/mnt/pai/input/nb/夜 a.ipynb",
        parameters={"k": 2},
        inputs={"nb": f"oss://{bucket.bucket_name}/nb"},
    ).run()
    assert OssHook().get(result["output"] + "n") == b"2"
    executed = json.loads(OssHook().get(result["notebook_uri"]))
    assert executed["cells"][2]["execution_count"] == 3
    assert b"<html" in OssHook().get(result["html_uri"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output": None}, "run_uri: None"),
        ({"ecs_spec": None}, "ecs_spec, resource_id: .* exactly one"),
        ({"after": "explode"}, "after: 'explode' is not allowed; one of stop, delete, keep"),
        ({"kind": DswRunNotebookOperator, "notebook": "a.py"}, "notebook: 'a.py'"),
        ({"run_uri": "/tmp"}, "run_uri: '/tmp'"),
        (
            {"instance_config": {"Labels": [{"Key": "a", "Value": "http://x"}]}},
            r"instance_config\['Labels'\]\['a'\]: 'http://x'",
        ),
        (
            {"instance_config": {"Labels": "a"}},
            r"instance_config\['Labels'\]: 'a' is not allowed; a list of objects with Key",
        ),
    ],
)
def test_bad_input_is_refused_before_anything_is_created(bucket, changes, message):
    before = len(list(DswHook().list_instances()))
    with pytest.raises(PaiConfigError, match=message):
        task(bucket, "bad", **{**({} if "kind" in changes else {"command": "true"}), **changes}).run()
    assert len(list(DswHook().list_instances())) == before
