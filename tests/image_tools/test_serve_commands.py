"""The resident runner, as a process of its own, over a plain folder in place of a mount."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_provider_pai.image_tools import serve_commands
from airflow_provider_pai.operators.run_script import run_script
from tests.emulator.pai_sdk import until

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="it finds processes as Linux has them")


class Instance:
    """A machine with a bucket mounted at a folder."""

    def __init__(self, folder):
        self.home, self.bucket = folder / "home", folder / "bucket"
        self.queue = self.bucket / "queue"
        self.mounts = json.dumps({"oss://b/": str(self.bucket)})
        self.home.mkdir()
        self.queue.mkdir(parents=True)
        self.runner = None

    def start(self):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PAI_MOUNTS": f'{{"oss://b/": "{self.bucket}"}}',
        }
        program = [sys.executable, serve_commands.__file__, str(self.queue), "0.05"]
        self.runner = subprocess.Popen(program, env=environment)

    def stop(self, number=signal.SIGTERM):
        self.runner.send_signal(number)
        self.runner.wait()

    def put(self, name, command, **more):
        """Queue a command, which is there at once and whole, as an object is."""
        run = self.bucket / "runs" / name
        run.mkdir(parents=True)
        script = run_script(folder="$PAI_RUN_DIR", command=command, source=None, code_path="", every=30)
        (run / "_start.sh").write_text(script)
        body = {"environment": {}, "folders": {"PAI_RUN_DIR": f"oss://b/runs/{name}/"}, "limit_seconds": 60, **more}
        part = self.bucket / f"{name}.part"
        part.write_text(json.dumps(body))
        part.replace(self.queue / f"{name}.json")

    def result(self, name):
        path = self.queue / f"{name}.result"
        until(path.exists, bool)
        result = json.loads(path.read_text())
        return result["exit_code"], result.get("ended_by", "")

    def log(self, name):
        return (self.bucket / "runs" / name / "run.log").read_text()


@pytest.fixture
def instance(tmp_path):
    one = Instance(tmp_path)
    yield one
    if one.runner and one.runner.poll() is None:
        one.stop()


def test_commands_run_one_after_another_each_in_a_clean_folder_with_its_own_environment(instance):
    instance.put("a", 'ls -A; touch left; echo "$WHO"; sleep 0.3; date +%s%N > ~/end-of-a', environment={"WHO": "me"})
    instance.start()
    until((instance.queue / "a.taken").exists, bool)
    instance.put("b", 'date +%s%N > ~/begin-of-b; ls -A; pwd; echo "$WHO"; exit 7')
    assert instance.result("a") == (0, "")
    assert instance.result("b") == (7, "")
    assert instance.log("a") == "me\n"
    assert instance.log("b") == f"{instance.home}/pai-work\n\n"
    assert int((instance.home / "end-of-a").read_text()) < int((instance.home / "begin-of-b").read_text())
    assert sorted(path.name for path in instance.queue.iterdir()) == [
        *("a.json", "a.result", "a.taken", "b.json", "b.result", "b.taken")
    ]


def test_what_a_command_leaves_running_ends_with_it(instance):
    instance.put("a", "setsid sleep 300 & sleep 0.2; ps -o sid= -p $! > ~/session; [ $(cat ~/session) = $! ]")
    instance.start()
    assert instance.result("a") == (0, "")
    assert serve_commands.processes_of(f"{instance.home}:a") == []


def test_a_command_of_the_same_name_on_another_instance_is_left_alone(instance, tmp_path):
    (tmp_path / "other").mkdir()
    other = Instance(tmp_path / "other")
    other.put("a", "sleep 60")
    other.start()
    until((other.queue / "a.taken").exists, bool)
    instance.put("a", "true")
    instance.start()
    assert instance.result("a") == (0, "")
    assert serve_commands.processes_of(f"{other.home}:a") != []
    (other.queue / "a.stop").touch()
    assert other.result("a")[1] == "stop"
    other.stop()


@pytest.mark.parametrize(
    ("how", "ended_by"),
    [({"limit_seconds": 0.2}, "limit"), ({}, "stop")],
)
def test_a_command_is_ended_with_its_last_words(instance, how, ended_by):
    instance.put("a", "trap 'echo saved; exit 0' TERM; echo begun; touch ~/begun; sleep 60 & wait", **how)
    instance.start()
    until((instance.home / "begun").exists, bool)
    if ended_by == "stop":
        (instance.queue / "a.stop").touch()
    assert instance.result("a") == (143, ended_by)
    assert instance.log("a") == "begun\nsaved\n"


def test_a_command_that_heeds_no_signal_is_killed(instance, monkeypatch):
    instance.put("a", "trap '' TERM; touch ~/begun; sleep 60")
    queue = serve_commands.Queue(str(instance.queue), 0.05)
    monkeypatch.setattr(serve_commands, "GRACE", 0.2)
    monkeypatch.setenv("HOME", str(instance.home))
    monkeypatch.setenv("PAI_MOUNTS", instance.mounts)
    (instance.queue / "a.stop").touch()
    monkeypatch.setattr(serve_commands.Queue, "waiting", lambda _: [("a", set())])
    assert serve_commands.serve_next(queue)
    assert instance.result("a") == (137, "stop")


def test_a_command_that_is_stopped_before_its_turn_never_begins(instance):
    instance.put("a", "touch ~/begun")
    (instance.queue / "a.stop").touch()
    instance.put("b", "true")
    instance.start()
    assert instance.result("b") == (0, "")
    assert instance.result("a") == (143, "stop")
    assert not (instance.home / "begun").exists()


def test_nothing_runs_twice_however_the_instance_ends(instance):
    instance.put("done", "echo once >> ~/done")
    instance.start()
    assert instance.result("done") == (0, "")
    instance.put("cut", "echo once >> ~/cut; sleep 60")
    until((instance.home / "cut").exists, bool)
    instance.stop(signal.SIGKILL)
    (instance.queue / "done.result").unlink()  # the instance was lost between the script's result and the queue's
    instance.put("next", "true")
    instance.start()
    assert instance.result("next") == (0, "")
    assert instance.result("cut") == (143, "restart")
    assert instance.result("done") == (0, "")
    assert [(instance.home / name).read_text() for name in ("done", "cut")] == ["once\n", "once\n"]
    assert serve_commands.processes_of(f"{instance.home}:cut") == []


@pytest.mark.parametrize(
    "body",
    [
        {"folders": {"PAI_RUN_DIR": "oss://other/runs/a/"}},
        {"folders": {}},
        {"folders": None},
        {"environment": {"N": 1}},
    ],
)
def test_what_is_no_command_is_refused_and_the_next_one_runs(instance, body):
    instance.put("a", "true", **body)
    instance.put("b", "true")
    instance.start()
    assert instance.result("b") == (0, "")
    code, ended_by = instance.result("a")
    assert (code, ended_by) == (126, "refusal")


def test_a_mount_that_fails_for_a_while_is_tried_again(instance):
    hidden = instance.bucket / "hidden"
    instance.queue.rename(hidden)
    instance.start()
    time.sleep(0.2)
    hidden.rename(instance.queue)
    instance.put("a", "true")
    assert instance.result("a") == (0, "")


def test_the_nearest_mount_counts():
    mounts = {"oss://b/": "/mnt/b", "oss://b/in/": "/mnt/in/"}
    assert serve_commands.local("oss://b/in/x/", mounts) == "/mnt/in/x"
    assert serve_commands.local("oss://b/out/", mounts) == "/mnt/b/out"
