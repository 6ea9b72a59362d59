"""Commands on an emulated instance that serves them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from airflow_provider_pai.exceptions import PaiConfigError, PaiNotFoundError
from airflow_provider_pai.hooks.dsw import DswCommandHook, DswHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.image_tools import serve_commands
from airflow_provider_pai.labels import Key, legal_name
from airflow_provider_pai.operators.dsw.serving import PROGRAM, serving_body, serving_script
from airflow_provider_pai.operators.run_script import run_script
from airflow_provider_pai.uri import OssUri
from tests.emulator.pai_sdk import until

pytestmark = pytest.mark.usefixtures("connection")

OURS = {Key.DEPLOYMENT: legal_name("https://airflow.test")}
TASK = {Key.TASK: "1a2b", Key.CYCLE: "0", Key.GENERATION: "1", **OURS}


@pytest.fixture
def served(bucket):
    """An instance that serves commands, and its hook."""
    one = Served(bucket.bucket_name)
    yield one
    DswHook().request_stop(one.instance_id)


class Served:
    def __init__(self, bucket, **labels):
        self.bucket, self.hook, oss = f"oss://{bucket}/", DswCommandHook(), OssHook()
        run = OssUri(bucket, "runs/instance/")
        mounts = {run: "/mnt/pai/run", OssUri(bucket, "data/"): "/mnt/data", OssUri(bucket, "in/"): "/mnt/in"}
        oss.put(run.join(PROGRAM), Path(serve_commands.__file__).read_bytes())
        oss.put(run.join("_start.sh"), serving_script("", 0.02))
        tags = {**OURS, **labels}
        body = {
            "InstanceName": "served",
            "EcsSpec": "ecs.g6.large",
            "ImageId": "cpu",
            "Labels": [{"Key": key, "Value": value} for key, value in tags.items()],
            "Datasets": [
                {"Uri": oss.mount_uri(uri), "MountPath": path, "MountAccess": "RO" if path == "/mnt/in" else "RW"}
                for uri, path in mounts.items()
            ],
            "EnvironmentVariables": {"PAI_RUN_DIR": "/mnt/pai/run"},
            "UserCommand": {"OnStart": {"Content": "nohup bash /mnt/pai/run/_start.sh > /dev/null 2>&1 &"}},
        }
        self.instance_id = DswHook().submit(serving_body(body, run))
        DswHook().wait(self.instance_id, poll_interval=0.02)

    def body(self, command, limit=60, **tags):
        tags = {**TASK, **tags}
        run = f"{self.bucket}data/runs/{tags[Key.TASK]}.{tags[Key.GENERATION]}/"
        script = run_script(folder="$PAI_RUN_DIR", command=command, source=None, code_path="", every=0.05)
        OssHook().put(f"{run}_start.sh", script)
        return {
            "InstanceId": self.instance_id,
            "Queue": str(self.hook.serving(self.instance_id).queue),
            "Tags": tags,
            "environment": {"PAI_RUN_URI": run},
            "folders": {"PAI_RUN_DIR": run, "PAI_INPUT_RAW_DIR": f"{self.bucket}in/"},
            "limit_seconds": limit,
        }

    def submit(self, command, limit=60, **tags):
        return self.hook.submit(self.body(command, limit, **tags))


def test_a_command_reads_what_is_mounted_and_leaves_its_log_and_result(served):
    OssHook().put(f"{served.bucket}in/a.txt", "data\n")
    DswHook().request_stop(served.instance_id)
    until(lambda: DswHook().get(served.instance_id).status, lambda status: status == "Stopped")
    DswHook().start(served.instance_id)  # a mount for reading alone is a copy there
    job_id = served.submit("cat $PAI_INPUT_RAW_DIR/a.txt; echo $PAI_COMMAND")
    cursor: dict = {}
    job = served.hook.wait(job_id, poll_interval=0.02)
    assert (job.status, job.facts["exit_code"], job.tags) == ("RunSucceeded", 0, TASK)
    assert served.hook.new_log_lines(job_id, cursor) == ["data", "1a2b.0.1"]
    assert served.hook.find(TaskOf("1a2b")) == [job.tagged]
    assert served.hook.tagged({Key.TASK: "other"}) == []
    assert served.hook.variables(job_id)["PAI_RUN_URI"] == job.facts["run_uri"]


class TaskOf:
    def __init__(self, task):
        self.task = task


def test_the_same_command_is_put_there_once(served):
    job_id = served.submit("echo once")
    served.hook.wait(job_id, poll_interval=0.02)
    assert served.submit("echo twice", 7) == job_id
    time.sleep(0.2)
    assert served.hook.log_tail(served.hook.get(job_id)) == "once"


@pytest.mark.parametrize(
    ("command", "limit", "end"),
    [
        ("exit 3", 60, ("CommandFailed", "the command exited with 3", "code")),
        ("sleep 60", 0.3, ("MaxRunningTime", "its time limit of 0.3 seconds has passed", "timeout")),
        ("sleep 60", 60, ("StoppedByUser", "the command was stopped", "stopped")),
    ],
)
def test_why_a_command_ended_is_told(served, command, limit, end):
    job_id = served.submit(f"echo begun; {command}", limit)
    if limit == 60 and command == "sleep 60":
        until(lambda: served.hook.get(job_id).status, lambda status: status == "Running")
        served.hook.request_stop(job_id)
        assert served.hook.get(job_id).status in ("Stopping", "RunFailed")
    job = served.hook.wait(job_id, poll_interval=0.02)
    served.hook.request_stop(job_id)  # has ended: no error
    failure = served.hook.failure(job)
    assert (job.status, job.reason_code, job.reason, failure.cause.value) == ("RunFailed", *end)
    assert "begun" in str(failure)


def test_what_a_task_has_left_in_the_queue_is_withdrawn_by_its_next_command(served):
    first = served.submit("touch $PAI_RUN_DIR/first; sleep 60")
    second = served.submit("touch $PAI_RUN_DIR/second", **{Key.GENERATION: "2"})
    assert served.hook.wait(second, poll_interval=0.02).status == "RunSucceeded"
    assert served.hook.get(first).reason_code == "StoppedByUser"


def test_an_instance_that_is_stopped_and_started_again_runs_no_command_again(served):
    cut = served.submit("echo once >> $PAI_RUN_DIR/n; sleep 60")
    until(lambda: served.hook.get(cut).status, lambda status: status == "Running")
    run = served.hook.get(cut).facts["run_uri"]
    until(lambda: OssHook().head(f"{run}n"), bool)
    late = served.submit("echo late", **{Key.TASK: "ffff"})
    DswHook().request_stop(served.instance_id)
    assert served.hook.wait(cut, poll_interval=0.02).status == "Stopped"
    with pytest.raises(PaiConfigError, match="instance that runs, or will"):
        served.hook.serving(served.instance_id)
    DswHook().start(served.instance_id)
    assert served.hook.wait(late, poll_interval=0.02).status == "RunSucceeded"
    assert served.hook.get(cut).reason_code == "InstanceRestarted"
    assert OssHook().get(f"{run}n") == b"once\n"


def test_only_an_instance_of_ours_that_serves_is_taken(served, bucket):
    hook = served.hook
    serving = hook.serving(served.instance_id)
    serving.need("output", f"{served.bucket}data/x/", write=True)
    serving.need("inputs", f"{served.bucket}in/x/")
    for field, uri, write in (("output", "in/x/", True), ("inputs", "other/", False)):
        with pytest.raises(PaiConfigError, match=f"{field}: .* has mounted.*data/ .RW.*in/ .RO."):
            serving.need(field, f"{served.bucket}{uri}", write=write)
    with pytest.raises(PaiConfigError, match="instance: 'dsw-none' is not allowed; an instance of this Airflow"):
        hook.serving("dsw-none")
    other = Served(bucket.bucket_name, **{Key.DEPLOYMENT: "another"})
    with pytest.raises(PaiConfigError, match="an instance of this Airflow that serves commands"):
        hook.serving(other.instance_id)
    DswHook().request_stop(other.instance_id)


def test_a_command_of_an_instance_that_is_gone_is_not_found(served):
    job_id = served.submit("sleep 60")
    with pytest.raises(PaiNotFoundError):
        served.hook.get("dsw-gone/1a2b.0.1")
    served.hook.request_stop("dsw-gone/1a2b.0.1")
    served.hook.request_stop(job_id)
    assert served.hook.console_url(job_id) == DswHook().console_url(served.instance_id)
    with pytest.raises(PaiNotFoundError):
        served.hook.get(f"{served.instance_id}/none.0.1")
