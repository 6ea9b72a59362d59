"""Paths of OSS: what was sent is there, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_provider_pai.operators import oss
from airflow_provider_pai.sensors.oss import OssArtifactSensor, OssKeySensor, OssPrefixUnchangedSensor
from tests.conftest import oss_bucket
from tests.fire.stage import Play, path, same, task
from tests.permissions.scene import SENSOR, Scene

BIG = bytes(range(256)) * (9 << 12)


def holds(at: Scene, prefix: str, contents: dict[str, bytes]) -> Iterator[str]:
    """Yield what is not as promised below a prefix."""
    there = at.uri + prefix
    found = {str(info.uri).removeprefix(there): at.oss.get(info.uri) for info in at.oss.list_objects(there)}
    if found != contents:
        yield f"objects: {[(key, len(found[key])) for key in found]}, not {list(contents)}"


@path()
def upload_folder(at: Scene, _: bool) -> Play:
    at.file("here/a").write_text("1")
    at.file("here/b/c").write_text("2")
    at.oss.put(f"{at.uri}there/gone", "")
    one = task(oss.OssUploadOperator, path=str(at.file("here")), uri=f"{at.uri}there/", delete=True)
    return Play(one, lambda end: holds(at, "there/", {"a": b"1", "b/c": b"2"}))


@path()
def upload_once(at: Scene, _: bool) -> Play:
    at.file("a").write_text("1")
    one = task(oss.OssUploadOperator, path=str(at.file("a")), uri=f"{at.uri}there/a", tags={"k": "v"}, overwrite=False)
    return Play(one, lambda end: holds(at, "there/", {"a": b"1"}))


@path()
def upload_parts(at: Scene, _: bool) -> Play:
    at.file("big").write_bytes(BIG)
    given = {"path": str(at.file("big")), "uri": f"{at.uri}there/big", "checkpoint": str(at.file("checkpoint"))}

    def kept(end: Any) -> Iterator[str]:
        yield from holds(at, "there/", {"big": BIG})
        bucket = oss_bucket(at.pai, at.bucket)
        uploads = bucket.list_multipart_uploads().upload_list
        # One without parts costs nothing.
        left = [one.key for one in uploads if bucket.list_parts(one.key, one.upload_id).parts]
        yield from same("uploads under way", left, [])

    return Play(task(oss.OssUploadOperator, **given), kept)


@path()
def download_folder(at: Scene, _: bool) -> Play:
    at.oss.put(f"{at.uri}there/a", "1")
    at.oss.put(f"{at.uri}there/b/c", "2")
    one = task(oss.OssDownloadOperator, uri=f"{at.uri}there/", path=str(at.file("here")))

    def kept(end: Any) -> Iterator[str]:
        here = at.file("here")
        found = {str(each.relative_to(here)): each.read_bytes() for each in here.rglob("*") if each.is_file()}
        yield from same("files", found, {"a": b"1", "b/c": b"2"})

    return Play(one, kept)


@path()
def download_parts(at: Scene, _: bool) -> Play:
    at.oss.put(f"{at.uri}big", BIG)
    one = task(oss.OssDownloadOperator, uri=f"{at.uri}big", path=str(at.file("big")))
    return Play(one, lambda end: same("file", end and at.file("big").read_bytes() == BIG, True))


@path()
def copy_folder(at: Scene, _: bool) -> Play:
    at.oss.put(f"{at.uri}here/a", "1", tags={"k": "v"})
    at.oss.put(f"{at.uri}there/gone", "1")
    one = task(oss.OssCopyOperator, source=f"{at.uri}here/", target=f"{at.uri}there/", delete=True)
    return Play(one, lambda end: holds(at, "there/", {"a": b"1"}))


@path()
def list_objects(at: Scene, _: bool) -> Play:
    at.oss.put(f"{at.uri}there/a", "1")
    at.oss.put(f"{at.uri}there/b", "1")
    one = task(oss.OssListOperator, uri=f"{at.uri}there/")
    return Play(one, lambda end: same("list", end and len(end), 2))


@path()
def delete_objects(at: Scene, _: bool) -> Play:
    at.oss.put(f"{at.uri}there/a", "1")
    at.oss.put(f"{at.uri}there/b", "1")
    return Play(task(oss.OssDeleteOperator, uri=f"{at.uri}there/"), lambda end: holds(at, "there/", {}))


@path()
def create_bucket(at: Scene, _: bool) -> Play:
    one = task(oss.OssCreateBucketOperator, bucket=f"{at.bucket}-new")
    return Play(one, lambda end: same("bucket", at.oss.bucket_exists(f"{at.bucket}-new"), True))


@path()
def delete_bucket(at: Scene, _: bool) -> Play:
    at.oss.create_bucket(f"{at.bucket}-old")
    at.oss.put(f"oss://{at.bucket}-old/x", "1")
    one = task(oss.OssDeleteBucketOperator, bucket=f"{at.bucket}-old", force=True)
    return Play(one, lambda end: same("bucket", at.oss.bucket_exists(f"{at.bucket}-old"), False))


@path()
def write_manifest(at: Scene, _: bool) -> Play:
    at.oss.put(f"{at.uri}m/metrics.json", "{}")
    one = task(oss.OssWriteManifestOperator, uri=f"{at.uri}m/", name="m")
    return Play(one, lambda end: same("manifest", at.oss.head(f"{at.uri}m/_manifest.json") is not None, True))


@path()
def from_elsewhere(at: Scene, _: bool) -> Play:
    at.file("here/a").write_text("1")
    one = task(oss.ObjectStorageToOssOperator, source=f"file://{at.file('here/a')}", uri=f"{at.uri}there/a")
    return Play(one, lambda end: holds(at, "there/", {"a": b"1"}))


@path()
def to_elsewhere(at: Scene, _: bool) -> Play:
    at.oss.put(f"{at.uri}there/a", "1")
    one = task(oss.OssToObjectStorageOperator, uri=f"{at.uri}there/a", target=f"file://{at.file('here')}")
    return Play(one, lambda end: same("file", end and at.file("here").read_bytes(), b"1"))


@path(deferrable=True)
def wait_for_key(at: Scene, deferrable: bool) -> Play:
    at.oss.put(f"{at.uri}there/a", "1")
    one = task(OssKeySensor, uri=[f"{at.uri}there/a", f"{at.uri}there/*"], deferrable=deferrable, **SENSOR)
    return Play(one, lambda end: same("found", end and set(end), {f"{at.uri}there/a"}))


@path(deferrable=True)
def wait_for_silence(at: Scene, deferrable: bool) -> Play:
    at.oss.put(f"{at.uri}there/a", "1")
    given = {"quiet_seconds": 0.02, "deferrable": deferrable, **SENSOR}
    one = task(OssPrefixUnchangedSensor, uri=f"{at.uri}there/", **given)
    return Play(one, lambda end: same("found", end is not None, True))


@path(deferrable=True)
def wait_for_model(at: Scene, deferrable: bool) -> Play:
    one = task(OssArtifactSensor, artifact=at.artifact(), deferrable=deferrable, **SENSOR)
    return Play(one, lambda end: same("found", end is not None, True))
