from __future__ import annotations

import json
import logging
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import requests
from oss2.models import BucketVersioningConfig, ServerSideEncryptionRule

from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiConfigError,
    PaiConflictError,
    PaiNotFoundError,
    PaiPermissionError,
    PaiTransferError,
    PaiTransientError,
)
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss import copy as oss_copy
from tests.conftest import airflow_connection
from tests.relay import relay

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


def test_an_answer_that_was_cut_is_read_on(hook, at, pai):
    data = bytes(range(256)) * 4
    hook.put(at + "long", data)
    pai.account.faults.add(match="oss GET .*/long$", times=3, spoil="half")
    assert b"".join(hook.read_blocks(at + "long")) == data


def test_an_object_is_written_once(hook, at):
    assert hook.put_once(at + "once", "first")
    assert not hook.put_once(at + "once", "second")
    assert hook.get(at + "once") == b"first"
    with pytest.raises(PaiConflictError):
        hook.put(at + "once", "third", overwrite=False)


@pytest.fixture(params=["Enabled", "Suspended"])
def versioned(hook, at, bucket, request):
    """A bucket in which x-oss-forbid-overwrite has no effect; its status."""
    bucket.put_bucket_versioning(BucketVersioningConfig("Enabled"))
    bucket.put_bucket_versioning(BucketVersioningConfig(request.param))
    return request.param


def test_an_object_is_written_once_where_versions_are_kept(hook, at, versioned):
    assert hook.put_once(at + "once", "first")
    assert not hook.put_once(at + "once", "second")
    hook.put(at + "once", "renewed")
    assert not hook.put_once(at + "once", "third")
    assert hook.get(at + "once") == b"renewed"
    hook.delete(at + "once")
    assert hook.put_once(at + "once", "fourth")


@pytest.fixture(params=["taken", "refused"])
def encrypted(pai, bucket, request):
    """A bucket that encrypts by a key of its user's own, in either world."""
    bucket.put_bucket_encryption(ServerSideEncryptionRule(sse_algorithm="KMS", kms_master_keyid="key"))
    pai.account.change_world({"oss_kms_append": request.param})
    yield bucket
    pai.account.change_world({"oss_kms_append": "taken"})


def test_an_object_is_written_once_where_a_key_of_one_s_own_encrypts(hook, at, encrypted):
    assert hook.put_once(at + "once", "first")
    assert not hook.put_once(at + "once", "second")
    assert hook.get(at + "once") == b"first"


def test_a_bucket_that_takes_no_appends_and_keeps_versions_is_refused(pai, hook, at, bucket, encrypted):
    bucket.put_bucket_versioning(BucketVersioningConfig("Enabled"))
    if pai.account.world.oss_kms_append == "taken":
        assert hook.put_once(at + "once", "first")
        return
    with pytest.raises(PaiConfigError, match=f"never had versioning; that of {bucket.bucket_name} is Enabled"):
        hook.put_once(at + "once", "first")
    pai.account.faults.add(match=r"oss GET /[^/]+/$", status=403, code="AccessDenied", times=1)
    with pytest.raises(PaiPermissionError, match="GetBucketInfo"):
        hook.put_once(at + "once", "first")
    assert hook.head(at + "once") is None


def test_only_one_of_many_writes_an_object_once(hook, at, versioned):
    with ThreadPoolExecutor(8) as threads:
        written = list(threads.map(lambda number: hook.put_once(at + "once", str(number)), range(24)))
    assert written.count(True) == 1
    assert hook.get(at + "once") == str(written.index(True)).encode()


