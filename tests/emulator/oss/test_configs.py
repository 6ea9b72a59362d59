"""Properties of buckets and objects beside their bytes: configurations, ACLs, links, restores, callbacks."""

from __future__ import annotations

import http.server
import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import oss2
import pytest
import requests
from oss2.models import BucketLifecycle, LifecycleExpiration, LifecycleRule, StorageTransition

from airflow_provider_pai.emulator import Emulator
from tests.conftest import oss_bucket
from tests.emulator.oss_client import Site, code_of, encoded


@pytest.fixture
def anonymous(pai: Emulator, bucket: oss2.Bucket) -> oss2.Bucket:
    return oss2.Bucket(oss2.AnonymousAuth(), pai.endpoints.oss_endpoint, bucket.bucket_name)


def test_a_configuration_is_kept_and_handed_out(bucket: oss2.Bucket) -> None:
    with pytest.raises(oss2.exceptions.NoSuchLifecycle):
        bucket.get_bucket_lifecycle()
    rule = LifecycleRule("old", "日志/", status="Enabled", expiration=LifecycleExpiration(days=7))
    bucket.put_bucket_lifecycle(BucketLifecycle([rule]))
    got = bucket.get_bucket_lifecycle().rules[0]
    assert (got.id, got.prefix, got.expiration.days) == ("old", "日志/", 7)
    bucket.delete_bucket_lifecycle()
    with pytest.raises(oss2.exceptions.NoSuchLifecycle):
        bucket.get_bucket_lifecycle()


def test_a_lifecycle_that_makes_no_sense_is_refused(bucket: oss2.Bucket) -> None:
    rule = LifecycleRule("r", "a/", status="Enabled", expiration=LifecycleExpiration(days=3))
    rule.storage_transitions = [StorageTransition(days=4, storage_class="IA")]
    with pytest.raises(oss2.exceptions.InvalidArgument):
        bucket.put_bucket_lifecycle(BucketLifecycle([rule]))
    with pytest.raises(oss2.exceptions.MalformedXml):
        bucket.put_bucket_lifecycle("<a></b>")


def test_encryption_of_a_bucket_is_that_of_its_objects(bucket: oss2.Bucket) -> None:
    rule = oss2.models.ServerSideEncryptionRule()
    rule.sse_algorithm = "AES256"
    bucket.put_bucket_encryption(rule)
    assert bucket.put_object("k", b"1").headers["x-oss-server-side-encryption"] == "AES256"
    assert bucket.get_object("k").read() == b"1"
    bucket.put_object("k", b"1", headers={"x-oss-server-side-encryption": "KMS"})
    assert bucket.head_object("k").headers["x-oss-server-side-encryption-key-id"]
    named = {"x-oss-server-side-encryption": "KMS", "x-oss-server-side-encryption-key-id": "钥".encode()}
    answers = [bucket.put_object("k", b"1", headers=named), bucket.copy_object(bucket.bucket_name, "k", "c", named)]
    answers += [bucket.init_multipart_upload("m", headers=named), bucket.head_object("c")]
    told = {answer.headers["x-oss-server-side-encryption-key-id"].encode("latin-1").decode() for answer in answers}
    assert told == {"钥"}


def test_stat_counts_what_is_there(bucket: oss2.Bucket) -> None:
    bucket.put_object("a", b"123")
    bucket.put_object("b", b"12", headers={"x-oss-storage-class": "IA"})
    bucket.init_multipart_upload("c")
    stat = bucket.get_bucket_stat()
    assert (stat.object_count, stat.storage_size_in_bytes, stat.multi_part_upload_count) == (2, 5, 1)
    assert (stat.standard_storage, stat.infrequent_access_object_count) == (3, 1)


def test_a_bucket_in_another_region_says_which(pai: Emulator) -> None:
    name = f"far-{uuid.uuid4().hex[:8]}"
    pai.services.oss.create_bucket(name, region="cn-beijing")
    with pytest.raises(oss2.exceptions.AccessDenied) as error:
        oss_bucket(pai, name).get_object("k")
    assert error.value.details["Endpoint"] == "oss-cn-beijing.aliyuncs.com"


def test_a_bucket_in_the_host_name(pai: Emulator, bucket: oss2.Bucket) -> None:
    bucket.put_object("k", b"1")
    url = oss2.Bucket(bucket.auth, "oss-cn-hangzhou.aliyuncs.com", bucket.bucket_name, region="cn-hangzhou").sign_url(
        "GET", "k", 60
    )
    host = f"{bucket.bucket_name}.oss-cn-hangzhou.aliyuncs.com"
    answer = requests.get(url.replace(f"http://{host}", pai.endpoints.oss_endpoint), headers={"Host": host}, timeout=10)
    assert answer.content == b"1"


def test_who_has_no_key_may_do_what_the_acl_allows(bucket: oss2.Bucket, anonymous: oss2.Bucket) -> None:
    bucket.put_object("open", b"1", headers={"x-oss-object-acl": "public-read"})
    bucket.put_object("closed", b"2")
    assert anonymous.get_object("open").read() == b"1"
    for refused in (
        lambda: anonymous.get_object("closed"),
        lambda: anonymous.put_object("open", b"3"),
        anonymous.list_objects,
    ):
        with pytest.raises(oss2.exceptions.AccessDenied):
            refused()
    bucket.put_bucket_acl("public-read-write")
    anonymous.put_object("closed", b"4")
    assert [each.key for each in anonymous.list_objects().object_list] == ["closed", "open"]
    for refused in (
        lambda: anonymous.put_bucket_acl("private"),
        lambda: anonymous.get_object_acl("open"),
        anonymous.get_bucket_lifecycle,
        anonymous.delete_bucket,
    ):
        with pytest.raises(oss2.exceptions.AccessDenied):
            refused()


