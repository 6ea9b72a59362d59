from __future__ import annotations

import os

from airflow_provider_pai.emulator.runtime.root import Root


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


def test_translates_copies_of_the_shell_scripts_that_a_command_names(tmp_path):
    root = Root(tmp_path / "root")
    root.map_path("/mnt/run", tmp_path / "run")
    (tmp_path / "run").mkdir()
    for name in ("start.sh", "out"):
        (tmp_path / "run" / name).write_text("ls /mnt/run/x")
    command = root.translate_command("sh /mnt/run/start.sh /mnt/run/none.sh > /mnt/run/out", tmp_path / "copies")
    assert command == f"sh {tmp_path}/copies/start.sh {tmp_path}/run/none.sh > {tmp_path}/run/out"
    assert (tmp_path / "copies/start.sh").read_text() == f"ls {tmp_path}/run/x"
    assert (tmp_path / "run/start.sh").read_text() == "ls /mnt/run/x"


def test_a_command_without_mounts_stays_as_it_is(tmp_path):
    assert Root(tmp_path / "root").translate_command("sh /mnt/a.sh", tmp_path / "copies") == "sh /mnt/a.sh"


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
