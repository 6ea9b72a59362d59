"""Buckets and objects, through oss2 over real sockets."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import oss2
import pytest
import requests
from oss2.models import Tagging, TaggingRule

from airflow_provider_pai.emulator import Emulator
from tests.conftest import oss_auth, oss_bucket
from tests.emulator.oss_client import HELLO_CRC, code_of, folder_of, keys_of


class TestBuckets:
    def test_life(self, pai: Emulator) -> None:
        bucket = oss_bucket(pai, f"life-{uuid.uuid4().hex[:8]}")
        with pytest.raises(oss2.exceptions.NoSuchBucket):
            bucket.get_bucket_info()
        with pytest.raises(oss2.exceptions.NoSuchBucket):
            bucket.put_object("a", b"")
        bucket.create_bucket(input=oss2.models.BucketCreateConfig("IA", "ZRS"))
        bucket.create_bucket()
        info = bucket.get_bucket_info()
        assert (info.name, info.storage_class, info.data_redundancy_type) == (bucket.bucket_name, "IA", "ZRS")
        assert info.acl.grant == "private"
        assert bucket.get_bucket_location().location == "oss-cn-hangzhou"
        bucket.put_object("key", b"")
        assert bucket.list_objects().object_list[0].storage_class == "IA"
        with pytest.raises(oss2.exceptions.BucketNotEmpty):
            bucket.delete_bucket()
        bucket.delete_object("key")
        upload = bucket.init_multipart_upload("key").upload_id
        with pytest.raises(oss2.exceptions.BucketNotEmpty):
            bucket.delete_bucket()
        bucket.abort_multipart_upload("key", upload)
        bucket.delete_bucket()
        with pytest.raises(oss2.exceptions.NoSuchBucket):
            bucket.delete_bucket()

    def test_an_empty_folder_left_by_a_mount_goes_with_the_bucket(self, pai: Emulator, bucket: oss2.Bucket) -> None:
        (folder_of(pai, bucket) / "left/behind").mkdir(parents=True)
        bucket.delete_bucket()
        assert not (pai.data / "oss" / bucket.bucket_name).exists()

    def test_list(self, pai: Emulator) -> None:
        prefix = f"list-{uuid.uuid4().hex[:8]}"
        names = [f"{prefix}-{number}" for number in range(5)]
        for name in names:
            oss_bucket(pai, name).create_bucket()
        service = oss2.Service(oss_auth(pai), pai.endpoints.oss_endpoint, region="cn-hangzhou")
        assert [each.name for each in oss2.BucketIterator(service, prefix=prefix, max_keys=2)] == names
        assert service.list_buckets(prefix=prefix, max_keys=2).is_truncated

    @pytest.mark.parametrize("name", ["ab", "-abc", "abc-", "Abc", "a_b", "x" * 64])
    def test_names(self, pai: Emulator, name: str) -> None:
        bucket = oss_bucket(pai, "abc")
        bucket.bucket_name = name  # oss2 itself refuses the name in its constructor
        with pytest.raises(oss2.exceptions.ServerError) as error:
            bucket.create_bucket()
        assert code_of(error) == (400, "InvalidBucketName")

    def test_what_is_not_emulated_is_refused(self, bucket: oss2.Bucket) -> None:
        with pytest.raises(oss2.exceptions.ServerError) as error:
            bucket.get_bucket_website()
        assert code_of(error) == (501, "NotImplemented")
        bucket.put_object("key", b"1")
        with pytest.raises(oss2.exceptions.ServerError) as error:
            bucket.get_object("key", process="image/resize,w_100")
        assert code_of(error) == (501, "NotImplemented")


class TestObjects:
    def test_put_get_head(self, bucket: oss2.Bucket) -> None:
        headers = {"Content-Type": "text/plain", "Cache-Control": "no-cache", "x-oss-meta-who": "日本".encode()}
        put = bucket.put_object("dir/a b+é.txt", b"hello", headers=headers)
        assert put.etag == hashlib.md5(b"hello").hexdigest().upper()
        assert put.crc == HELLO_CRC
        assert put.request_id
        got = bucket.get_object("dir/a b+é.txt")
        assert got.read() == b"hello"
        assert (got.client_crc, got.server_crc) == (HELLO_CRC, HELLO_CRC)
        assert got.headers["ETag"] == f'"{put.etag}"'
        assert got.headers["Cache-Control"] == "no-cache"
        assert got.headers["x-oss-meta-who"].encode("latin-1").decode() == "日本"
        head = bucket.head_object("dir/a b+é.txt")
        assert (head.content_length, head.content_type, head.object_type) == (5, "text/plain", "Normal")
        assert abs(head.last_modified - time.time()) < 10
        meta = bucket.get_object_meta("dir/a b+é.txt")
        assert (meta.content_length, meta.etag) == (5, put.etag)
        assert "x-oss-meta-who" not in meta.headers

    def test_missing(self, bucket: oss2.Bucket) -> None:
        with pytest.raises(oss2.exceptions.NoSuchKey):
            bucket.get_object("none")
        with pytest.raises(oss2.exceptions.NoSuchKey) as error:
            bucket.head_object("none")
        assert error.value.ec == "0026-00000001"
        assert not bucket.object_exists("none")
        assert bucket.delete_object("none").status == 204

    def test_error_of_head_has_no_body(self, bucket: oss2.Bucket) -> None:
        response = requests.head(bucket.sign_url("HEAD", "none", 60), timeout=10)
        assert (response.status_code, response.content) == (404, b"")
        assert b"<Code>NoSuchKey</Code>" in base64.b64decode(response.headers["x-oss-err"])

    @pytest.mark.parametrize("key", ["/abs", "\\abs", "x" * 1024])
    def test_invalid_names(self, bucket: oss2.Bucket, key: str) -> None:
        with pytest.raises(oss2.exceptions.InvalidObjectName):
            bucket.put_object(key, b"")

    def test_ranges(self, bucket: oss2.Bucket) -> None:
        content = bytes(range(256)) * 4
        bucket.put_object("r", content)
        assert bucket.get_object("r", byte_range=(500, None)).read() == content[500:]
        assert bucket.get_object("r", byte_range=(None, 199)).read() == content[-199:]
        part = bucket.get_object("r", byte_range=(3, 3))
        assert (part.status, part.read()) == (206, content[3:4])
        assert part.headers["Content-Range"] == "bytes 3-3/1024"
        beyond = bucket.get_object("r", byte_range=(1000, 2000))
        assert (beyond.status, beyond.read()) == (200, content)
        standard = {"x-oss-range-behavior": "standard"}
        beyond = bucket.get_object("r", byte_range=(1000, 2000), headers=standard)
        assert (beyond.status, beyond.read()) == (206, content[1000:])
        with pytest.raises(oss2.exceptions.ServerError) as error:
            bucket.get_object("r", byte_range=(1024, 2000), headers=standard)
        assert code_of(error) == (416, "InvalidRange")

    def test_conditions(self, bucket: oss2.Bucket) -> None:
        etag = bucket.put_object("c", b"1").etag
        past, future = (oss2.utils.http_date(time.time() + offset) for offset in (-3600, 3600))
        for headers in ({"If-Match": f'"{etag}"'}, {"If-Modified-Since": past}, {"If-Unmodified-Since": future}):
            assert bucket.get_object("c", headers=headers).read() == b"1"
        for headers in ({"If-Match": '"0"'}, {"If-Unmodified-Since": past}):
            with pytest.raises(oss2.exceptions.PreconditionFailed):
                bucket.get_object("c", headers=headers)
        for headers in ({"If-None-Match": f'"{etag}"'}, {"If-Modified-Since": future}):
            with pytest.raises(oss2.exceptions.NotModified):
                bucket.get_object("c", headers=headers)
            with pytest.raises(oss2.exceptions.NotModified):
                bucket.head_object("c", headers=headers)

    def test_response_overrides(self, bucket: oss2.Bucket) -> None:
        bucket.put_object("o", b"1", headers={"Content-Type": "text/plain"})
        got = bucket.get_object("o", params={"response-content-type": "image/jpeg"})
        assert got.headers["Content-Type"] == "image/jpeg"
        with pytest.raises(oss2.exceptions.InvalidArgument):
            bucket.get_object("o", params={"response-expires": "a\r\nx-evil: 1"})

    def test_digest(self, bucket: oss2.Bucket) -> None:
        with pytest.raises(oss2.exceptions.InvalidDigest):
            bucket.put_object("m", b"1", headers={"Content-MD5": oss2.utils.content_md5(b"2")})
        assert not bucket.object_exists("m")

    def test_forbid_overwrite(self, bucket: oss2.Bucket) -> None:
        forbid = {"x-oss-forbid-overwrite": "true"}
        bucket.put_object("lease", b"1", headers=forbid)
        for write in (
            lambda: bucket.put_object("lease", b"2", headers=forbid),
            lambda: bucket.copy_object(bucket.bucket_name, "lease", "lease", headers=forbid),
        ):
            with pytest.raises(oss2.exceptions.ServerError) as error:
                write()
            assert code_of(error) == (409, "FileAlreadyExists")
        assert bucket.get_object("lease").read() == b"1"

    def test_only_one_of_many_gets_the_lease(self, bucket: oss2.Bucket) -> None:
        def take(number: int) -> bool:
            try:
                bucket.put_object("lease", str(number), headers={"x-oss-forbid-overwrite": "true"})
            except oss2.exceptions.ServerError:
                return False
            return True

        with ThreadPoolExecutor(8) as threads:
            taken = list(threads.map(take, range(32)))
        assert sum(taken) == 1
        assert bucket.get_object("lease").read() == str(taken.index(True)).encode()

    def test_copy(self, bucket: oss2.Bucket) -> None:
        headers = {"Content-Type": "text/x", "x-oss-meta-a": "1", "x-oss-tagging": "k=v"}
        etag = bucket.put_object("src/é +", b"hello", headers=headers).etag
        copied = bucket.copy_object(bucket.bucket_name, "src/é +", "dst")
        assert (copied.etag, copied.crc) == (etag, HELLO_CRC)
        assert bucket.head_object("dst").headers["x-oss-meta-a"] == "1"
        assert bucket.get_object_tagging("dst").tag_set.tagging_rule == {"k": "v"}
        bucket.update_object_meta("dst", {"x-oss-meta-b": "2", "Content-Type": "text/y"})
        head = bucket.head_object("dst")
        assert head.content_type == "text/y"
        assert head.headers["x-oss-meta-b"] == "2"
        assert "x-oss-meta-a" not in head.headers
        with pytest.raises(oss2.exceptions.PreconditionFailed):
            bucket.copy_object(bucket.bucket_name, "dst", "x", headers={"x-oss-copy-source-if-match": '"0"'})
        with pytest.raises(oss2.exceptions.NoSuchKey):
            bucket.copy_object(bucket.bucket_name, "none", "x")

    def test_append(self, bucket: oss2.Bucket) -> None:
        first = bucket.append_object("log", 0, b"hel", init_crc=0)
        second = bucket.append_object("log", 3, b"lo", init_crc=first.crc)
        assert (second.next_position, second.crc) == (5, HELLO_CRC)
        with pytest.raises(oss2.exceptions.PositionNotEqualToLength) as error:
            bucket.append_object("log", 3, b"x")
        assert error.value.next_position == 5
        head = bucket.head_object("log")
        assert (head.object_type, head.headers["x-oss-next-append-position"]) == ("Appendable", "5")
        assert bucket.get_object("log").read() == b"hello"
        bucket.put_object("plain", b"1")
        with pytest.raises(oss2.exceptions.ObjectNotAppendable):
            bucket.append_object("plain", 1, b"2")

    def test_tagging(self, bucket: oss2.Bucket) -> None:
        bucket.put_object("t", b"1")
        rule = TaggingRule()
        rule.add("+:/", ".-")
        rule.add("日本", " ")
        bucket.put_object_tagging("t", Tagging(rule))
        assert bucket.get_object_tagging("t").tag_set.tagging_rule == {"+:/": ".-", "日本": " "}
        assert bucket.head_object("t").headers["x-oss-tagging-count"] == "2"
        bucket.delete_object_tagging("t")
        assert bucket.get_object_tagging("t").tag_set.len() == 0
        for tagging in ("=v", "a=1&a=2", "k" * 129 + "=v", "k=" + "v" * 257, "&".join(f"k{n}=v" for n in range(11))):
            with pytest.raises(oss2.exceptions.ServerError):
                bucket.put_object("t", b"1", headers={"x-oss-tagging": tagging})

    def test_batch_delete(self, bucket: oss2.Bucket) -> None:
        keys = [f"d/{number} é+\u0001\r\f" for number in range(5)]
        for key in keys:
            bucket.put_object(key, b"1")
        assert sorted(bucket.batch_delete_objects([*keys, "none"]).deleted_keys) == sorted([*keys, "none"])
        assert keys_of(bucket) == []

    def test_chunked_upload_and_streams(self, bucket: oss2.Bucket) -> None:
        pieces = [os.urandom(100_000) for _ in range(25)]
        put = bucket.put_object("chunked", iter(pieces))
        got = bucket.get_object("chunked")
        assert b"".join(got) == b"".join(pieces)
        assert got.server_crc == put.crc

    def test_length_is_required(self, bucket: oss2.Bucket) -> None:
        url = urlsplit(bucket.sign_url("PUT", "k", 60))
        connection = http.client.HTTPConnection(url.netloc, timeout=10)
        connection.putrequest("PUT", f"{url.path}?{url.query}")
        connection.endheaders()
        response = connection.getresponse()
        assert (response.status, b"MissingContentLength" in response.read()) == (411, True)
        connection.close()

    def test_a_body_that_get_does_not_take_leaves_the_connection_usable(self, bucket: oss2.Bucket) -> None:
        bucket.put_object("k", b"1")
        for _ in range(2):
            assert bucket.get_object("k", headers={"Content-Length": "9"}).read() == b"1"

    def test_concurrent_writers_and_readers_see_whole_objects(self, bucket: oss2.Bucket) -> None:
        bodies = [bytes([65 + number]) * (200_000 + number) for number in range(8)]
        bucket.put_object("hot", bodies[0])
        with ThreadPoolExecutor(8) as threads:
            writes = [threads.submit(bucket.put_object, "hot", body) for body in bodies * 4]
            for _ in range(40):
                assert bucket.get_object("hot").read() in bodies
            for write in writes:
                write.result()
        head, body = bucket.head_object("hot"), bucket.get_object("hot").read()
        assert head.etag == hashlib.md5(body).hexdigest().upper()