def test_a_symbolic_link_is_read_as_its_target(bucket: oss2.Bucket) -> None:
    etag = bucket.put_object("dir/target+", b"hello").etag
    bucket.put_symlink("dir/target+", "link", headers={"x-oss-meta-a": "1"})
    assert bucket.get_symlink("link").target_key == "dir/target+"
    head = bucket.head_object("link")
    assert (head.content_length, head.etag, head.headers["x-oss-meta-a"]) == (5, etag, "1")
    assert bucket.get_object("link").read() == b"hello"
    bucket.put_symlink("link", "chain")
    bucket.put_symlink("none", "broken")
    for key, expected in (("chain", (400, "InvalidTargetType")), ("broken", (404, "SymlinkTargetNotExist"))):
        with pytest.raises(oss2.exceptions.ServerError) as error:
            bucket.get_object(key)
        assert code_of(error) == expected
    with pytest.raises(oss2.exceptions.ServerError) as error:
        bucket.get_symlink("dir/target+")
    assert code_of(error) == (400, "NotSymlink")


def test_an_archived_object_is_read_after_its_restore(tmp_path: Any) -> None:
    with Emulator(tmp_path, minute=0.2) as pai:
        bucket = oss_bucket(pai, "frozen")
        bucket.create_bucket()
        bucket.put_object("k", b"1", headers={"x-oss-storage-class": "Archive"})
        with pytest.raises(oss2.exceptions.ServerError) as error:
            bucket.get_object("k")
        assert code_of(error) == (403, "InvalidObjectState")
        assert bucket.restore_object("k").status == 202
        assert bucket.head_object("k").headers["x-oss-restore"] == 'ongoing-request="true"'
        with pytest.raises(oss2.exceptions.RestoreAlreadyInProgress):
            bucket.restore_object("k")
        while "true" in bucket.head_object("k").headers["x-oss-restore"]:
            time.sleep(0.02)
        assert "expiry-date=" in bucket.head_object("k").headers["x-oss-restore"]
        assert bucket.get_object("k").read() == b"1"
        assert bucket.restore_object("k").status == 200
        bucket.put_object("warm", b"1")
        with pytest.raises(oss2.exceptions.OperationNotSupported):
            bucket.restore_object("warm")


def test_a_text_goes_out_compressed_to_whoever_takes_it(bucket: oss2.Bucket) -> None:
    content = b"0123456789" * 200_000
    bucket.put_object("k.txt", content)
    got = bucket.get_object("k.txt", headers={"Accept-Encoding": "gzip"})
    assert (got.headers["Content-Encoding"], got.content_length, got.read()) == ("gzip", None, content)
    bucket.put_object("k.bin", content)
    assert "Content-Encoding" not in bucket.get_object("k.bin", headers={"Accept-Encoding": "gzip"}).headers
    assert bucket.get_object("k.txt", byte_range=(0, 1999), headers={"Accept-Encoding": "gzip"}).status == 206


class _Application(http.server.BaseHTTPRequestHandler):
    heard: list[tuple[str, str]] = []
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.heard.append((self.path, body))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b'{"Status": "OK"}')

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def application() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/done"
    server.shutdown()
    server.server_close()


def test_a_callback_hears_of_the_upload_and_answers_it(
    pai: Emulator, bucket: oss2.Bucket, application: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Application, "heard", [])
    callback = {"callbackUrl": application, "callbackBody": "${bucket}|${object}|${size}|${x:who}"}
    headers = {"x-oss-callback": encoded(callback), "x-oss-callback-var": encoded({"x:who": "me"})}
    answer = bucket.put_object("a/k", b"12345", headers=headers)
    assert json.loads(answer.resp.read()) == {"Status": "OK"}
    assert _Application.heard == [("/done", f"{bucket.bucket_name}|a%2Fk|5|me")]
    form = {**Site(pai, bucket).form("v1", key="f"), "callback": encoded(callback), "x:who": "form"}
    assert Site(pai, bucket).post(form).json() == {"Status": "OK"}
    assert _Application.heard[1:] == [("/done", f"{bucket.bucket_name}|f|5|form")]
    monkeypatch.setattr(_Application, "status", 500)
    url = bucket.sign_url("PUT", "other", 60, params={"callback": encoded(callback)})
    refused = requests.put(url, data=b"1", timeout=10)
    assert (refused.status_code, b"CallbackFailed" in refused.content) == (203, True)
    assert bucket.object_exists("other")


def test_a_callback_that_is_none_or_leaves_this_machine(bucket: oss2.Bucket) -> None:
    with pytest.raises(oss2.exceptions.InvalidArgument):
        bucket.put_object("k", b"1", headers={"x-oss-callback": "no json"})
    away = encoded({"callbackUrl": "http://192.0.2.1/", "callbackBody": "x"})
    url = bucket.sign_url("PUT", "k", 60, params={"callback": away})
    assert requests.put(url, data=b"1", timeout=10).status_code == 203


def test_a_sequential_upload_has_a_digest(bucket: oss2.Bucket) -> None:
    upload = bucket.init_multipart_upload("k", params={"sequential": ""}).upload_id
    with pytest.raises(oss2.exceptions.PartNotSequential):
        bucket.upload_part("k", upload, 2, b"1")
    part = bucket.upload_part("k", upload, 1, b"hello")
    bucket.complete_multipart_upload("k", upload, [oss2.models.PartInfo(1, part.etag)])
    assert bucket.head_object("k").headers["Content-MD5"] == oss2.utils.content_md5(b"hello")
