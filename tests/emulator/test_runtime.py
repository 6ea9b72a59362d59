"""Roots, mounts and processes: what a pod sees, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_provider_pai.emulator.errors import InvalidParameterError
from airflow_provider_pai.emulator.runtime.mounts import Mount, check_mounts, mount_all, parse_oss_uri
from airflow_provider_pai.emulator.runtime.ports import free_ports
from airflow_provider_pai.emulator.runtime.processes import Process
from airflow_provider_pai.emulator.runtime.root import Root
from tests.emulator.pai_sdk import alive


class Folders:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder(self, bucket: str, prefix: str) -> Path:
        return self._folder / bucket / prefix


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


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("oss://models/a/b/", ("models", "a/b/")),
        ("oss://models/a/b", ("models", "a/b/")),
        ("oss://models", ("models", "")),
        ("oss://models.oss-cn-hangzhou-internal.aliyuncs.com/a/", ("models", "a/")),
        ("oss://models.127.0.0.1:8080/a/", ("models", "a/")),
    ],
)
def test_reads_oss_uris(uri, expected):
    assert parse_oss_uri(uri) == expected


@pytest.mark.parametrize(
    "uri", ["nas://x/y/", "oss://UPPER/a/", "oss:///a/", "oss://models/../other/", "oss://models/a//b/"]
)
def test_refuses_other_uris(uri):
    with pytest.raises(InvalidParameterError, match="Uri must look like"):
        parse_oss_uri(uri)


@pytest.mark.parametrize("path", ["/", "", "mnt/data", "/mnt/../../etc", "//"])
def test_refuses_mount_paths_that_leave_the_root(path):
    with pytest.raises(InvalidParameterError, match="MountPath"):
        Mount("oss://models/a/", path)


def test_refuses_mounts_in_one_another():
    with pytest.raises(InvalidParameterError, match="lie in one another"):
        check_mounts(["/mnt/data", "/mnt/data/"])
    with pytest.raises(InvalidParameterError, match="lie in one another"):
        check_mounts(["/mnt/data/in", "/mnt/data"])
    check_mounts(["/mnt/data", "/mnt/data2"])


async def test_what_is_written_through_a_mount_is_in_the_bucket(tmp_path):
    root = Root(tmp_path / "root")
    await mount_all(root, [Mount("oss://models/out/", "/mnt/out/")], Folders(tmp_path / "oss"))
    script = root.translate("mkdir -p /mnt/out/a && echo x > /mnt/out/a/b")
    assert await run(root.folder, script) == (0, "")
    assert (tmp_path / "oss/models/out/a/b").read_text() == "x\n"
    root.remove()
    assert not root.folder.exists()
    assert (tmp_path / "oss/models/out/a/b").exists()


async def test_a_read_only_mount_is_a_copy(tmp_path):
    source = tmp_path / "oss/models/in"
    (source / "sub").mkdir(parents=True)
    (source / "sub/data").write_text("old")
    (source / ".pai-emulator-private").write_text("")
    root = Root(tmp_path / "root")
    await mount_all(root, [Mount("oss://models/in/", "/mnt/in", read_only=True)], Folders(tmp_path / "oss"))
    await run(root.folder, root.translate("chmod u+w -R /mnt/in; echo new > /mnt/in/sub/data; echo > /mnt/in/more"))
    assert (source / "sub/data").read_text() == "old"
    assert not (source / "more").exists()
    assert not root.local("/mnt/in/.pai-emulator-private").exists()
    root.remove()
    assert not root.folder.exists()


async def test_a_read_only_mount_has_no_write_permission(tmp_path):
    (tmp_path / "oss/models/in").mkdir(parents=True)
    (tmp_path / "oss/models/in/data").write_text("old")
    root = Root(tmp_path / "root")
    await mount_all(root, [Mount("oss://models/in/", "/mnt/in", read_only=True)], Folders(tmp_path / "oss"))
    assert not root.local("/mnt/in/data").stat().st_mode & 0o222
    assert not root.local("/mnt/in").stat().st_mode & 0o222


async def test_an_empty_prefix_mounts_as_an_empty_folder(tmp_path):
    root = Root(tmp_path / "root")
    mounts = [Mount("oss://models/in/", "/mnt/in", read_only=True), Mount("oss://models/out/", "/mnt/out")]
    await mount_all(root, mounts, Folders(tmp_path / "oss"))
    assert list(root.local("/mnt/in").iterdir()) == list(root.local("/mnt/out").iterdir()) == []
    await mount_all(root, mounts, Folders(tmp_path / "oss"))


def test_translates_whole_paths_and_ports_once(tmp_path):
    root = Root(tmp_path / "mnt/8000")
    root.map_path("/mnt", tmp_path / "mnt/8000/mnt")
    root.map_path("/mnt/data/", tmp_path / "d")
    root.map_port(8000, 23456)
    here = f"{tmp_path}/mnt/8000/mnt"
    assert (
        root.translate("ls /mnt /mnt/x /mnt/data/y /mnt-2 /a/mnt") == f"ls {here} {here}/x {tmp_path}/d/y /mnt-2 /a/mnt"
    )
    assert root.translate("--port=8000 -p 8000, 18000 8000.5 v8000") == "--port=23456 -p 23456, 18000 8000.5 v8000"
    assert root.translate_environment({"A": "x:/mnt/data"}) == {"A": f"x:{tmp_path}/d"}


def test_free_ports_are_different_and_free():
    assert len(set(free_ports(5))) == 5


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
