"""A container's room: what is mounted is seen at its path, by a mount or by a rewritten command."""

from __future__ import annotations

import os
import shlex

import pytest

from airflow_provider_pai.emulator.runtime import namespace
from airflow_provider_pai.emulator.runtime.root import Root

by_mount = pytest.mark.skipif(not namespace.is_available(), reason="the system lets nobody mount")


@pytest.fixture
def rewriting(monkeypatch):
    monkeypatch.setattr(namespace, "is_available", lambda: False)


async def run(root, script, tmp_path, **environment):
    log = tmp_path / "log"
    process = await root.start(script, environment=environment, log=log, grace=0.3, copies=tmp_path / "copies")
    code = await process.wait()
    return code, [line.partition(" ")[2] for line in log.read_text().splitlines()]


@pytest.mark.usefixtures("rewriting")
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


@pytest.mark.usefixtures("rewriting")
async def test_where_nothing_can_be_mounted_a_shell_script_and_the_environment_are_rewritten(tmp_path):
    root = Root(tmp_path / "root")
    root.map_path("/mnt/run", tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/start.sh").write_text("ls /mnt/run; echo $WHERE")
    assert await run(root, "bash -c 'bash /mnt/run/start.sh'", tmp_path, WHERE="x:/mnt/run/y") == (
        0,
        ["start.sh", f"x:{tmp_path}/run/y"],
    )
    assert (tmp_path / "run/start.sh").read_text() == "ls /mnt/run; echo $WHERE"
    assert (await run(root, "bash /mnt/run/none.sh", tmp_path))[0] == 127


@by_mount
async def test_a_program_finds_a_mount_at_the_path_that_it_spells_out_and_the_machine_has_none_of_it(tmp_path):
    bucket, root = tmp_path / "bucket", Root(tmp_path / "root")
    paths = ("/mnt/data", "/pai-test/deep/data", "/etc/pai-test", "/root/pai-test")
    for path in paths:
        root.mount(path, bucket, read_only=False)
    (bucket / "in").write_text("in")
    reads = "; ".join(f"print(open('/mnt' + '/data/in').read(), os.listdir('{path}'))" for path in paths)
    program = f"import os; {reads}; open('/mnt' + '/data/out', 'w').write('out')"
    script = f"python -c {shlex.quote(program)} && pwd && id -u && ls /etc/hosts && echo $WHERE"
    code, lines = await run(root, script, tmp_path, WHERE="/mnt/data")
    assert lines == [*["in ['in']"] * 4, str(root.folder), str(os.getuid()), "/etc/hosts", "/mnt/data"]
    assert code == 0
    assert (bucket / "out").read_text() == "out"
    assert not os.path.lexists("/pai-test")
    assert not os.path.lexists("/etc/pai-test")


@by_mount
def test_a_mount_that_would_hide_the_room_itself_is_seen_by_rewriting(tmp_path):
    root = Root(tmp_path / "root")
    root.map_path("/mnt/data", tmp_path)
    assert root.translate("ls /mnt/data") == "ls /mnt/data"
    root.map_path(str(tmp_path), tmp_path / "other")
    assert root.translate("ls /mnt/data") == f"ls {tmp_path}"


def test_a_read_only_mount_shows_objects_and_follows_no_link_out(tmp_path):
    """A job can leave links in a folder that it writes to; the next job's copy would take along what they lead to."""
    bucket, root = tmp_path / "bucket", Root(tmp_path / "root")
    (bucket / "sub").mkdir(parents=True)
    (bucket / "file").write_text("file")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    for name, target in {
        "inside": bucket / "file",
        "out": tmp_path / "outside",
        "sub/out": tmp_path / "outside" / "secret",
        "up": "..",
        "self": bucket,
        "dangling": tmp_path / "none",
    }.items():
        (bucket / name).symlink_to(target)
    os.mkfifo(bucket / "pipe")
    root.mount("/mnt/data", bucket, read_only=True)
    found = {str(path.relative_to(root.local("/mnt/data"))) for path in root.local("/mnt/data").rglob("*")}
    assert found == {"file", "inside", "sub"}
    assert not any(path.is_symlink() for path in root.local("/mnt/data").rglob("*"))
    root.remove()
