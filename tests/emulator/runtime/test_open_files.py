"""Files that processes below this one have open for writing."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from airflow_provider_pai.emulator.runtime.open_files import being_written

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "read").write_text("")
    return tmp_path


def hold(folder):
    """Start a process, and one below it, that hold files; returns it once they do."""
    script = f"exec 3< {folder}/read 4> {folder}/a; (exec 5>> {folder}/b; echo; read line)"
    process = subprocess.Popen(["bash", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def written(folder):
    inodes = being_written(folder.stat().st_dev)
    return {path.name for path in folder.iterdir() if path.stat().st_ino in inodes}


def test_what_processes_write_is_known_until_they_close_it(folder):
    process = hold(folder)
    assert written(folder) == {"a", "b"}
    process.communicate(b"\n")
    assert written(folder) == set()


def test_processes_of_every_thread_are_known(folder):
    held = []
    thread = threading.Thread(target=lambda: held.append(hold(folder)) or held[0].wait())
    thread.start()
    while not held:
        pass
    assert written(folder) == {"a", "b"}
    held[0].communicate(b"\n")
    thread.join()
