"""Whole folders: patterns, what is unchanged, syncs, and keys that would lead out."""

from __future__ import annotations

import os
from itertools import count, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.exceptions import PaiAnswerError, PaiApiError, PaiConfigError, PaiNotFoundError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.folder import FolderReport, local_path, paired
from airflow_provider_pai.hooks.oss.patterns import Patterns, fixed_prefix

pytestmark = pytest.mark.usefixtures("connection")

TREE = {"a.csv": b"1", "b.json": b"22", "sub/c.csv": b"333", "sub/deep/d é.txt": b"", "big": b"x" * 300_000}


@pytest.fixture
def hook():
    return OssHook()


@pytest.fixture
def at(bucket):
    return f"oss://{bucket.bucket_name}/data/"


@pytest.fixture
def folder(tmp_path):
    return plant(tmp_path / "here", TREE)


def plant(folder, tree):
    for name, content in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def tree_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def keys(hook, at):
    return [str(info.uri).removeprefix(at) for info in hook.list_objects(at)]


def test_there_and_back_and_nothing_twice(hook, at, folder, tmp_path):
    size = sum(map(len, TREE.values()))
    assert hook.upload_folder(folder, at.rstrip("/")) == FolderReport(moved=5, size=size)
    assert hook.upload_folder(folder, at) == FolderReport(unchanged=5)
    (folder / "a.csv").write_bytes(b"2")  # as long as before
    assert hook.upload_folder(folder, at) == FolderReport(moved=1, unchanged=4, size=1)
    there = tmp_path / "there"
    assert hook.download_folder(at, there).moved == 5
    assert tree_of(there) == {**TREE, "a.csv": b"2"}
    assert hook.download_folder(at, there) == FolderReport(unchanged=5)
    (there / "b.json").write_bytes(b"33")
    assert hook.download_folder(at, there) == FolderReport(moved=1, unchanged=4, size=2)


def test_what_is_there_is_known_by_its_listing_without_a_look_at_each_file(hook, at, folder, tmp_path, pai):
    hook.upload_folder(folder, at)
    hook.download_folder(at, tmp_path / "there")
    hook.copy_folder(at, at.replace("data", "copy"))
    pai.account.faults.add(match="oss HEAD", status=403, code="AccessDenied")
    assert hook.upload_folder(folder, at, delete=True) == FolderReport(unchanged=5)
    assert hook.download_folder(at, tmp_path / "there", delete=True) == FolderReport(unchanged=5)
    assert hook.copy_folder(at, at.replace("data", "copy"), delete=True) == FolderReport(unchanged=5)


def test_what_came_in_parts_is_known_by_its_crc(hook, at, folder, tmp_path):
    hook.upload_folder(folder, at)
    hook.copy_folder(at, at.replace("data", "copy"))
    hook.upload(folder / "big", at + "big", part_size=100 * 1024)
    assert "-" in hook.head(at + "big").etag
    assert hook.upload_folder(folder, at) == FolderReport(unchanged=5)
    assert hook.copy_folder(at, at.replace("data", "copy")) == FolderReport(unchanged=5)
    hook.upload(plant(tmp_path, {"other": b"y" * 300_000}) / "other", at + "big", part_size=100 * 1024)
    assert hook.upload_folder(folder, at) == FolderReport(moved=1, unchanged=4, size=300_000)


@given(st.sets(st.text("ab/é", max_size=3), max_size=6), st.sets(st.text("ab/é", max_size=3), max_size=6))
def test_source_and_target_are_walked_side_by_side(source, target):
    def of(names):
        return ((name, len(name) + 1) for name in sorted(names))

    expected = [(n, n in source or None, n in target or None) for n in sorted(source | target)]
    assert [(name, here and True, there and True) for name, here, there in paired(of(source), of(target))] == expected


