"""Multipart uploads, resumable transfers, large objects."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time
from pathlib import Path
from typing import Any

import oss2
import pytest
import requests
from oss2.models import PartInfo

from airflow_provider_pai.emulator import Emulator
from tests.conftest import oss_bucket
from tests.emulator.oss_client import MIB, code_of


class TestUploads:
    def test_multipart(self, bucket: oss2.Bucket) -> None:
        bodies = [os.urandom(200 * 1024), os.urandom(150 * 1024), b"end"]
        upload = bucket.init_multipart_upload("big", headers={"x-oss-meta-a": "1"}).upload_id
        parts = []
        for number, body in enumerate(bodies, 1):
            result = bucket.upload_part("big", upload, number, body)
            parts.append(PartInfo(number, result.etag, size=len(body), part_crc=result.crc))
        assert not bucket.object_exists("big")
        listed = list(oss2.PartIterator(bucket, "big", upload, max_parts=2))
        assert [(part.part_number, part.size) for part in listed] == [(1, 204800), (2, 153600), (3, 3)]
        done = bucket.complete_multipart_upload("big", upload, parts)
        digests = b"".join(hashlib.md5(body).digest() for body in bodies)
        assert done.etag == f"{hashlib.md5(digests).hexdigest().upper()}-3"
        got = bucket.get_object("big")
        assert got.read() == b"".join(bodies)
        assert got.headers["x-oss-object-type"] == "Multipart"
        assert got.headers["x-oss-meta-a"] == "1"
        with pytest.raises(oss2.exceptions.NoSuchUpload):
            bucket.complete_multipart_upload("big", upload, parts)

    def test_every_answer_has_the_headers_that_clients_check(self, bucket: oss2.Bucket) -> None:
        """Pages UploadPart (Content-MD5, ETag) and InitiateMultipartUpload (x-oss-server-side-encryption)."""
        begun = bucket.init_multipart_upload("k", headers={"x-oss-server-side-encryption": "AES256"})
        part = bucket.upload_part("k", begun.upload_id, 1, b"part")
        assert part.resp.headers["content-md5"] == oss2.utils.content_md5(b"part")
        for answer in (begun, part):
            assert answer.resp.headers["x-oss-server-side-encryption"] == "AES256"
        public = {"x-oss-object-acl": "public-read"}
        bucket.complete_multipart_upload("k", begun.upload_id, [PartInfo(1, part.etag)], headers=public)
        assert bucket.get_object_acl("k").acl == "public-read"

    def test_refusals(self, bucket: oss2.Bucket) -> None:
        upload = bucket.init_multipart_upload("k").upload_id
        etags = [bucket.upload_part("k", upload, number, b"small").etag for number in (1, 2)]
        with pytest.raises(oss2.exceptions.InvalidDigest):
            bucket.upload_part("k", upload, 3, b"1", headers={"Content-MD5": oss2.utils.content_md5(b"2")})
        for number in (0, 10_001):
            with pytest.raises(oss2.exceptions.InvalidArgument):
                bucket.upload_part("k", upload, number, b"1")
        for parts, code in (
            ([(1, etags[0]), (2, etags[1])], "EntityTooSmall"),
            ([(1, "0" * 32)], "InvalidPart"),
            ([(3, etags[0])], "InvalidPart"),
        ):
            with pytest.raises(oss2.exceptions.ServerError) as error:
                bucket.complete_multipart_upload("k", upload, [PartInfo(*part) for part in parts])
            assert code_of(error) == (400, code)
        body = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>{e}</ETag></Part>" for n, e in ((2, etags[1]), (1, etags[0]))
        )
        for text, code in (
            (f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>", "InvalidPartOrder"),
            ("<x", "MalformedXML"),
        ):
            url = bucket.sign_url("POST", "k", 60, params={"uploadId": upload})
            assert f"<Code>{code}</Code>" in requests.post(url, data=text, timeout=10).text
        bucket.abort_multipart_upload("k", upload)
        with pytest.raises(oss2.exceptions.NoSuchUpload):
            bucket.upload_part("k", upload, 1, b"1")

    def test_part_copy_and_complete_all(self, bucket: oss2.Bucket) -> None:
        content = os.urandom(200 * 1024)
        bucket.put_object("src", content)
        upload = bucket.init_multipart_upload("dst").upload_id
        bucket.upload_part_copy(bucket.bucket_name, "src", (0, 102399), "dst", upload, 1)
        bucket.upload_part_copy(bucket.bucket_name, "src", (102400, None), "dst", upload, 2)
        bucket.complete_multipart_upload("dst", upload, None, headers={"x-oss-complete-all": "yes"})
        assert bucket.get_object("dst").read() == content

    def test_list_uploads(self, bucket: oss2.Bucket) -> None:
        for key in ("a/1", "a/2", "b", "b", "c é"):
            bucket.init_multipart_upload(key)
        assert [each.key for each in oss2.MultipartUploadIterator(bucket, max_uploads=2)] == [
            "a/1",
            "a/2",
            "b",
            "b",
            "c é",
        ]
        page = bucket.list_multipart_uploads(delimiter="/")
        assert (page.prefix_list, len(page.upload_list)) == (["a/"], 3)
        assert next(iter(oss2.ObjectUploadIterator(bucket, "c é"))).upload_id

    @pytest.mark.parametrize("threads", [1, 4])
    def test_resumable(self, bucket: oss2.Bucket, tmp_path: Path, threads: int) -> None:
        content = os.urandom(3 * MIB + 17)
        (tmp_path / "up").write_bytes(content)
        options = {"multipart_threshold": MIB, "part_size": 512 * 1024, "num_threads": threads}
        store = oss2.ResumableStore(root=str(tmp_path))
        oss2.resumable_upload(bucket, "resumed", str(tmp_path / "up"), store=store, **options)
        options = {"multiget_threshold": MIB, "part_size": 512 * 1024, "num_threads": threads}
        store = oss2.ResumableDownloadStore(root=str(tmp_path))
        oss2.resumable_download(bucket, "resumed", str(tmp_path / "down"), store=store, **options)
        assert (tmp_path / "down").read_bytes() == content

    def test_forbid_overwrite(self, bucket: oss2.Bucket) -> None:
        upload = bucket.init_multipart_upload("k").upload_id
        parts = [PartInfo(1, bucket.upload_part("k", upload, 1, b"1").etag)]
        bucket.put_object("k", b"first")
        with pytest.raises(oss2.exceptions.ServerError) as error:
            bucket.complete_multipart_upload("k", upload, parts, headers={"x-oss-forbid-overwrite": "true"})
        assert code_of(error) == (409, "FileAlreadyExists")


class TestLarge:
    def test_streams_with_little_memory(self, bucket: oss2.Bucket, tmp_path: Path) -> None:
        content = os.urandom(24 * MIB)
        put = bucket.put_object("large", io.BytesIO(content))
        assert put.etag == hashlib.md5(content).hexdigest().upper()
        bucket.get_object_to_file("large", str(tmp_path / "large"))
        assert (tmp_path / "large").read_bytes() == content
        assert bucket.get_object("large", byte_range=(5 * MIB, 9 * MIB - 1)).read() == content[5 * MIB : 9 * MIB]

    def test_the_loop_stays_free(self, bucket: oss2.Bucket) -> None:
        bucket.put_object("small", b"1")
        content = os.urandom(8 * MIB)
        writer = threading.Thread(target=lambda: [bucket.put_object("big", content) for _ in range(4)])
        writer.start()
        slowest = 0.0
        while writer.is_alive():
            begun = time.perf_counter()
            bucket.head_object("small")
            slowest = max(slowest, time.perf_counter() - begun)
        assert slowest < 1


class TestPlaces:
    """Parts of one size are written to where they will be; whatever does not fit into that is copied together."""

    def parts(self, bucket: oss2.Bucket, sizes: dict[int, int], order: list[int]) -> tuple[str, list[bytes], list[Any]]:
        upload = bucket.init_multipart_upload("k").upload_id
        bodies = {number: os.urandom(size) for number, size in sizes.items()}
        infos = {n: oss2.models.PartInfo(n, bucket.upload_part("k", upload, n, bodies[n]).etag) for n in order}
        return upload, [bodies[number] for number in sorted(bodies)], [infos[number] for number in sorted(infos)]

    @pytest.mark.parametrize(
        ("sizes", "order"),
        [
            ({1: 200_000, 2: 200_000, 3: 7}, [1, 2, 3]),
            ({1: 200_000, 2: 200_000, 3: 7}, [2, 3, 1]),
            ({1: 200_000, 2: 200_000, 3: 150_000}, [3, 1, 2]),
            ({1: 200_000, 2: 150_000, 3: 200_000}, [1, 2, 3]),
            ({1: 150_000, 2: 200_000, 3: 300_000}, [1, 2, 3]),
            ({2: 200_000, 5: 200_000, 9: 3}, [2, 5, 9]),
        ],
    )
    def test_every_order_and_size(self, bucket: oss2.Bucket, sizes: dict[int, int], order: list[int]) -> None:
        upload, bodies, infos = self.parts(bucket, sizes, order)
        bucket.complete_multipart_upload("k", upload, infos)
        got = bucket.get_object("k")
        assert got.read() == b"".join(bodies)
        assert got.client_crc == got.server_crc

    def test_a_part_that_comes_again_and_one_that_breaks_off(self, pai: Emulator, bucket: oss2.Bucket) -> None:
        upload, bodies, infos = self.parts(bucket, {1: 200_000, 2: 200_000, 3: 200_000}, [1, 2])
        pai.account.faults.add(match="oss PUT", cut_after=100_000, times=1)
        with pytest.raises(oss2.exceptions.RequestError):
            bucket.upload_part("k", upload, 3, bodies[2])
        pai.account.faults.add(match="oss PUT", cut_after=100_000, times=1)
        with pytest.raises(oss2.exceptions.RequestError):
            bucket.upload_part("k", upload, 2, os.urandom(200_000))
        infos.append(oss2.models.PartInfo(3, bucket.upload_part("k", upload, 3, bodies[2]).etag))
        other = os.urandom(200_000)
        again = oss2.models.PartInfo(1, bucket.upload_part("k", upload, 1, other).etag)
        bucket.complete_multipart_upload("k", upload, [again, *infos[1:]])
        assert bucket.get_object("k").read() == other + bodies[1] + bodies[2]

    def test_a_completion_that_is_refused_can_be_made_again(self, bucket: oss2.Bucket) -> None:
        upload, bodies, infos = self.parts(bucket, {1: 200_000, 2: 9}, [1, 2])
        bucket.put_object("k", b"1")
        with pytest.raises(oss2.exceptions.ServerError):
            bucket.complete_multipart_upload("k", upload, infos, headers={"x-oss-forbid-overwrite": "true"})
        bucket.delete_object("k")
        bucket.complete_multipart_upload("k", upload, infos)
        assert bucket.get_object("k").read() == b"".join(bodies)

    def test_a_restart_in_the_middle(self, tmp_path: Path) -> None:
        with Emulator(tmp_path) as pai:
            bucket = oss_bucket(pai, "again")
            bucket.create_bucket()
            upload, bodies, infos = self.parts(bucket, {1: 200_000, 2: 200_000, 3: 9}, [1, 2])
        with Emulator(tmp_path) as pai:
            bucket = oss_bucket(pai, "again")
            infos.append(oss2.models.PartInfo(3, bucket.upload_part("k", upload, 3, bodies[2]).etag))
            bucket.complete_multipart_upload("k", upload, infos)
            assert bucket.get_object("k").read() == b"".join(bodies)
