"""Versions of objects and delete markers, through oss2."""

from __future__ import annotations

from pathlib import Path

import oss2
import pytest
from oss2.models import (
    BatchDeleteObjectVersion,
    BatchDeleteObjectVersionList,
    BucketVersioningConfig,
    Tagging,
    TaggingRule,
)

from airflow_provider_pai.emulator import Emulator
from tests.conftest import oss_bucket
from tests.emulator.oss_client import code_of, folder_of, keys_of


def set_versioning(bucket: oss2.Bucket, status: str) -> None:
    config = BucketVersioningConfig()
    config.status = status
    bucket.put_bucket_versioning(config)


def versions_of(bucket: oss2.Bucket, **options: object) -> list[tuple[str, str, bool]]:
    """Return key, id and whether it is the latest, page by page; delete markers behind the versions of their page."""
    found = []
    key = version = ""
    while True:
        page = bucket.list_object_versions(key_marker=key, versionid_marker=version, **options)
        found += [(each.key, each.versionid, each.is_latest) for each in [*page.versions, *page.delete_marker]]
        if not page.is_truncated:
            return found
        key, version = page.next_key_marker, page.next_versionid_marker


@pytest.fixture
def versioned(bucket: oss2.Bucket) -> oss2.Bucket:
    set_versioning(bucket, "Enabled")
    return bucket


def test_every_version_can_be_read_until_it_is_deleted(versioned: oss2.Bucket) -> None:
    ids = [versioned.put_object("k", str(number)).versionid for number in range(3)]
    assert [versioned.get_object("k", params={"versionId": each}).read() for each in ids] == [b"0", b"1", b"2"]
    assert (versioned.get_object("k").read(), versioned.head_object("k").versionid) == (b"2", ids[2])
    versioned.delete_object("k", params={"versionId": ids[2]})
    assert versioned.get_object("k").read() == b"1"
    versioned.delete_object("k", params={"versionId": ids[0]})
    versioned.delete_object("k", params={"versionId": ids[1]})
    assert versions_of(versioned) == []
    versioned.delete_bucket()


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_forbid_overwrite_has_no_effect(versioned: oss2.Bucket, status: str) -> None:
    set_versioning(versioned, status)
    forbid = {"x-oss-forbid-overwrite": "true"}
    versioned.put_object("k", b"1", headers=forbid)
    versioned.put_object("k", b"2", headers=forbid)
    assert versioned.get_object("k").read() == b"2"
    versioned.put_object("source", b"3")
    versioned.copy_object(versioned.bucket_name, "source", "k", headers=forbid)
    assert versioned.get_object("k").read() == b"3"
    upload = versioned.init_multipart_upload("k").upload_id
    part = oss2.models.PartInfo(1, versioned.upload_part("k", upload, 1, b"4").etag)
    versioned.complete_multipart_upload("k", upload, [part], headers=forbid)
    assert versioned.get_object("k").read() == b"4"


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_an_append_at_0_makes_an_object_only_where_none_is(versioned: oss2.Bucket, status: str) -> None:
    set_versioning(versioned, status)
    versioned.append_object("k", 0, b"1")
    with pytest.raises(oss2.exceptions.PositionNotEqualToLength):
        versioned.append_object("k", 0, b"2")
    versioned.put_object("k", b"3")
    with pytest.raises(oss2.exceptions.ObjectNotAppendable):
        versioned.append_object("k", 0, b"4")
    versioned.delete_object("k")
    assert versioned.append_object("k", 0, b"5").next_position == 1


def test_a_delete_marker_hides_and_goes(versioned: oss2.Bucket) -> None:
    first = versioned.put_object("k", b"1").versionid
    marker = versioned.delete_object("k")
    assert marker.delete_marker
    assert keys_of(versioned) == []
    with pytest.raises(oss2.exceptions.NoSuchKey) as error:
        versioned.get_object("k")
    assert error.value.headers["x-oss-delete-marker"] == "true"
    with pytest.raises(oss2.exceptions.ServerError) as refused:
        versioned.get_object("k", params={"versionId": marker.versionid})
    assert code_of(refused) == (405, "MethodNotAllowed")
    with pytest.raises(oss2.exceptions.BucketNotEmpty):
        versioned.delete_bucket()
    versioned.delete_object("k", params={"versionId": marker.versionid})
    assert (versioned.get_object("k").read(), versioned.head_object("k").versionid) == (b"1", first)


