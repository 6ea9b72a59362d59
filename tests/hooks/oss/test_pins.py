"""Pinned inputs: copied once for all, right whoever copies at the same time, deleted when nobody uses them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from oss2.models import BucketVersioningConfig

from airflow_provider_pai.artifact import MANIFEST_NAME
from airflow_provider_pai.exceptions import PaiTransferError
from airflow_provider_pai.hooks.oss import OssHook, pins
from airflow_provider_pai.hooks.oss.datasets import describe_dataset
from airflow_provider_pai.hooks.oss.pins import Pin, pins_below
from airflow_provider_pai.uri import OssUri

pytestmark = pytest.mark.usefixtures("connection")

OBJECTS = {"a.csv": "1,2", "sub/b.csv": "3", "sub/c.csv": "", "odd é\n": "x"}


class Room:
    """An input, the list of its objects, and where it is pinned."""

    def __init__(self, bucket):
        self.oss = OssHook()
        self.home = OssUri(bucket.bucket_name, "home/")
        self.source = OssUri(bucket.bucket_name, "in/")
        self.kept = OssUri(bucket.bucket_name, "list.jsonl")
        for key, text in OBJECTS.items():
            self.oss.put(self.source.join(key), text)

    def describe(self):
        return describe_dataset(self.oss, "d", self.source, self.kept)

    def pin(self, ref=None, version="v1", artifact=""):
        ref = ref or self.describe()
        one = Pin.of(self.home, ref.digest)
        one.fill(OssHook(), ref, self.kept, version=version, artifact=artifact)
        return one

    def pinned(self, one):
        return {each.uri.key[len(one.data.key) :]: each.last_modified for each in self.oss.list_objects(one.data)}

    def texts(self, one):
        return {key: self.oss.get(one.data.join(key)).decode() for key in self.pinned(one)}


@pytest.fixture
def room(bucket):
    return Room(bucket)


def refuse_copies(monkeypatch):
    """Let no copy be made from now on."""

    def refuse(*_, **__):
        raise AssertionError("copied")

    monkeypatch.setattr(pins, "copy_object", refuse)


def test_unchanged_data_is_copied_once_whoever_asks(room, monkeypatch):
    first = room.pin()
    assert room.texts(first) == OBJECTS
    refuse_copies(monkeypatch)
    assert room.pin(version="v2") == first
    room.oss.copy_folder(room.source, OssUri(room.home.bucket, "other/"))
    room.source = OssUri(room.home.bucket, "other/")
    assert room.pin(version="v3") == first  # the same data elsewhere is the same data
    assert [each.uri.key.rpartition("/")[2] for each in room.oss.list_objects(first.uses)] == ["v1", "v2", "v3"]


def test_changed_data_is_pinned_beside_it(room):
    first = room.pin()
    room.oss.put(room.source.join("a.csv"), "9,9")
    second = room.pin()
    assert first != second
    assert (room.texts(first)["a.csv"], room.texts(second)["a.csv"]) == ("1,2", "9,9")


@pytest.mark.parametrize("versioning", [None, "Enabled"])
def test_those_who_pin_the_same_at_once_are_all_right(room, bucket, pai, versioning):
    if versioning:
        bucket.put_bucket_versioning(BucketVersioningConfig(versioning))
    ref = room.describe()
    pai.account.faults.add(match="oss PUT", status=503, probability=0.2)
    pai.account.faults.add(match="oss PUT", drop="answer", probability=0.2)
    with ThreadPoolExecutor(4) as pool:
        (one,) = set(pool.map(lambda number: room.pin(ref, f"v{number}"), range(4)))
    pai.account.faults.clear()
    assert room.texts(one) == OBJECTS
    assert room.oss.head(one.marker)


def test_who_is_killed_half_way_leaves_what_the_next_goes_on_with(room, monkeypatch):
    ref, copy, calls = room.describe(), pins.copy_object, count()

    def dies(*arguments, **options):
        if next(calls) == 2:
            raise KeyboardInterrupt
        copy(*arguments, **options)

    monkeypatch.setattr(pins, "copy_object", dies)
    with pytest.raises(KeyboardInterrupt):
        room.pin(ref)
    monkeypatch.setattr(pins, "copy_object", copy)
    one = Pin.of(room.home, ref.digest)
    before = room.pinned(one)
    assert not room.oss.head(one.marker)
    assert room.pin(ref) == one
    assert room.texts(one) == OBJECTS
    assert before.items() <= room.pinned(one).items()


@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_what_changes_between_list_and_copy_is_not_pinned_as_what_it_was(room, change):
    ref = room.describe()
    if change == "replaced":
        room.oss.put(room.source.join("a.csv"), "9,9")
    else:
        room.oss.delete(room.source.join("a.csv"))
    with pytest.raises(PaiTransferError, match=rf"a\.csv was {change}"):
        room.pin(ref)
    assert not room.oss.head(Pin.of(room.home, ref.digest).marker)


def test_where_versions_are_kept_what_was_listed_is_pinned_though_it_was_replaced(room, bucket):
    bucket.put_bucket_versioning(BucketVersioningConfig("Enabled"))
    for key, text in OBJECTS.items():
        room.oss.put(room.source.join(key), text)
    ref = room.describe()
    room.oss.put(room.source.join("a.csv"), "9,9")
    room.oss.delete(room.source.join("sub/b.csv"))
    assert room.texts(room.pin(ref)) == OBJECTS


def test_what_is_larger_than_one_copy_takes_is_pinned_too(room, monkeypatch):
    monkeypatch.setattr("airflow_provider_pai.hooks.oss.copy.MAX_WHOLE", 200 * 1024)
    monkeypatch.setattr("airflow_provider_pai.hooks.oss.copy.PART", 100 * 1024)
    room.oss.put(room.source.join("large"), "x" * 300 * 1024)
    one = room.pin()
    assert "-" in room.oss.head(one.data.join("large")).etag
    assert room.oss.head(one.marker)


def test_what_somebody_puts_into_a_copy_that_is_not_whole_is_found(room):
    ref = room.describe()
    room.oss.put(Pin.of(room.home, ref.digest).data.join("foreign"), "x")
    with pytest.raises(PaiTransferError, match="is not what was copied there: 1 objects: added foreign"):
        room.pin(ref)


def test_nobody_uses_what_no_job_has_got_lately_and_no_artifact_was_made_of(room):
    artifact = OssUri(room.home.bucket, "models/v1/")
    one, later = room.pin(artifact=str(artifact)), datetime.now(UTC) + timedelta(minutes=5)
    assert pins_below(room.oss, room.home) == [one]
    assert one.user(room.oss, later - timedelta(days=1)).startswith("a job has got it at ")
    assert one.user(room.oss, later) == ""
    room.oss.put(artifact.join(MANIFEST_NAME), "{}")
    assert one.user(room.oss, later) == f"{artifact} was trained on it"
    assert not one.delete(room.oss, later)
    assert room.oss.head(one.marker)
    room.oss.delete(artifact.join(MANIFEST_NAME))
    assert one.delete(room.oss, later)
    assert list(room.oss.list_objects(one.folder)) == []


def test_a_use_that_can_t_be_read_keeps_a_copy(room, pai):
    one, later = room.pin(artifact="oss://elsewhere/m/"), datetime.now(UTC) + timedelta(minutes=5)
    pai.account.faults.add(match="oss HEAD", status=403, code="AccessDenied")
    assert "403" in one.user(room.oss, later)
    pai.account.faults.clear()
    room.oss.put(one.uses.join("v1"), "{")
    assert str(one.uses) in one.user(room.oss, later)


def test_a_job_that_gets_a_copy_while_it_is_to_be_deleted_keeps_it(room, monkeypatch):
    one, later = room.pin(), datetime.now(UTC) + timedelta(minutes=5)
    monkeypatch.setattr(Pin, "user", lambda *_: "a job has got it just now")
    assert not one.delete(room.oss, later)
    refuse_copies(monkeypatch)
    assert room.texts(room.pin(version="v2")) == OBJECTS
