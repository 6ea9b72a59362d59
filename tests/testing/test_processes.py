from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from airflow_provider_pai.testing.processes import Component, ComponentError, FolderLock, stop_all

# Starts a grandchild in a session of its own that ignores SIGTERM, as a stuck task would.
STUBBORN = """
import subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
process = subprocess.Popen([sys.executable, "-c", child], start_new_session=True, stdout=subprocess.PIPE)
process.stdout.readline()
print(process.pid, flush=True)
time.sleep(600)
"""


def component(tmp_path: Path, script: str, **options: object) -> Component:
    return Component("part", [sys.executable, "-c", script], environment=dict(os.environ), logs=tmp_path, **options)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found through /proc")
def test_nothing_that_a_component_started_outlives_it(tmp_path):
    part = component(tmp_path, STUBBORN, captured=True, grace=0.2)
    grandchild = int(part.output.readline())
    assert alive(grandchild)
    stop_all([part])
    assert not alive(grandchild)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found through /proc")
def test_nothing_outlives_whoever_started_it_and_was_killed(tmp_path):
    part = component(tmp_path, STUBBORN, captured=True, grace=0.2)
    grandchild = int(part.output.readline())
    # What the kernel does with the starter's end of the pipe.
    os.close(part._guard.stdin.fileno())
    end = time.monotonic() + 10
    while alive(grandchild) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(grandchild)
    part.join()


def test_a_component_that_ended_is_named_with_the_tail_of_its_log(tmp_path):
    part = component(tmp_path, "print('no port left'); raise SystemExit(3)")
    with pytest.raises(ComponentError, match=r"part ended with exit code 3(.|\n)*no port left"):
        part.wait(30)


def test_one_stack_in_a_folder(tmp_path):
    first, second = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock")
    waited = []
    first.take(0, lambda: waited.append("first"))
    with pytest.raises(ComponentError, match="another one"):
        second.take(0, lambda: waited.append("second"))
    first.release()
    second.take(0, lambda: waited.append("third"))
    assert waited == []
