from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiConfigError,
    PaiConflictError,
    PaiNotFoundError,
    PaiPermissionError,
)
from airflow_provider_pai.hooks.oss import OssHook

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def hook():
    return OssHook()


@pytest.fixture
def at(bucket):
    return f"oss://{bucket.bucket_name}/folder/"


def test_put_get_head_delete(hook, at):
    etag = hook.put(at + "a.txt", "hello")
    info = hook.head(at + "a.txt")
    assert (info.size, info.etag, info.crc64) == (5, etag, "11177612005948864433")
    assert abs(info.server_time - info.last_modified) < timedelta(minutes=1)
    assert hook.get(at + "a.txt") == b"hello"
    hook.delete(at + "a.txt")
    hook.delete(at + "a.txt")
    assert hook.head(at + "a.txt") is None


def test_an_object_is_written_once(hook, at):
    assert hook.put_once(at + "once", "first")
    assert not hook.put_once(at + "once", "second")
    assert hook.get(at + "once") == b"first"
    with pytest.raises(PaiConflictError):
        hook.put(at + "once", "third", overwrite=False)


def test_lists_page_by_page_in_key_order(hook, at, bucket):
    keys = [f"folder/{n:04d}" for n in range(1100)]
    for key in keys:
        bucket.put_object(key, b"x")
    assert [info.uri.key for info in hook.list_objects(at)] == keys
    assert [info.uri.key for info in hook.list_objects(at, start_after="folder/1097")] == keys[1098:]


def test_files_travel_both_ways_and_a_torn_one_never_bears_the_name(hook, at, tmp_path, pai):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(256)) * 50_000)
    hook.upload(source, at + "big")
    hook.download(at + "big", target)
    assert target.read_bytes() == source.read_bytes()
    with pytest.raises(PaiNotFoundError):
        hook.download(at + "none", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_digest_of_a_dataset_tells_every_change(hook, at):
    hook.put(at + "a", "1")
    hook.put(at + "sub/b", "22")
    first = hook.dataset("d", at)
    assert (first.files, first.size, first.uri) == (2, 3, at)
    assert hook.dataset("d", at.rstrip("/")) == first
    hook.put(at + "a", "2")
    assert hook.dataset("d", at).digest != first.digest
    with pytest.raises(PaiConfigError, match="at least one object"):
        hook.dataset("d", at + "nothing")


def test_buckets(hook, bucket):
    assert bucket.bucket_name in hook.bucket_names(limit=1000)
    assert hook.bucket_exists(bucket.bucket_name)
    assert not hook.bucket_exists("no-such-bucket-anywhere")
    hook.create_bucket(bucket.bucket_name)
    hook.put(f"oss://{bucket.bucket_name}/x", "")
    with pytest.raises(PaiConflictError):
        hook.delete_bucket(bucket.bucket_name)


def test_no_permission_is_not_no_object(hook, at, pai):
    pai.cloud.faults.add(match="oss HEAD", status=403, code="AccessDenied", times=1)
    with pytest.raises(PaiPermissionError):
        hook.head(at + "x")


def test_the_sdk_does_not_report_what_is_looked_for_in_vain(hook, at, caplog):
    caplog.set_level(logging.INFO)
    assert hook.head(at + "none") is None
    assert not [record for record in caplog.records if record.name.startswith("oss2")]


def test_mount_uri(hook):
    assert hook.mount_uri("oss://b-1/a/c") == "oss://b-1.oss-cn-hangzhou-internal.aliyuncs.com/a/c/"


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_lines_are_the_same_whatever_ranges_they_come_in(hook, at, monkeypatch, size):
    monkeypatch.setattr("airflow_provider_pai.hooks.oss._RANGE", size)
    for text, lines in (("", []), ("a\n\nbcd\nä", ["a", "", "bcd", "ä"]), ("x\ny\n", ["x", "y"])):
        hook.put(at + "lines", text)
        assert list(hook.lines(at + "lines")) == lines
    with pytest.raises(PaiNotFoundError):
        list(hook.lines(at + "none"))


def test_an_object_that_changes_while_its_lines_are_read_is_an_error(hook, at, monkeypatch):
    monkeypatch.setattr("airflow_provider_pai.hooks.oss._RANGE", 2)
    hook.put(at + "lines", "a\nb\nc\n")
    lines = hook.lines(at + "lines")
    assert next(lines) == "a"
    hook.put(at + "lines", "x\ny\nz\n")
    with pytest.raises(PaiApiError, match="PreconditionFailed"):
        list(lines)


def test_the_region_of_a_bucket(hook, bucket):
    assert hook.bucket_region(bucket.bucket_name) == "cn-hangzhou"
