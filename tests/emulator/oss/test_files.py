"""Objects as files: keys that can't be paths, mounts, lists."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import oss2
import pytest

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.emulator.errors import ApiError
from tests.emulator.oss_client import HELLO_CRC, folder_of, keys_of

# Keys that can't be a path, or not beside another one.
AWKWARD = [
    "a",
    "a/b",
    "a/b/c",
    "folder/",
    "x//y",
    "./z",
    "../escape",
    "a/../../etc/passwd",
    "dots/.",
    "é/日本 +&%?#",
    "long/" + "n" * 300,
    "deep/" + "d/" * 400 + "end",
    "quote\"'<>",
    "back\\slash",
    "tail ",
    ".pai-emulator/x",
]


class TestAwkwardKeys:
    def test_every_key_is_an_object(self, pai: Emulator, bucket: oss2.Bucket) -> None:
        for order in (AWKWARD, list(reversed(AWKWARD))):
            for key in order:
                bucket.put_object(key, key.encode(), headers={"x-oss-meta-n": "1"})
            assert keys_of(bucket, max_keys=3) == sorted(order, key=str.encode)
            for key in order:
                got = bucket.get_object(key)
                assert (got.read(), got.headers["x-oss-meta-n"]) == (key.encode(), "1")
            files = [path for path in (pai.data / "oss").rglob("*") if path.name == "passwd"]
            assert not files
            for key in order:
                bucket.delete_object(key)
            assert keys_of(bucket) == []
        assert list(folder_of(pai, bucket).iterdir()) == []

    def test_a_key_becomes_a_file_again(self, pai: Emulator, bucket: oss2.Bucket) -> None:
        private = pai.data / "oss/.pai-emulator/aside"
        before = set(private.iterdir())
        bucket.put_object("a/b", b"1")
        bucket.put_object("a", b"2")
        assert len(set(private.iterdir()) - before) == 1
        assert bucket.get_object("a").read() == b"2"
        bucket.delete_object("a/b")
        bucket.put_object("a", b"3")
        assert (folder_of(pai, bucket) / "a").read_bytes() == b"3"
        assert bucket.get_object("a").read() == b"3"
        assert set(private.iterdir()) == before

    def test_links_do_not_lead_out(self, pai: Emulator, bucket: oss2.Bucket, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("x")
        folder = folder_of(pai, bucket)
        (folder / "file").symlink_to(tmp_path / "secret")
        (folder / "folder").symlink_to(tmp_path)
        assert keys_of(bucket) == []
        for key in ("file", "folder/secret"):
            assert not bucket.object_exists(key)
            bucket.put_object(key, b"mine")
            assert bucket.get_object(key).read() == b"mine"
        assert (tmp_path / "secret").read_text() == "x"
        (folder / "real").write_text("1")
        (folder / "alias").symlink_to("real")
        assert bucket.get_object("alias").read() == b"1"


class TestMounts:
    def test_a_file_is_an_object(self, pai: Emulator, bucket: oss2.Bucket) -> None:
        folder = folder_of(pai, bucket, "out/")
        folder.mkdir()
        (folder / "model.bin").write_bytes(b"hello")
        head = bucket.head_object("out/model.bin")
        assert (head.etag, head.server_crc) == (hashlib.md5(b"hello").hexdigest().upper(), HELLO_CRC)
        assert [(each.key, each.size, each.etag) for each in bucket.list_objects().object_list] == [
            ("out/model.bin", 5, head.etag)
        ]
        bucket.put_object("in/data", b"1")
        assert (folder_of(pai, bucket, "in") / "data").read_bytes() == b"1"

    def test_a_file_that_changes_in_place(self, pai: Emulator, bucket: oss2.Bucket) -> None:
        bucket.put_object("f", b"aaaaa", headers={"x-oss-meta-a": "1"})
        path = folder_of(pai, bucket) / "f"
        for body in (b"bbbbb", b"ccccc", b"ccccc+", b"d"):
            path.write_bytes(body)
            got = bucket.get_object("f")
            assert got.read() == body
            assert got.headers["ETag"].strip('"') == hashlib.md5(body).hexdigest().upper()
        assert "x-oss-meta-a" not in got.headers

    def test_what_is_being_read_is_not_cut_short_by_who_writes_the_file_anew(
        self, pai: Emulator, bucket: oss2.Bucket
    ) -> None:
        bucket.put_object("f", b"old")
        stored, content = pai.services.oss.objects.open(bucket.bucket_name, "f")
        (folder_of(pai, bucket) / "f").write_bytes(b"")
        with content:
            assert (content.read(), stored.size) == (b"old", 3)

    def test_folders_left_by_a_delete_go_others_stay(self, pai: Emulator, bucket: oss2.Bucket) -> None:
        root = folder_of(pai, bucket)
        mounted = folder_of(pai, bucket, "jobs/1/out")
        mounted.mkdir(parents=True)
        (root / "made/by/job").mkdir(parents=True)
        for key in ("jobs/1/out/x", "jobs/2/deep/er/x", "made/by/x"):
            bucket.put_object(key, b"")
            bucket.delete_object(key)
        assert mounted.is_dir()
        assert (root / "made/by/job").is_dir()
        assert not (root / "jobs/2").exists()
        assert keys_of(bucket) == []

    def test_prefixes_that_can_not_be_mounted(self, pai: Emulator, bucket: oss2.Bucket) -> None:
        for prefix in ("../other", "a//b", "./a"):
            with pytest.raises(ApiError) as error:
                folder_of(pai, bucket, prefix)
            assert error.value.code == "InvalidObjectName"
        with pytest.raises(ApiError) as error:
            pai.services.oss.folder("no-such-bucket", "")
        assert (error.value.status, error.value.code) == (404, "NoSuchBucket")

    def test_a_file_that_is_written_without_a_pause(self, pai: Emulator, bucket: oss2.Bucket) -> None:
        path, done = folder_of(pai, bucket) / "log", threading.Event()

        def write() -> None:
            with path.open("ab", buffering=0) as file:
                while not done.wait(0.0005):
                    file.write(b"line\n" * 1000)

        path.touch()
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(20):
                body = bucket.get_object("log").read()  # oss2 compares the CRC
                assert body == (b"line\n" * (len(body) // 5 + 1))[: len(body)]  # a write may be half there
        finally:
            done.set()
            writer.join()


class TestLists:
    KEYS = ("a", "a-b", "a.b", "a/1", "a/2/x", "a/2/y", "a0", "b/1", "b/2", "z", "é/1")

    @pytest.fixture
    def filled(self, bucket: oss2.Bucket) -> oss2.Bucket:
        for key in self.KEYS:
            bucket.put_object(key, key)
        return bucket

    def test_order_is_that_of_bytes(self, filled: oss2.Bucket) -> None:
        expected = sorted(self.KEYS, key=str.encode)
        for limit in (1, 2, 3, 100):
            assert [each.key for each in oss2.ObjectIterator(filled, max_keys=limit)] == expected
            assert keys_of(filled, max_keys=limit) == expected

    @pytest.mark.parametrize("limit", [1, 2, 100])
    def test_delimiter(self, filled: oss2.Bucket, limit: int) -> None:
        for iterate in (oss2.ObjectIterator, oss2.ObjectIteratorV2):
            found = [(each.key, each.is_prefix()) for each in iterate(filled, delimiter="/", max_keys=limit)]
            assert sorted(key for key, folded in found if not folded) == ["a", "a-b", "a.b", "a0", "z"]
            assert sorted(key for key, folded in found if folded) == ["a/", "b/", "é/"]
            below = [each.key for each in iterate(filled, prefix="a/", delimiter="/", max_keys=limit)]
            assert sorted(below) == ["a/1", "a/2/"]
        assert [each.key for each in oss2.ObjectIterator(filled, prefix="a", delimiter="b")] == [
            "a",
            "a-b",
            "a.b",
            "a/1",
            "a/2/x",
            "a/2/y",
            "a0",
        ]

    def test_prefix_and_start(self, filled: oss2.Bucket) -> None:
        assert keys_of(filled, prefix="a/2") == ["a/2/x", "a/2/y"]
        assert keys_of(filled, start_after="a0") == ["b/1", "b/2", "z", "é/1"]
        assert [each.key for each in filled.list_objects(marker="b/1").object_list] == ["b/2", "z", "é/1"]
        assert keys_of(filled, prefix="none/") == []

    def test_fields(self, filled: oss2.Bucket) -> None:
        page = filled.list_objects_v2(max_keys=2, fetch_owner=True)
        assert page.is_truncated
        assert page.object_list[0].owner.id == "1000000000000001"
        assert filled.list_objects_v2(max_keys=2).object_list[0].owner is None
        assert filled.list_objects(max_keys=1).object_list[0].type == "Normal"
        for size in (0, 1001):
            with pytest.raises(oss2.exceptions.InvalidArgument):
                filled.list_objects_v2(max_keys=size)
        with pytest.raises(oss2.exceptions.InvalidArgument):
            filled.list_objects_v2(continuation_token="é")

    def test_ten_thousand_objects(self, pai: Emulator, bucket: oss2.Bucket) -> None:
        root = folder_of(pai, bucket)
        expected = [f"{shard:02}/{number:04}" for shard in range(20) for number in range(500)]
        for shard in range(20):
            (root / f"{shard:02}").mkdir()
        for key in expected:
            (root / key).write_bytes(b"")
        assert keys_of(bucket, max_keys=1000) == expected
        begun = time.perf_counter()
        last = bucket.list_objects_v2(start_after=expected[-1000], max_keys=1000)
        assert len(last.object_list) == 999
        assert time.perf_counter() - begun < 1
        top = bucket.list_objects_v2(delimiter="/", max_keys=1000)
        assert len(top.prefix_list) == 20
