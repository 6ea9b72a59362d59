"""The script of a DSW run, in a shell, with a plain folder for a mount."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from airflow_provider_pai.operators.run_script import run_script
from airflow_provider_pai.operators.workload.code import Source
from airflow_provider_pai.uri import OssUri
from tests.emulator.pai_sdk import until


@pytest.fixture
def places(tmp_path):
    """A home and the run's folder."""
    home, folder = tmp_path / "home", tmp_path / "run"
    home.mkdir()
    folder.mkdir()
    return home, folder


def run(places, command, source=None, every=30.0, path=""):
    home, folder = places
    script = run_script(folder=str(folder), command=command, source=source, code_path=f"{home}/code", every=every)
    subprocess.run(
        ["bash", "-c", script], env={"PATH": path + os.environ["PATH"], "HOME": str(home)}, cwd="/", check=False
    )
    return json.loads((folder / "_result.json").read_text())


def log_of(places):
    return (places[1] / "run.log").read_text()


@pytest.mark.parametrize(
    ("command", "code", "log"),
    [
        ("echo a; echo b >&2", 0, "a\nb\n"),
        ("echo a; false; echo b", 1, "a\n"),
        ("exit 7", 7, ""),
        ("kill $BASHPID", 143, ""),
        ("printf '%s' '$x ${y} 100%'", 0, "$x ${y} 100%\n"),  # only whole lines are copied into the task's log
        ("sleep 60 > /dev/null 2>&1 & kill $!", 0, ""),
    ],
)
def test_log_and_exit_code_are_the_commands(places, command, code, log):
    result = run(places, command)
    assert result["exit_code"] == code
    assert result["finished_at"].endswith("Z")
    assert log_of(places) == log


def test_nothing_is_left_on_the_mount_but_the_log_and_the_result(places):
    run(places, "for i in 1 2 3 4; do echo $i; sleep 0.05; done", every=0.02)
    assert sorted(path.name for path in places[1].iterdir()) == ["_result.json", "run.log"]


def test_a_mount_that_renames_nothing_over_a_file_gets_it_written_anew(places, tmp_path):
    tool = tmp_path / "bin/mv"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\n[ ! -e "$3" ] && /bin/mv "$@"\n')
    tool.chmod(0o755)
    run(places, "for i in 1 2 3 4; do echo $i; sleep 0.05; done", every=0.02, path=f"{tool.parent}:")
    assert log_of(places) == "1\n2\n3\n4\n"
    assert sorted(path.name for path in places[1].iterdir()) == ["_result.json", "run.log"]


def test_the_log_is_never_open_on_the_mount(places):
    run(places, f"ls -l /proc/*/fd 2>/dev/null | grep -c '{places[1]}' || true")
    assert log_of(places) == "0\n"


def test_a_command_starts_in_a_clean_folder_and_in_the_folder_of_its_code(places):
    home, _ = places
    (home / "pai-work").mkdir()
    (home / "pai-work/left.txt").touch()
    run(places, "pwd; ls -A")
    assert log_of(places) == f"{home}/pai-work\n"
    (home / "code/a b").mkdir(parents=True)
    (places[1] / "_result.json").unlink()
    run(places, 'pwd; echo "$PAI_CODE_DIR"', Source("oss://b/c", "sha256:1", path="a b", mount=OssUri("b", "c/")))
    assert log_of(places) == f"{home}/code/a b\n" * 2


def test_code_that_can_not_be_cloned_is_the_runs_failure(places):
    result = run(places, "echo not reached", Source("file:///no/such/repository", "abc"))
    assert result["exit_code"] == 128
    assert "not reached" not in log_of(places)
    assert "/no/such/repository" in log_of(places)


def test_a_run_that_has_a_result_is_not_run_again(places):
    first = run(places, "echo 1")
    assert run(places, "echo 2; exit 1") == first
    assert log_of(places) == "1\n"


def test_a_script_that_is_ended_ends_its_command_and_brings_the_log_home_without_a_result(places):
    home, folder = places
    command = "trap 'echo saved; exit 0' TERM; echo begun; touch ~/begun; sleep 60 & wait"
    script = run_script(folder=str(folder), command=command, source=None, code_path="", every=30)
    process = subprocess.Popen(["bash", "-c", script], env={"PATH": os.environ["PATH"], "HOME": str(home)})
    until((home / "begun").exists, bool)
    process.terminate()
    assert process.wait(30) == 143
    assert log_of(places) == "begun\nsaved\n"
    assert not (folder / "_result.json").exists()


def test_a_run_that_was_cut_off_begins_anew(places):
    home, folder = places
    (home / ".pai-run").mkdir()
    (home / ".pai-run/run.log").write_text("old and long\n" * 9)
    (home / ".pai-run/copied").touch()
    (folder / "run.log").write_text("old and long\n" * 9)
    run(places, "echo new")
    assert log_of(places) == "new\n"