def test_what_was_there_before_is_the_null_version(bucket: oss2.Bucket) -> None:
    assert bucket.put_object("k", b"0").versionid is None
    set_versioning(bucket, "Enabled")
    assert bucket.head_object("k").versionid == "null"
    bucket.put_object("k", b"1")
    assert bucket.get_object("k", params={"versionId": "null"}).read() == b"0"
    set_versioning(bucket, "Suspended")
    assert bucket.put_object("k", b"2").versionid == "null"
    assert bucket.get_object("k", params={"versionId": "null"}).read() == b"2"
    bucket.put_object("k", b"3")
    assert [(id_ == "null", latest) for _, id_, latest in versions_of(bucket)] == [(True, True), (False, False)]


@pytest.mark.parametrize("version", ["", "234", "CAEQJhiBgIDVmYrr1RYiIGE5ZmUxMjViZDIwYjQwY2I5ODA1YWIxNmIyNDNjYjk4"])
def test_versions_that_are_none(versioned: oss2.Bucket, version: str) -> None:
    versioned.put_object("k", b"1")
    with pytest.raises(oss2.exceptions.ServerError) as error:
        versioned.get_object_tagging("k", params={"versionId": version})
    assert code_of(error) == ((404, "NoSuchVersion") if len(version) > 10 else (400, "InvalidArgument"))


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages(versioned: oss2.Bucket, limit: int) -> None:
    for key in ("a", "b/1", "b/2", "c"):
        for number in range(3):
            versioned.put_object(key, str(number))
    versioned.delete_object("a")
    found = versions_of(versioned, max_keys=limit)
    assert sorted(key for key, _, _ in found) == ["a"] * 4 + ["b/1"] * 3 + ["b/2"] * 3 + ["c"] * 3
    assert len({id_ for _, id_, _ in found}) == 13
    assert sum(latest for _, _, latest in found) == 4
    page = versioned.list_object_versions(delimiter="/")
    assert (page.common_prefix, [each.key for each in page.versions]) == (["b/"], ["a"] * 3 + ["c"] * 3)


def test_batches_tags_and_copies_name_versions(versioned: oss2.Bucket) -> None:
    ids = [versioned.put_object("k", str(number)).versionid for number in range(2)]
    rule = TaggingRule()
    rule.add("of", "first")
    versioned.put_object_tagging("k", Tagging(rule), params={"versionId": ids[0]})
    assert versioned.get_object_tagging("k", params={"versionId": ids[0]}).tag_set.tagging_rule == {"of": "first"}
    assert versioned.get_object_tagging("k").tag_set.tagging_rule == {}
    versioned.copy_object(versioned.bucket_name, "k", "copy", params={"versionId": ids[0]})
    assert versioned.get_object("copy").read() == b"0"
    wanted = BatchDeleteObjectVersionList([BatchDeleteObjectVersion("k", each) for each in ids])
    assert [each.versionid for each in versioned.delete_object_versions(wanted).delete_versions] == ids
    assert keys_of(versioned) == ["copy"]


def test_a_mount_shows_the_newest_and_its_files_are_objects(pai: Emulator, versioned: oss2.Bucket) -> None:
    versioned.put_object("dir/k", b"1")
    versioned.put_object("dir/k", b"2")
    folder = folder_of(pai, versioned, "dir/")
    assert [path.name for path in folder.iterdir()] == ["k"]
    (folder / "k").unlink()
    (folder / "new").write_bytes(b"3")
    assert keys_of(versioned) == ["dir/new"]
    assert versioned.head_object("dir/new").versionid == "null"


def test_a_key_that_is_no_path_has_versions_too(versioned: oss2.Bucket) -> None:
    first = versioned.put_object("a//b", b"1").versionid
    versioned.put_object("a//b", b"2")
    assert versioned.get_object("a//b", params={"versionId": first}).read() == b"1"
    versioned.delete_object("a//b", params={"versionId": versioned.head_object("a//b").versionid})
    assert versioned.get_object("a//b").read() == b"1"


def test_what_a_killed_emulator_left_half_done_is_swept(tmp_path: Path) -> None:
    with Emulator(tmp_path) as pai:
        bucket = oss_bucket(pai, "half")
        bucket.create_bucket()
        set_versioning(bucket, "Enabled")
        first = bucket.put_object("k", b"1").versionid
        second = bucket.put_object("k", b"2").versionid
        oss = pai.services.oss
        with oss.files.lock:  # killed after the newest version was put away, before the next was in place
            oss.versions.make_room("half", "k")
    aside = tmp_path / "oss/.pai-emulator/aside"
    assert len(list(aside.iterdir())) == 2
    with Emulator(tmp_path) as pai:
        bucket = oss_bucket(pai, "half")
        assert [each for _, each, _ in versions_of(bucket)] == [second, first]
        assert bucket.get_object("k").read() == b"2"
        assert len(list(aside.iterdir())) == 1
