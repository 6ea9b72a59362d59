"""Processes of pods: exit codes, logs, and an end that leaves none of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_provider_pai.emulator.runtime.processes import Process
from tests.emulator.pai_sdk import alive


async def run(folder: Path, script: str, **environment: str) -> tuple[int, str]:
    log = folder / "log"
    process = await Process.start(script, environment=environment, folder=folder, log=log, grace=0.3)
    return await process.wait(), log.read_text()


def read_pid(path: Path) -> int:
    deadline = time.monotonic() + 10
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(path.read_text())


async def until_gone(*pids: int, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, [pid for pid in pids if alive(pid)]
        await asyncio.sleep(0.02)


async def test_runs_a_script_with_the_emulators_python(tmp_path):
    code, log = await run(
        tmp_path, "echo $GREETING; python -c 'import sys; print(sys.prefix)' >&2; exit 3", GREETING="hi"
    )
    assert code == 3
    assert [line.split(" ", 1)[1] for line in log.splitlines()] == ["hi", sys.prefix]


async def test_the_emulators_environment_stays_outside(tmp_path, monkeypatch):
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret")
    assert "secret" not in (await run(tmp_path, "env"))[1]


async def test_a_killed_script_has_a_shells_exit_code(tmp_path):
    assert (await run(tmp_path, "kill -9 $$"))[0] == 137


async def test_many_short_scripts_all_end(tmp_path):
    folders = [tmp_path / str(index) for index in range(20)]
    for folder in folders:
        folder.mkdir()
    assert await asyncio.wait_for(asyncio.gather(*(run(folder, "exit 9") for folder in folders)), 20) == [(9, "")] * 20


async def test_background_children_end_with_the_script(tmp_path):
    await run(tmp_path, "sleep 60 & echo $! > a; setsid sleep 60 & echo $! > b; sleep 0.3")
    await until_gone(read_pid(tmp_path / "a"), read_pid(tmp_path / "b"))


async def test_a_stop_ends_what_ignores_it(tmp_path):
    stray = "setsid bash -c 'trap \"\" TERM; echo $$ > b; sleep 60'"
    script = f"trap '' TERM; echo $$ > a; {stray} & while :; do sleep 0.1; done"
    process = await Process.start(script, environment={}, folder=tmp_path, log=tmp_path / "log", grace=0.3)
    pids = await asyncio.to_thread(lambda: (read_pid(tmp_path / "a"), read_pid(tmp_path / "b")))
    started = time.monotonic()
    assert await process.stop() == 137
    assert 0.3 <= time.monotonic() - started < 3
    await until_gone(*pids, process.pid)


SAVES_AT_ITS_END = """
import signal, sys, time
def save(*_):
    time.sleep(0.1)
    open("saved", "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
open("ready", "w").write("1")
time.sleep(60)
"""


async def test_a_stopped_shell_runs_no_further_line(tmp_path):
    folders = [tmp_path / str(index) for index in range(30)]
    for folder in folders:
        folder.mkdir()
    script = "(sleep 100; echo late) & (setsid --wait sleep 100; echo late); echo late"
    starts = [Process.start(script, environment={}, folder=folder, log=folder / "log", grace=5) for folder in folders]
    processes = await asyncio.gather(*starts)
    await asyncio.sleep(1)
    await asyncio.gather(*(process.stop() for process in processes))
    assert {(folder / "log").read_text() for folder in folders} == {""}


async def test_a_stop_leaves_time_to_save(tmp_path):
    # The shell dies of SIGTERM at once; its child still gets the grace.
    process = await Process.start(
        f"python -c '{SAVES_AT_ITS_END}'; true", environment={}, folder=tmp_path, log=tmp_path / "log", grace=5
    )
    await asyncio.to_thread(read_pid, tmp_path / "ready")
    started = time.monotonic()
    await process.stop()
    assert (tmp_path / "saved").exists()
    assert time.monotonic() - started < 3


HOST = """
import asyncio, pathlib, sys
from airflow_provider_pai.emulator.runtime.processes import Process
async def main():
    folder = pathlib.Path(sys.argv[1])
    await Process.start(sys.argv[2], environment={}, folder=folder, log=folder / "log", grace=0.3)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize("whole_group", [False, True])
async def test_nothing_outlives_a_killed_emulator(tmp_path, whole_group):
    script = (
        "trap '' TERM; sleep 60 & echo $! > a; setsid sleep 60 & echo $! > b; echo $$ > c; while :; do sleep 0.1; done"
    )
    host = subprocess.Popen([sys.executable, "-c", HOST, str(tmp_path), script], start_new_session=True)
    pids = [read_pid(tmp_path / name) for name in "abc"]
    assert all(map(alive, pids))
    if whole_group:
        os.killpg(host.pid, signal.SIGKILL)
    else:
        host.kill()
    host.wait()
    await until_gone(*pids)