def test_of_endless_folders_no_more_is_held_than_of_short_ones():
    endless = [((f"{number:09}", number) for number in count(step=step)) for step in (2, 3)]
    assert [(here, there) for _, here, there in islice(paired(*endless), 4)] == [
        (0, 0),
        (2, None),
        (None, 3),
        (4, None),
    ]


def test_a_listing_out_of_order_tells_nothing_of_what_is_not_there():
    with pytest.raises(PaiAnswerError, match="'a' is listed behind 'b'"):
        list(paired([("a", 1), ("b", 1)], [("b", 1), ("a", 1)]))


def test_patterns(hook, at, folder, tmp_path):
    hook.upload_folder(folder, at, include=["*.csv", "big"], exclude=["sub/*"])
    assert keys(hook, at) == ["a.csv", "big"]
    hook.upload_folder(folder, at)
    hook.download_folder(at, tmp_path / "there", exclude=["*.csv", "*.txt"])
    assert sorted(tree_of(tmp_path / "there")) == ["b.json", "big"]
    assert Patterns(("*.csv",), ("x*",)).match("a/b.csv")
    assert not Patterns((), ("*.csv",)).match("a.csv")
    assert fixed_prefix("a/b*c?") == "a/b"


def test_a_sync_deletes_what_is_gone_and_nothing_else(hook, at, folder, tmp_path):
    hook.upload_folder(folder, at)
    hook.put(at + "gone.csv", "")
    hook.put(at + "kept.json", "")
    hook.put(at.rstrip("/") + "base", "beside the prefix")
    report = hook.upload_folder(folder, at, include=["*.csv"], delete=True)
    assert (report.deleted, report.unchanged) == (1, 2)
    assert "kept.json" in keys(hook, at)
    there = plant(tmp_path / "there", {"old": b"", "sub/old": b""})
    assert hook.download_folder(at, there, delete=True).deleted == 2
    assert sorted(tree_of(there)) == sorted([*TREE, "kept.json"])
    assert hook.head(at.rstrip("/") + "base")


@pytest.mark.parametrize("way", ["up", "down", "across"])
def test_a_source_in_which_nothing_is_deletes_nothing_unless_that_is_meant(hook, at, folder, tmp_path, way):
    hook.upload_folder(folder, at)
    (tmp_path / "empty").mkdir()
    none = at.replace("/data/", "/none/")
    sync, left = {
        "up": (lambda **options: hook.upload_folder(tmp_path / "empty", at, **options), lambda: keys(hook, at)),
        "down": (lambda **options: hook.download_folder(none, folder, **options), lambda: sorted(tree_of(folder))),
        "across": (lambda **options: hook.copy_folder(none, at, **options), lambda: keys(hook, at)),
    }[way]
    with pytest.raises(PaiConfigError, match="all 5 at the target would go; allow_empty=True"):
        sync(delete=True)
    with pytest.raises(PaiConfigError, match="all 2 at the target"):
        sync(include="*.csv", delete=True)
    assert left() == sorted(TREE)
    assert sync().deleted == 0
    assert sync(delete=True, allow_empty=True).deleted == 5
    assert left() == []
    assert sync(delete=True).deleted == 0, "nothing to lose"


def test_links_go_up_and_are_not_deleted_there(hook, at, folder, tmp_path):
    plant(tmp_path / "elsewhere", {"f": b"1"})
    (folder / "latest").symlink_to(tmp_path / "elsewhere")
    hook.put(at + "latest/f", b"1")
    assert hook.upload_folder(folder, at, delete=True) == FolderReport(
        moved=5, unchanged=1, size=sum(map(len, TREE.values()))
    )
    assert "latest/f" in keys(hook, at)
    (folder / "gone").symlink_to(tmp_path / "none")
    with pytest.raises(PaiConfigError, match="gone"):
        hook.upload_folder(folder, at, delete=True)
    there = plant(tmp_path / "there", {"sub/old": b""})
    (there / "elsewhere").symlink_to(tmp_path / "elsewhere")
    assert hook.download_folder(at, there, delete=True).deleted == 1
    assert tree_of(tmp_path / "elsewhere") == {"f": b"1"}, "a sync does not reach through links"


