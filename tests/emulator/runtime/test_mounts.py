"""Mounts: URIs and paths that are refused, and what a pod changes in a bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_pai.emulator.errors import InvalidParameterError
from airflow_provider_pai.emulator.runtime.mounts import Mount, check_mounts, mount_all, parse_oss_uri
from airflow_provider_pai.emulator.runtime.root import Root


class Folders:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder(self, bucket: str, prefix: str, *, appends: bool = True) -> Path:
        return self._folder / bucket / prefix


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


async def run(root, script, tmp_path):
    process = await root.start(script, environment={}, log=tmp_path / "log", grace=0.3)
    assert await process.wait() == 0


async def test_what_is_written_through_a_mount_is_in_the_bucket(tmp_path):
    root = Root(tmp_path / "root")
    await mount_all(root, [Mount("oss://models/out/", "/mnt/out/")], Folders(tmp_path / "oss"))
    await run(root, "mkdir -p /mnt/out/a && echo x > /mnt/out/a/b", tmp_path)
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
    await run(root, "chmod u+w -R /mnt/in; echo new > /mnt/in/sub/data; echo > /mnt/in/more", tmp_path)
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