def _upload(hook, uri, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    hook.upload(tmp_path / "file", uri, overwrite=False)


def _write(hook, uri, tmp_path):
    with hook.writer(uri, overwrite=False) as writer:
        writer.write(b"x")


def _copy(hook, uri, tmp_path):
    hook.put(uri + "-source", "x")
    hook.copy(uri + "-source", uri, overwrite=False)


WRITES = [lambda hook, uri, tmp_path: hook.put(uri, "x", overwrite=False), _upload, _write, _copy]


@pytest.mark.parametrize("write", WRITES)
def test_a_bucket_that_would_overwrite_all_the_same_is_refused_by_name(hook, at, bucket, versioned, write, tmp_path):
    hook.put(at + "a", "before")
    with pytest.raises(PaiConfigError, match=f"overwrite: False .*{bucket.bucket_name}.*{versioned}"):
        write(hook, at + "a", tmp_path)
    assert hook.get(at + "a") == b"before"


@pytest.mark.parametrize("write", WRITES)
def test_what_is_there_stays_where_nobody_may_ask_for_versioning(pai, hook, at, versioned, write, tmp_path):
    hook.put(at + "a", "before")
    pai.account.faults.add(match=r"oss GET /[^/]+/$", status=403, code="AccessDenied")
    with pytest.raises(PaiConflictError, match="FileAlreadyExists"):
        write(hook, at + "a", tmp_path)
    write(hook, at + "b", tmp_path)
    assert (hook.get(at + "a"), hook.get(at + "b")) == (b"before", b"x")


def test_lists_page_by_page_in_key_order(hook, at, bucket):
    keys = [f"folder/{n:04d}" for n in range(1100)]
    for key in keys:
        bucket.put_object(key, b"x")
    assert [info.uri.key for info in hook.list_objects(at)] == keys
    assert [info.uri.key for info in hook.list_objects(at, start_after="folder/1097")] == keys[1098:]


def test_buckets(hook, bucket, monkeypatch):
    other = f"{bucket.bucket_name}-other"
    hook.create_bucket(other)
    names = hook.bucket_names()
    assert {bucket.bucket_name, other} <= set(names)
    monkeypatch.setattr("airflow_provider_pai.hooks.oss.buckets._PAGE", -(-len(names) // 3))
    assert hook.bucket_names() == names
    hook.delete_bucket(other)
    assert hook.bucket_exists(bucket.bucket_name)
    assert not hook.bucket_exists("no-such-bucket-anywhere")
    hook.create_bucket(bucket.bucket_name)
    hook.put(f"oss://{bucket.bucket_name}/x", "")
    with pytest.raises(PaiConflictError):
        hook.delete_bucket(bucket.bucket_name)


def test_a_bucket_that_is_gone_since_an_answer_was_lost_is_deleted(hook, bucket, pai):
    pai.account.faults.add(match=f"oss DELETE /{bucket.bucket_name}/$", drop="answer", times=1)
    hook.delete_bucket(bucket.bucket_name)
    with pytest.raises(PaiNotFoundError):
        hook.delete_bucket(bucket.bucket_name)


def test_no_permission_is_not_no_object(hook, at, pai):
    pai.account.faults.add(match="oss HEAD", status=403, code="AccessDenied", times=1)
    with pytest.raises(PaiPermissionError):
        hook.head(at + "x")


def test_the_sdk_does_not_report_what_is_looked_for_in_vain(hook, at, caplog):
    caplog.set_level(logging.INFO)
    assert hook.head(at + "none") is None
    assert not [record for record in caplog.records if record.name.startswith("oss2")]


def test_mount_uri(hook):
    assert hook.mount_uri("oss://b-1/a/c") == "oss://b-1.oss-cn-hangzhou-internal.aliyuncs.com/a/c/"


def test_ranges(hook, at):
    hook.put(at + "r", bytes(range(100)))
    assert hook.get(at + "r", start=90) == bytes(range(90, 100))
    assert hook.get(at + "r", start=10, size=5) == bytes(range(10, 15))
    assert hook.get(at + "r", start=95, size=50) == bytes(range(95, 100))
    assert hook.get(at + "r", size=0) == b""


def test_one_level(hook, at):
    for key in ("a", "b/1", "b/2", "c/d/1", "z"):
        hook.put(at + key, "")
    objects, prefixes = hook.list_folder(at.rstrip("/"))
    assert [info.uri.key for info in objects] == ["folder/a", "folder/z"]
    assert [str(prefix) for prefix in prefixes] == [at + "b/", at + "c/"]


def test_wildcards(hook, at):
    for key in ("2026/a.csv", "2026/b.json", "2027/a.csv", "x.csv"):
        hook.put(at + key, "")
    assert [info.uri.key for info in hook.find(at + "202[6-9]/*.csv")] == ["folder/2026/a.csv", "folder/2027/a.csv"]
    assert [info.uri.key for info in hook.find(at + "x.csv")] == ["folder/x.csv"]


def test_copies_with_headers_and_tags(hook, at, monkeypatch):
    hook.put(at + "a", b"x" * 300_000, headers={"Content-Type": "text/x", "x-oss-meta-m": "1"}, tags={"k": "v+"})
    whole = hook.copy(at + "a", at + "b")
    assert whole == hook.head(at + "a").etag
    monkeypatch.setattr(oss_copy, "MAX_WHOLE", 100_000)
    monkeypatch.setattr(oss_copy, "PART", 120_000)
    hook.copy(at + "a", at + "c", storage_class="IA")
    for key in "bc":
        head = hook.bucket(hook.head(at + key).uri.bucket).head_object("folder/" + key)
        assert (head.content_type, head.headers["x-oss-meta-m"]) == ("text/x", "1")
        assert hook.tags(at + key) == {"k": "v+"}
        assert hook.head(at + key).crc64 == hook.head(at + "a").crc64
    assert hook.head(at + "c").storage_class == "IA"
    for limit in (100_000, 1 << 30):
        monkeypatch.setattr(oss_copy, "MAX_WHOLE", limit)
        with pytest.raises(PaiConflictError):
            hook.copy(at + "a", at + "b", overwrite=False)
        with pytest.raises(PaiNotFoundError, match="folder/none"):
            hook.copy(at + "none", at + "b")


def test_a_source_that_is_replaced_in_the_middle_of_a_copy_gives_no_copy(hook, at, bucket, monkeypatch):
    hook.put(at + "a", b"1" * 300_000)
    monkeypatch.setattr(oss_copy, "MAX_WHOLE", 100_000)
    monkeypatch.setattr(oss_copy, "PART", 120_000)
    described = oss_copy._described

    def replaced(*arguments):
        hook.put(at + "a", b"2" * 300_000)
        return described(*arguments)

    monkeypatch.setattr(oss_copy, "_described", replaced)
    with pytest.raises(PaiTransferError, match="replaced"):
        hook.copy(at + "a", at + "b")
    assert hook.head(at + "b") is None
    assert bucket.list_multipart_uploads().upload_list == []


def test_appends(hook, at):
    assert hook.append(at + "log", "one\n") == 4
    assert hook.append(at + "log", "two\n") == 8
    assert hook.get(at + "log") == b"one\ntwo\n"
    with pytest.raises(PaiConflictError, match="PositionNotEqualToLength"):
        hook.append(at + "log", "x", position=3)
    hook.put(at + "plain", "1")
    with pytest.raises(PaiConflictError, match="ObjectNotAppendable"):
        hook.append(at + "plain", "x")


def test_tags_and_storage_classes(hook, at):
    hook.put(at + "a", "1", tags={"a": "1"}, storage_class="IA")
    assert (hook.tags(at + "a"), hook.head(at + "a").storage_class) == ({"a": "1"}, "IA")
    hook.set_tags(at + "a", {"b": "2", "c": "+ /"})
    hook.set_storage_class(at + "a", "Archive")
    assert (hook.tags(at + "a"), hook.head(at + "a").storage_class) == ({"b": "2", "c": "+ /"}, "Archive")
    with pytest.raises(PaiPermissionError, match="InvalidObjectState"):
        hook.get(at + "a")
    hook.restore(at + "a", days=2)
    hook.restore(at + "a", days=2)
    hook.set_tags(at + "a", {})
    assert hook.tags(at + "a") == {}


def test_versions(hook, at, bucket):
    config = BucketVersioningConfig()
    config.status = "Enabled"
    bucket.put_bucket_versioning(config)
    hook.put(at + "a", "old")
    old = hook.head(at + "a").version
    hook.put(at + "a", "new")
    assert hook.get(at + "a", version=old) == b"old"
    assert hook.head(at + "a", version=old).version == old
    hook.copy(at + "a", at + "copy", version=old)
    assert hook.get(at + "copy") == b"old"
    hook.delete(at + "a")
    found = list(hook.versions(at + "a"))
    assert sorted((each.is_latest, each.is_delete_marker) for each in found) == [
        (False, False),
        (False, False),
        (True, True),
    ]
    for each in hook.versions(at):
        hook.delete(each.uri, version=each.version)
    assert list(hook.versions(at)) == []


def test_deletes_many(hook, at, bucket):
    keys = [f"folder/{number:04d} é&" for number in range(1003)]
    for key in keys:
        bucket.put_object(key, b"")
    uris = [f"oss://{bucket.bucket_name}/{key}" for key in keys]
    assert hook.delete_many([*uris, at + "none"]) == 1004
    assert list(hook.list_objects(at)) == []


def test_deletes_below_a_prefix_but_never_a_whole_bucket(hook, at, bucket):
    for key in ("a.csv", "b.json", "sub/c.csv"):
        hook.put(at + key, "")
    hook.put(at.rstrip("/") + "-other", "")
    assert hook.delete_folder(at, exclude=["*.json"]) == 2
    assert [info.uri.key for info in hook.list_objects(f"oss://{bucket.bucket_name}/")] == [
        "folder-other",
        "folder/b.json",
    ]
    with pytest.raises(PaiConfigError, match="with a key"):
        hook.delete_folder(f"oss://{bucket.bucket_name}/")


def test_a_url_for_whoever_has_no_key(hook, at):
    hook.put(at + "a b", "hello")
    assert requests.get(hook.presign(at + "a b", expires=60), timeout=10).content == b"hello"
    assert requests.put(hook.presign(at + "new", method="PUT"), data=b"1", timeout=10).status_code == 200
    assert requests.delete(hook.presign(at + "a b"), timeout=10).status_code == 403
    for wrong in ({"method": "POST"}, {"expires": 0}, {"expires": 604_801}):
        with pytest.raises(PaiConfigError, match=next(iter(wrong))):
            hook.presign(at + "a b", **wrong)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/key",
        "oss:/bucket/key",
        "bucket/key",
        "oss://B/key",
        "oss://ab/key",
        "oss://a_b/key",
        "oss://-ab/key",
        "oss://bucket",
        "oss://bucket/",
        "oss://bucket//key",
        "oss://bucket/\\key",
        "oss://bucket/" + "k" * 1024,
        "oss://bucket/\udcff",
        7,
        None,
        "",
    ],
)
@pytest.mark.parametrize("verb", ["put", "get", "head", "delete", "upload", "download", "append", "tags"])
def test_addresses_that_are_none_are_refused_before_anything_is_sent(hook, uri, verb, tmp_path):
    more = {"put": ["x"], "append": ["x"], "download": [tmp_path / "x"]}.get(verb, [])
    arguments = [tmp_path, uri] if verb == "upload" else [uri, *more]
    with pytest.raises(PaiConfigError, match="uri"):
        getattr(hook, verb)(*arguments)


def test_values_that_oss_does_not_have(hook, at):
    for wrong in ({"storage_class": "Cold"}, {"tags": {"": "x"}}, {"tags": {str(n): "" for n in range(11)}}):
        with pytest.raises(PaiConfigError, match=next(iter(wrong))):
            hook.put(at + "a", "1", **wrong)
    assert hook.head(at + "a") is None
    with pytest.raises(PaiConfigError, match="redundancy"):
        hook.create_bucket("some-bucket", redundancy="XRS")


def test_errors_name_bucket_key_code_and_request_id(hook, at):
    with pytest.raises(PaiNotFoundError) as error:
        hook.get(at + "none")
    assert (error.value.code, error.value.status) == ("NoSuchKey", 404)
    assert error.value.request_id
    for fact in (at + "none", "NoSuchKey", error.value.request_id):
        assert fact in str(error.value)
    with pytest.raises(PaiNotFoundError, match="NoSuchBucket"):
        hook.head("oss://no-such-bucket-anywhere/key")


def test_a_bucket_in_another_region_is_named_with_its_endpoint(hook, pai):
    name = f"far-{uuid.uuid4().hex[:8]}"
    pai.services.oss.create_bucket(name, region="cn-beijing")
    with pytest.raises(PaiPermissionError, match=r"oss-cn-beijing\.aliyuncs\.com"):
        hook.get(f"oss://{name}/key")


def _stream(hook, uri):
    with hook.writer(uri, overwrite=False) as writer:
        writer.write(b"x")


def _parts(hook, uri):
    with hook.writer(uri, overwrite=False) as writer:
        writer.write(b"x" * (9 << 20))


def _file(hook, uri):
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")
        file.flush()
        hook.upload(file.name, uri, overwrite=False)


WRITES_ONCE = {
    "put": lambda hook, uri: hook.put(uri, "x", overwrite=False),
    "stream": _stream,
    "parts": _parts,
    "file": _file,
    "copy": lambda hook, uri: hook.copy(uri + "-source", uri, overwrite=False),
    "put_once": lambda hook, uri: hook.put_once(uri, "x"),
    "append": lambda hook, uri: hook.append(uri, "x"),
    "append at": lambda hook, uri: hook.append(uri, "x", position=0),
}


@pytest.mark.parametrize("lost", [{"drop": "answer"}, {"spoil": "html"}, {"drop": "request"}])
@pytest.mark.parametrize("write", WRITES_ONCE)
def test_a_write_that_must_find_nothing_there_is_well_when_its_answer_was_lost(pai, hook, at, write, lost):
    hook.put(at + "a-source", "x")
    pai.account.faults.add(match="oss (PUT|POST) .*/a$", times=1, **lost)
    assert WRITES_ONCE[write](hook, at + "a") is not False
    size = 9 << 20 if write == "parts" else 1
    assert hook.get(at + "a") == b"x" * size


@pytest.mark.parametrize("write", WRITES_ONCE)
def test_what_somebody_else_has_written_meanwhile_is_no_lost_answer(pai, hook, at, write):
    hook.put(at + "a-source", "x")
    hook.put(at + "a", "another")
    pai.account.faults.add(match="oss (PUT|POST) .*/a$", drop="request", times=1)
    if write == "put_once":
        assert WRITES_ONCE[write](hook, at + "a") is False
    else:
        with pytest.raises(PaiConflictError):
            WRITES_ONCE[write](hook, at + "a")
    assert hook.get(at + "a") == b"another"


def test_a_clock_that_is_wrong_is_said_so(pai, hook, at, monkeypatch):
    monkeypatch.setattr(pai.account, "now", lambda: datetime.now(UTC) + timedelta(hours=1))
    with pytest.raises(PaiPermissionError, match="RequestTimeTooSkewed"):
        hook.get(at + "a")


def test_every_third_call_is_refused_and_all_is_done(hook, at, pai):
    pai.account.faults.add(match="oss", status=503, code="ServiceUnavailable", probability=0.2)
    pai.account.faults.add(match="oss", status=429, code="Throttling.User", probability=0.2)
    for number in range(20):
        hook.put(at + str(number), str(number))
    assert sorted(int(hook.get(info.uri)) for info in hook.list_objects(at)) == list(range(20))


def test_a_service_that_is_down_is_an_error_in_the_end(hook, at, pai):
    hook.retry_seconds = 0.2
    pai.account.faults.add(match="oss PUT", drop="request")
    with pytest.raises(PaiTransientError, match="folder/a"):
        hook.put(at + "a", "1")


def test_a_permission_that_is_missing_fails_at_once(hook, at, pai):
    pai.account.faults.add(match="oss", status=403, code="AccessDenied")
    begun = time.monotonic()
    with pytest.raises(PaiApiError, match="AccessDenied"):
        hook.get(at + "a")
    assert time.monotonic() - begun < hook.retry_seconds


@pytest.mark.parametrize("times", [1, 9])
def test_what_changes_on_the_line_is_seen(pai, at, monkeypatch, times):
    left = {"up": times, "down": times}

    def change(way):
        def flip(data):
            if b"%MARKER%" in data and left[way]:
                left[way] -= 1
                return data.replace(b"%MARKER%", b"%MARKES%")
            return data

        return flip

    with relay(pai.endpoints.oss_endpoint, change("up"), change("down")) as url:
        changed = airflow_connection(pai, oss_endpoint=url)
        monkeypatch.setenv("AIRFLOW_CONN_PAI_CHANGED", json.dumps(changed))
        hook, direct = OssHook("pai_changed"), OssHook()
        if times == 1:
            hook.put(at + "a", b"%MARKER%")
            assert direct.get(at + "a") == hook.get(at + "a") == b"%MARKER%"
            assert left == {"up": 0, "down": 0}
            return
        with pytest.raises(PaiTransferError, match="folder/a"):
            hook.put(at + "a", b"%MARKER%")
        assert direct.head(at + "a") is None
        direct.put(at + "a", b"%MARKER%")
        with pytest.raises(PaiTransferError, match="folder/a"):
            hook.get(at + "a")


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_lines_are_the_same_whatever_blocks_they_come_in(hook, at, monkeypatch, size):
    monkeypatch.setattr("airflow_provider_pai.hooks.oss.client.BLOCK", size)
    for text, lines in (("", []), ("a\n\nbcd\nä", ["a", "", "bcd", "ä"]), ("x\ny\n", ["x", "y"])):
        hook.put(at + "lines", text)
        assert list(hook.lines(at + "lines")) == lines
    with pytest.raises(PaiNotFoundError):
        list(hook.lines(at + "none"))


def test_the_region_of_a_bucket(hook, bucket):
    assert hook.bucket_region(bucket.bucket_name) == "cn-hangzhou"


def test_requests_go_through_the_proxy_of_the_environment(hook, at, monkeypatch):
    hook.retry_seconds = 0
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(PaiTransientError, match="through the proxy"):
        hook.head(at + "a")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert OssHook().head(at + "a") is None


def test_a_body_whose_length_nobody_knows(hook, at, bucket):
    hook.bucket(bucket.bucket_name).put_object("folder/a", iter([b"ab", b"cd"]))
    assert hook.get(at + "a") == b"abcd"


def test_netrc_does_not_sign_for_us(hook, at, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    hook.put(at + "a", b"1")
    assert hook.get(at + "a") == b"1"


def test_what_xml_can_t_name_is_deleted_by_itself(pai, hook, at):
    """A carriage return comes out of XML as a line feed: that would be another object."""
    names = ["a\rb", "a\nb", "a\x01b", "a\tb", "a\uffffb", "plain", "a&<b>"]
    for name in names:
        hook.put(at + name, "")
    batches = pai.account.faults.add(match="oss POST", times=99)
    assert hook.delete_many(at + name for name in ("a\rb", "a\x01b", "a\uffffb")) == 3
    assert batches.times == 99
    assert [info.uri.key.rpartition("/")[2] for info in hook.list_objects(at)] == ["a\tb", "a\nb", "a&<b>", "plain"]
    assert hook.delete_many(at + name for name in (*names, "none")) == 8
    assert not list(hook.list_objects(at))


def test_what_an_answer_does_not_name_as_deleted_is_deleted_by_itself(pai, hook, at):
    for name in ("a", "b"):
        hook.put(at + name, "")
    pai.account.faults.add(match="oss POST", status=200, times=1)
    assert hook.delete_many([at + "a", at + "b"]) == 2
    assert not list(hook.list_objects(at))
