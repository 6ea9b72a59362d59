"""Files up and down: in parts, with checkpoints, on lines that break, and nothing torn at the end."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import threading
import time
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import pytest

from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError, PaiNotFoundError, PaiTransferError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss import download as oss_download
from airflow_provider_pai.hooks.oss import upload as oss_upload
from airflow_provider_pai.hooks.oss.crc import combined, crc_of, crc_of_file
from airflow_provider_pai.hooks.oss.parallel import FAST, fitting, in_parallel
from airflow_provider_pai.hooks.oss.progress import TransferProgress
from tests.conftest import airflow_connection
from tests.relay import relay

pytestmark = pytest.mark.usefixtures("connection")
MIB = 1 << 20
PART = 100 * 1024


@pytest.fixture
def hook():
    return OssHook()


@pytest.fixture
def at(bucket):
    return f"oss://{bucket.bucket_name}/folder/big"


@pytest.fixture
def source(tmp_path):
    return written(tmp_path / "source", 10 * PART + 7)


def written(path: Path, size: int) -> Path:
    path.write_bytes(random.Random(size).randbytes(size))
    return path


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "source")


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, 5 * PART, 10 * PART + 7])
@pytest.mark.parametrize("threads", [1, 4])
def test_every_size_goes_there_and_back(hook, at, tmp_path, size, threads):
    source = written(tmp_path / "source", size)
    etag = hook.upload(source, at, part_size=PART, threads=threads)
    info = hook.head(at)
    assert (info.size, info.etag, int(info.crc64)) == (size, etag, crc_of_file(source))
    assert hook.download(at, tmp_path / "target", part_size=PART, threads=threads) == size
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert left_behind(tmp_path) == ["target"]


def test_parts_of_a_usual_size(hook, at, tmp_path, bucket):
    source = written(tmp_path / "source", 20 * MIB)
    hook.upload(source, at)
    assert bucket.head_object("folder/big").object_type == "Multipart"
    hook.download(at, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_headers_go_with_parts(hook, at, source, bucket):
    given = {"storage_class": "IA", "tags": {"a": "1"}, "headers": {"Content-Type": "text/x", "x-oss-meta-m": "2"}}
    hook.upload(source, at, part_size=PART, overwrite=False, **given)
    head = bucket.head_object("folder/big").headers
    assert (head["x-oss-storage-class"], head["Content-Type"], head["x-oss-meta-m"]) == ("IA", "text/x", "2")
    assert hook.tags(at) == {"a": "1"}
    for size in (PART, 100 * PART):
        with pytest.raises(PaiApiError, match="FileAlreadyExists"):
            hook.upload(source, at, part_size=size, overwrite=False)
    assert bucket.list_multipart_uploads().upload_list == []


def test_a_missing_object_leaves_nothing(hook, at, tmp_path):
    with pytest.raises(PaiNotFoundError, match="NoSuchKey"):
        hook.download(at, tmp_path / "none")
    assert left_behind(tmp_path) == []


def test_a_file_that_stands_there_stays_until_the_new_one_is_whole(hook, at, source, tmp_path, pai):
    hook.upload(source, at)
    (tmp_path / "target").write_text("old")
    hook.retry_seconds = 0
    pai.account.faults.add(match="oss GET", cut_after=PART)
    with pytest.raises(PaiApiError):
        OssHook.download(hook, at + "none", tmp_path / "target")
    assert (tmp_path / "target").read_text() == "old"


@pytest.mark.parametrize("path", ["", "none"])
def test_what_is_no_file_is_not_uploaded(hook, at, tmp_path, path):
    with pytest.raises(PaiNotFoundError if path else PaiConfigError, match="path"):
        hook.upload(tmp_path / path, at)
    with pytest.raises(PaiConfigError, match="part_size"):
        hook.upload(written(tmp_path / "source", 3 * PART), at, part_size=PART - 1)


@pytest.mark.parametrize("part_size", [PART, 100 * MIB])
@pytest.mark.parametrize("change", ["grow", "shrink", "write"])
def test_a_file_that_changes_while_it_is_uploaded_becomes_no_object(
    hook, at, source, bucket, monkeypatch, part_size, change
):
    read = oss_upload.Region.read
    size = source.stat().st_size

    def reading(self, *arguments):
        block = read(self, *arguments)
        if not changed.is_set():
            changed.set()
            if change == "grow":
                with source.open("ab") as file:
                    file.write(b"more")
            elif change == "shrink":
                os.truncate(source, size // 2)
            else:
                os.utime(source, (1, 1))
        return block

    changed = threading.Event()
    monkeypatch.setattr(oss_upload.Region, "read", reading)
    monkeypatch.setattr(oss_upload, "BLOCK", 64 * 1024)
    hook.retry_seconds = 0.2
    with pytest.raises(PaiTransferError, match=r"source (changed|ended)"):
        hook.upload(source, at, part_size=part_size)
    assert hook.head(at) is None
    assert bucket.list_multipart_uploads().upload_list == []


def test_an_object_that_is_replaced_in_the_middle_is_fetched_anew(hook, at, tmp_path, monkeypatch):
    old, new = (random.Random(seed).randbytes(8 * PART) for seed in (1, 2))
    hook.put(at, old)
    learn = oss_download._Download._learn

    def replaced(self, answer):
        learn(self, answer)
        if hook.head(at).crc64 == str(crc_of(old)):
            hook.put(at, new)

    monkeypatch.setattr(oss_download._Download, "_learn", replaced)
    hook.download(at, tmp_path / "target", part_size=PART, threads=2)
    assert (tmp_path / "target").read_bytes() == new
    assert left_behind(tmp_path) == ["target"]


def test_an_object_that_is_replaced_all_the_time_is_an_error_and_no_file(hook, at, tmp_path, monkeypatch):
    hook.put(at, b"0" * 8 * PART)
    learn = oss_download._Download._learn

    def replaced(self, answer):
        learn(self, answer)
        hook.put(at, os.urandom(8 * PART))

    monkeypatch.setattr(oss_download._Download, "_learn", replaced)
    with pytest.raises(PaiTransferError, match="replaced"):
        hook.download(at, tmp_path / "target", part_size=PART, threads=2)
    assert left_behind(tmp_path) == []


def test_a_line_that_breaks_every_tenth_megabyte(hook, at, tmp_path, pai):
    source = written(tmp_path / "source", 45 * MIB)
    pai.account.faults.add(match="oss", cut_after=10 * MIB)
    hook.upload(source, at)
    hook.download(at, tmp_path / "target", part_size=16 * MIB)
    assert crc_of_file(tmp_path / "target") == crc_of_file(source)


def test_a_third_of_the_calls_is_refused(hook, at, source, tmp_path, pai):
    pai.account.faults.add(match="oss", status=503, probability=0.2)
    pai.account.faults.add(match="oss", status=429, code="Throttling.User", probability=0.2)
    hook.upload(source, at, part_size=PART)
    hook.download(at, tmp_path / "target", part_size=PART)
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_a_completion_whose_answer_was_lost_is_done(hook, at, source, pai, bucket):
    pai.account.faults.add(match="oss POST", drop="answer", times=2)  # the begin of the upload, and its end
    hook.upload(source, at, part_size=PART)
    assert int(hook.head(at).crc64) == crc_of_file(source)


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("times", [1, 99])
def test_parts_that_change_on_the_line_are_sent_again(pai, at, tmp_path, monkeypatch, way, times):
    left = times

    def flip(data):
        nonlocal left
        if b"%MARKER%" in data and left:
            left -= 1
            return data.replace(b"%MARKER%", b"%MARKES%")
        return data

    source = tmp_path / "source"
    source.write_bytes(b"x" * 3 * PART + b"%MARKER%" + b"y" * PART)
    direct = OssHook()
    with relay(pai.endpoints.oss_endpoint, **{way: flip}) as url:
        monkeypatch.setenv("AIRFLOW_CONN_PAI_CHANGED", json.dumps(airflow_connection(pai, oss_endpoint=url)))
        hook = OssHook("pai_changed")
        move = {
            "up": lambda: hook.upload(source, at, part_size=PART, threads=2),
            "down": lambda: hook.download(at, tmp_path / "target", part_size=PART, threads=2),
        }[way]
        if way == "down":
            direct.upload(source, at)
        if times > 1:
            with pytest.raises(PaiTransferError, match="folder/big"):
                move()
            assert left_behind(tmp_path) == []
            assert way == "down" or direct.head(at) is None
            return
        move()
    got = direct.get(at) if way == "up" else (tmp_path / "target").read_bytes()
    assert (got, left) == (source.read_bytes(), 0)


def test_an_upload_goes_on_where_the_last_process_was(hook, at, source, tmp_path, pai, bucket):
    checkpoint = tmp_path / "checkpoint"
    hook.retry_seconds = 0
    stop_after(pai, "oss PUT", 4)
    with pytest.raises(PaiApiError, match="Stop"):
        hook.upload(source, at, part_size=PART, threads=1, checkpoint=checkpoint)
    pai.account.faults.clear()
    there = len(json.loads(checkpoint.read_text())["parts"])
    assert there == 4
    sent = count(pai, "oss PUT", lambda: hook.upload(source, at, part_size=PART, threads=1, checkpoint=checkpoint))
    assert (sent, int(hook.head(at).crc64)) == (11 - there, crc_of_file(source))
    assert left_behind(tmp_path) == []


def test_a_part_whose_answer_was_lost_lies_in_the_upload_that_the_next_process_goes_on_with(
    hook, at, source, tmp_path, pai, bucket
):
    checkpoint = tmp_path / "checkpoint"
    hook.retry_seconds = 0
    pai.account.faults.add(match="oss PUT", drop="answer", times=1)
    with pytest.raises(PaiApiError):
        hook.upload(source, at, part_size=PART, threads=1, checkpoint=checkpoint)
    hook.upload(source, at, part_size=PART, checkpoint=checkpoint)
    assert bucket.list_multipart_uploads().upload_list == []


def test_what_is_sent_again_is_counted_once(hook, at, source, pai, monkeypatch):
    moved = []
    monkeypatch.setattr(TransferProgress, "add", lambda self, size: moved.append(size))
    pai.account.faults.add(match="oss PUT", status=503, times=3)
    hook.upload(source, at, part_size=PART)
    assert sum(moved) == source.stat().st_size


@pytest.mark.parametrize("times", [1, 2])
def test_parts_that_are_not_what_oss_said_of_them_are_sent_anew(hook, at, source, tmp_path, pai, bucket, times):
    checkpoint = tmp_path / "checkpoint"
    given = {"part_size": PART, "threads": 1, "checkpoint": checkpoint}
    pai.account.faults.add(match="oss PUT .*/big$", skip=1, times=1, spoil="types", fields="etag")
    with pytest.raises(PaiApiError, match="InvalidPart") if times == 2 else nullcontext():
        if times == 2:
            pai.account.faults.add(match="oss POST .*/big$", skip=3, times=1, status=400, code="InvalidPart")
        hook.upload(source, at, **given)
    assert not checkpoint.exists()
    hook.upload(source, at, **given)
    assert int(hook.head(at).crc64) == crc_of_file(source)
    assert bucket.list_multipart_uploads().upload_list == []


def test_a_checkpoint_of_another_file_or_of_an_upload_that_is_gone_is_no_checkpoint(
    hook, at, source, tmp_path, pai, bucket
):
    checkpoint = tmp_path / "checkpoint"
    hook.retry_seconds = 0
    for spoil in (
        lambda: source.write_bytes(os.urandom(9 * PART)),
        lambda: bucket.abort_multipart_upload("folder/big", json.loads(checkpoint.read_text())["upload_id"]),
        lambda: checkpoint.write_text('{"upload":'),
    ):
        stop_after(pai, "oss PUT", 4)
        with pytest.raises(PaiApiError, match="Stop"):
            hook.upload(source, at, part_size=PART, threads=1, checkpoint=checkpoint)
        pai.account.faults.clear()
        spoil()
        hook.upload(source, at, part_size=PART, checkpoint=checkpoint)
        assert int(hook.head(at).crc64) == crc_of_file(source)


def test_a_download_goes_on_where_the_last_process_was(hook, at, source, tmp_path, pai):
    hook.upload(source, at)
    checkpoint, target = tmp_path / "checkpoint", tmp_path / "target"
    hook.retry_seconds = 0
    stop_after(pai, "oss GET", 4)
    with pytest.raises(PaiApiError, match="Stop"):
        hook.download(at, target, part_size=PART, threads=1, checkpoint=checkpoint)
    pai.account.faults.clear()
    assert left_behind(tmp_path) == ["checkpoint", "target.part"]
    got = count(pai, "oss GET", lambda: hook.download(at, target, part_size=PART, threads=1, checkpoint=checkpoint))
    assert (got, target.read_bytes()) == (7, source.read_bytes())
    assert left_behind(tmp_path) == ["target"]


def test_an_object_that_is_another_one_now_is_not_mixed_with_what_is_there(hook, at, source, tmp_path, pai):
    hook.upload(source, at)
    checkpoint, target = tmp_path / "checkpoint", tmp_path / "target"
    hook.retry_seconds = 0
    stop_after(pai, "oss GET", 4)
    with pytest.raises(PaiApiError, match="Stop"):
        hook.download(at, target, part_size=PART, threads=1, checkpoint=checkpoint)
    pai.account.faults.clear()
    other = os.urandom(9 * PART)
    hook.put(at, other)
    hook.download(at, target, part_size=PART, checkpoint=checkpoint)
    assert target.read_bytes() == other


def test_a_version(hook, at, tmp_path, bucket):
    from oss2.models import BucketVersioningConfig

    config = BucketVersioningConfig()
    config.status = "Enabled"
    bucket.put_bucket_versioning(config)
    hook.put(at, b"1" * 3 * PART)
    version = hook.head(at).version
    hook.put(at, b"2")
    hook.download(at, tmp_path / "target", version=version, part_size=PART)
    assert (tmp_path / "target").read_bytes() == b"1" * 3 * PART


def test_a_disk_that_is_full_is_said_before_and_leaves_nothing(hook, at, source, tmp_path, monkeypatch):
    hook.upload(source, at)
    usage = type("Usage", (), {"free": 5 * PART})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"No space left.*folder/big"):
        hook.download(at, tmp_path / "target", part_size=PART)
    assert left_behind(tmp_path) == []


def test_a_disk_that_fills_up_meanwhile_is_not_tried_again(hook, at, source, tmp_path, monkeypatch):
    hook.upload(source, at)
    pwrite, calls = os.pwrite, 0

    def full(*arguments):
        nonlocal calls
        calls += 1
        if calls > 2:
            raise OSError(28, "No space left on device")
        return pwrite(*arguments)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        hook.download(at, tmp_path / "target", part_size=PART, threads=1)
    assert left_behind(tmp_path) == []
    assert calls < 6  # one more may be under way


def test_progress_tells_percent_speed_and_what_is_left(caplog):
    caplog.set_level(logging.INFO)
    progress = TransferProgress(logging.getLogger("transfer"), "a to b", 2_000_000, interval=0)
    progress.add(500_000)
    assert "a to b: 25 % of 2.0 MB" in caplog.text
    assert "MB/s" in caplog.text
    assert "s left" in caplog.text
    caplog.clear()
    TransferProgress(logging.getLogger("transfer"), "quick", 10).add(10)
    assert not caplog.records


def test_the_crc_of_parts_is_that_of_the_whole():
    data = random.Random(1).randbytes(300_000)
    cuts = [0, 1, 1000, 100_000, 100_000, 300_000]
    parts = [data[a:b] for a, b in pairwise(cuts)]
    assert combined((crc_of(part), len(part)) for part in parts) == crc_of(data)
    assert crc_of(b"123456789") == 0x995DC9BBDF1939FA


def test_parallel_work_ends_with_the_first_error_and_takes_no_more_than_it_can_do():
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number

    def work(number):
        if number == 3:
            raise ValueError("three")
        return number

    with pytest.raises(ValueError, match="three"):
        list(in_parallel(work, items(), 2))
    assert len(taken) < 20
    assert sorted(in_parallel(str, range(5), 2)) == ["0", "1", "2", "3", "4"]


def test_the_digest_of_a_part_is_its_etag(hook, at, source, bucket):
    hook.upload(source, at, part_size=PART, threads=3)
    data = source.read_bytes()
    digests = b"".join(hashlib.md5(data[n : n + PART]).digest() for n in range(0, len(data), PART))
    assert hook.head(at).etag == f"{hashlib.md5(digests).hexdigest().upper()}-11"


def stop_after(pai, match, calls):
    """Let some calls through, then refuse all."""
    pai.account.faults.add(match=match, times=calls)
    pai.account.faults.add(match=match, status=400, code="Stop")


def count(pai, match, function):
    """Return how many calls a function makes."""
    rule = pai.account.faults.add(match=match, times=1000)
    function()
    return 1000 - rule.times


def test_a_fast_line_gets_few_connections():
    assert fitting(8, int(FAST), 1.0, few=1) == 1
    assert fitting(8, int(FAST) - 1, 1.0, few=1) == 8
    assert fitting(2, int(FAST), 0.5, few=4) == 2


def test_parts_come_side_by_side_where_the_line_is_slow(hook, at, tmp_path, pai):
    source = written(tmp_path / "source", 24 * PART)
    hook.upload(source, at)
    pai.account.faults.add(match="oss", rate=2e6, delay=0.01)  # 50 ms a part
    times = {}
    for threads in (1, 8):
        begun = time.monotonic()
        hook.download(at, tmp_path / "target", part_size=PART, threads=threads)
        times[threads] = time.monotonic() - begun
    assert times[1] > 2 * times[8]
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("name", ["模" * 85, "e\u0301" * 85, "😀" * 63])
def test_a_name_as_long_as_a_file_system_takes_it(tmp_path, hook, at, name):
    hook.put(at + name, b"1")
    assert hook.download(at + name, tmp_path / name) == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_path_that_can_be_no_file_is_refused_before_a_byte_comes(tmp_path, hook, at):
    hook.put(at + "x", b"1")
    (tmp_path / "file").touch()
    for path in (tmp_path / ("n" * 256), tmp_path, tmp_path / "file/x"):
        with pytest.raises(PaiConfigError, match=r"path: .*a file that can be written: "):
            hook.download(at + "x", path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