def test_across_keys_stay_as_they_are(hook, at, bucket):
    tree = {"x": b"1", "/x": b"2", "a//b/": b"3", "a/b/": b"4", "m/": b""}
    for name, data in tree.items():
        bucket.put_object("data/" + name, data)
    other = f"oss://{bucket.bucket_name}/copy/"
    assert hook.copy_folder(at, other, delete=True).moved == 5
    assert {name: hook.get(other + name) for name in keys(hook, other)} == tree
    assert hook.copy_folder(at, other, delete=True) == FolderReport(unchanged=5)
    long = f"oss://{bucket.bucket_name}/" + "long/" * 204
    with pytest.raises(PaiConfigError, match="at most 1,023 bytes"):
        hook.copy_folder(at, long)
    assert keys(hook, long) == []


def test_across(hook, at, folder, bucket):
    hook.upload_folder(folder, at)
    other = f"oss://{bucket.bucket_name}/copy/"
    hook.put(other + "gone", "")
    assert hook.copy_folder(at, other, delete=True).deleted == 1
    assert hook.copy_folder(at, other) == FolderReport(unchanged=5)
    assert keys(hook, other) == keys(hook, at)
    for wrong in (at + "sub/", at, f"oss://{bucket.bucket_name}/"):
        with pytest.raises(PaiConfigError, match="target"):
            hook.copy_folder(at, wrong)


@pytest.mark.parametrize("key", ["../out", "a/../../out", "/abs", "a//b", "./a", "a/.."])
def test_a_key_that_would_lead_out_writes_nothing(hook, at, bucket, tmp_path, key):
    bucket.put_object("data/fine", b"1")
    bucket.put_object("data/" + key, b"2")
    with pytest.raises(PaiConfigError, match="key"):
        hook.download_folder(at, tmp_path / "there")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "there").exists()


def test_a_link_in_the_folder_does_not_lead_out(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PaiConfigError, match="key"):
        local_path(tmp_path / "there", "link/file")


def test_a_key_that_would_have_to_be_file_and_folder(hook, at, tmp_path):
    hook.put(at + "a", "")
    hook.put(at + "a/b", "")
    with pytest.raises(PaiConfigError, match="data/a/b"):
        hook.download_folder(at, tmp_path / "there")


def test_markers_of_folders_are_no_files(hook, at, bucket, tmp_path):
    bucket.put_object("data/", b"")
    bucket.put_object("data/empty/", b"")
    hook.put(at + "f", "1")
    hook.download_folder(at, tmp_path / "there")
    assert tree_of(tmp_path / "there") == {"f": b"1"}


def test_what_is_no_folder(hook, at, tmp_path):
    with pytest.raises(PaiNotFoundError, match="folder"):
        hook.upload_folder(tmp_path / "none", at)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / os.fsdecode(b"\xff")).write_bytes(b"")
    with pytest.raises(PaiConfigError, match="UTF-8"):
        hook.upload_folder(tmp_path / "odd", at)
    assert keys(hook, at) == []


def test_a_third_of_the_calls_is_refused(hook, at, folder, tmp_path, pai):
    pai.account.faults.add(match="oss", status=503, probability=0.3)
    hook.upload_folder(folder, at, delete=True)
    hook.download_folder(at, tmp_path / "there")
    assert tree_of(tmp_path / "there") == TREE


def test_an_error_of_one_file_is_the_error_of_all_and_leaves_no_torn_file(hook, at, folder, tmp_path, pai):
    hook.upload_folder(folder, at)
    pai.account.faults.add(match="oss GET .*c.csv", status=403, code="AccessDenied")
    with pytest.raises(PaiApiError, match=r"sub/c\.csv"):
        hook.download_folder(at, tmp_path / "there")
    for name, content in tree_of(tmp_path / "there").items():
        assert TREE[name] == content
