"""Stories of OSS."""

from __future__ import annotations

import os
import uuid
from unittest import mock

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_pai.exceptions import PaiApiError
from airflow_provider_pai.operators import oss
from airflow_provider_pai.sensors.oss import OssArtifactSensor, OssKeySensor, OssPrefixUnchangedSensor
from tests.permissions.scene import SENSOR, Act, Scene, failing, run, story


@story(oss.OssUploadOperator)
def uploads(at: Scene) -> Act:
    at.file("here/a").write_text("1")
    at.oss.put(f"{at.uri}there/gone", "")
    folder = run(oss.OssUploadOperator, path=str(at.file("here")), uri=f"{at.uri}there/", delete=True)
    tagged = run(oss.OssUploadOperator, path=str(at.file("here/a")), uri=f"{at.uri}a", tags={"k": "v"}, overwrite=False)
    return lambda: (folder.run(), tagged.run())


@story(oss.OssUploadOperator)
def uploads_in_parts(at: Scene) -> Act:
    at.file("big").write_bytes(bytes(9 << 20))
    given = {"path": str(at.file("big")), "uri": f"{at.uri}big", "checkpoint": str(at.file("checkpoint"))}
    return run(oss.OssUploadOperator, **given).run


@story(oss.OssUploadOperator)
def breaks_an_upload(at: Scene) -> Act:
    at.file("big").write_bytes(bytes(9 << 20))
    at.pai.account.faults.add(match=f"oss PUT /{at.bucket}/big", status=400, code="Stop")
    return failing(run(oss.OssUploadOperator, path=str(at.file("big")), uri=f"{at.uri}big").run, PaiApiError)


@story(oss.OssDownloadOperator)
def downloads(at: Scene) -> Act:
    at.oss.put(f"{at.uri}there/a", "1")
    return run(oss.OssDownloadOperator, uri=f"{at.uri}there/", path=str(at.file("here"))).run


@story(oss.OssCopyOperator)
def copies(at: Scene) -> Act:
    at.oss.put(f"{at.uri}there/a", "1")
    at.oss.put(f"{at.uri}other/gone", "1")
    folder = run(oss.OssCopyOperator, source=f"{at.uri}there/", target=f"{at.uri}other/", delete=True)
    one = run(oss.OssCopyOperator, source=f"{at.uri}there/a", target=f"{at.uri}b", storage_class="IA")
    return lambda: (folder.run(), one.run())


@story(oss.OssCopyOperator)
def copies_in_parts(at: Scene) -> Act:
    at.oss.put(f"{at.uri}a", "1", tags={"k": "v"})
    one = run(oss.OssCopyOperator, source=f"{at.uri}a", target=f"{at.uri}b")

    def act() -> None:
        with mock.patch("airflow_provider_pai.hooks.oss.copy.MAX_WHOLE", 0):
            one.run()

    return act


@story(oss.OssListOperator)
def lists(at: Scene) -> Act:
    return run(oss.OssListOperator, uri=f"{at.uri}there/").run


@story(oss.OssDeleteOperator)
def deletes(at: Scene) -> Act:
    at.oss.put(f"{at.uri}there/a", "1")
    by_name = run(oss.OssDeleteOperator, uri=[f"{at.uri}x"])
    return lambda: (by_name.run(), run(oss.OssDeleteOperator, uri=f"{at.uri}there/").run())


@story(oss.OssCreateBucketOperator)
def creates_a_bucket(at: Scene) -> Act:
    one = run(oss.OssCreateBucketOperator, bucket=f"{at.bucket}-new")
    return lambda: (one.run(), one.run())


@story(oss.OssDeleteBucketOperator)
def deletes_a_bucket(at: Scene) -> Act:
    at.oss.create_bucket(f"{at.bucket}-old")
    at.oss.put(f"oss://{at.bucket}-old/x", "1")
    return run(oss.OssDeleteBucketOperator, bucket=f"{at.bucket}-old", force=True).run


@story(oss.OssWriteManifestOperator)
def writes_a_manifest(at: Scene) -> Act:
    at.oss.put(f"{at.uri}m/metrics.json", "{}")
    return run(oss.OssWriteManifestOperator, uri=f"{at.uri}m/", name="m").run


@story(oss.ObjectStorageToOssOperator)
def comes_from_elsewhere(at: Scene) -> Act:
    at.file("here/a").write_text("1")
    given = {"source": f"file://{at.file('here/a')}", "uri": f"{at.uri}there/a"}
    return run(oss.ObjectStorageToOssOperator, **given).run


@story(oss.OssToObjectStorageOperator)
def goes_elsewhere(at: Scene) -> Act:
    at.oss.put(f"{at.uri}there/a", "1")
    given = {"uri": f"{at.uri}there/a", "target": f"file://{at.file('here')}"}
    return run(oss.OssToObjectStorageOperator, **given).run


@story("ObjectStoragePath")
def reads_and_writes_paths(at: Scene) -> Act:
    def act() -> None:
        conn_id = f"story_{uuid.uuid4().hex}"  # Airflow keeps a file system for each
        os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = os.environ["AIRFLOW_CONN_PAI_DEFAULT"]
        path = ObjectStoragePath(f"oss://{conn_id}@{at.bucket}/there/a")
        path.write_text("1")
        assert path.read_text() == "1"
        assert [each.name for each in path.parent.iterdir()] == ["a"]
        path.unlink()

    return act


@story(OssKeySensor)
def waits_for_a_key(at: Scene) -> Act:
    at.oss.put(f"{at.uri}a", "1")
    pattern = run(OssKeySensor, uri=f"{at.uri}*", **SENSOR)
    return lambda: (run(OssKeySensor, uri=f"{at.uri}a", **SENSOR).run(), pattern.run())


@story(OssPrefixUnchangedSensor)
def waits_for_silence(at: Scene) -> Act:
    at.oss.put(f"{at.uri}there/a", "1")
    return run(OssPrefixUnchangedSensor, uri=f"{at.uri}there/", quiet_seconds=0.02, **SENSOR).run


@story(OssArtifactSensor)
def waits_for_a_model(at: Scene) -> Act:
    return run(OssArtifactSensor, artifact=at.artifact(), **SENSOR).run
