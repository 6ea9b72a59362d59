from __future__ import annotations

import logging
import os

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiArtifactError,
    PaiConfigError,
    PaiConflictError,
    PaiNotFoundError,
    PaiTransientError,
)
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.upload import PART
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.manifests import read_artifact
from airflow_provider_pai.operators.oss import (
    OssCopyOperator,
    OssCreateBucketOperator,
    OssDeleteBucketOperator,
    OssDeleteOperator,
    OssDownloadOperator,
    OssListOperator,
    OssUploadOperator,
    OssWriteManifestOperator,
)
from airflow_provider_pai.operators.oss.transfers import ObjectStorageToOssOperator, OssToObjectStorageOperator
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def at(bucket):
    return f"oss://{bucket.bucket_name}/data/"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "here/sub").mkdir(parents=True)
    (tmp_path / "here/a.csv").write_text("1")
    (tmp_path / "here/sub/b.json").write_text("22")
    return tmp_path / "here"


def run(operator, **arguments):
    return Task(lambda: operator(task_id="task", **arguments)).run()


def keys(at):
    return [str(info.uri).removeprefix(at) for info in OssHook().list_objects(at)]


def test_a_file_there_and_back(at, folder, tmp_path):
    file = str(folder / "a.csv")
    assert run(OssUploadOperator, path=file, uri=at) == {"uri": at + "a.csv", "size": 1}
    assert run(OssUploadOperator, path=file, uri=at + "x", tags={"k": "v"}, storage_class="IA")["uri"] == at + "x"
    assert (OssHook().tags(at + "x"), OssHook().head(at + "x").storage_class) == ({"k": "v"}, "IA")
    with pytest.raises(PaiConflictError):
        run(OssUploadOperator, path=file, uri=at + "x", overwrite=False)
    assert run(OssDownloadOperator, uri=at + "x", path=f"{tmp_path}/got/") == {"path": f"{tmp_path}/got/x", "size": 1}
    run(OssDownloadOperator, uri=at + "x", path=f"{tmp_path}/y")
    assert (tmp_path / "y").read_text() == (tmp_path / "got/x").read_text() == "1"


ONCE = {
    "upload": (OssUploadOperator, lambda at, folder: {"path": str(folder / "a.csv"), "uri": at + "x"}),
    "copy": (OssCopyOperator, lambda at, folder: {"source": at + "there", "target": at + "x"}),
    "stream": (
        ObjectStorageToOssOperator,
        lambda at, folder: {"source": f"file://{folder}/a.csv", "uri": at + "x"},
    ),
}


@pytest.mark.parametrize("write", ONCE)
def test_what_an_earlier_try_has_written_is_its_own(at, folder, pai, monkeypatch, write):
    OssHook().put(at + "there", "1")
    monkeypatch.setattr(OssHook, "retry_seconds", 0)
    operator, arguments = ONCE[write]
    task = Task(lambda: operator(task_id="task", overwrite=False, **arguments(at, folder)), max_tries=2)
    pai.account.faults.add(match="oss PUT .*/x$", drop="answer", times=1)
    with pytest.raises(PaiTransientError):
        task.run()
    assert task.run()["uri"] == at + "x"
    OssHook().put(at + "x", "another")
    with pytest.raises(PaiConflictError):
        task.run()
    assert OssHook().get(at + "x") == b"another"


def test_a_retry_goes_on_at_the_checkpoint(at, tmp_path, pai):
    (tmp_path / "big").write_bytes(os.urandom(3 * PART))
    pai.account.faults.add(match="oss PUT", times=2)
    pai.account.faults.add(match="oss PUT", status=400, code="Stop")
    arguments = {"path": str(tmp_path / "big"), "uri": at, "checkpoint": str(tmp_path / "checkpoint")}
    with pytest.raises(PaiApiError, match="Stop"):
        run(OssUploadOperator, **arguments)
    pai.account.faults.clear()
    rule = pai.account.faults.add(match="oss PUT", times=9)
    run(OssUploadOperator, **arguments)
    assert rule.times == 8
    assert OssHook().get(at + "big") == (tmp_path / "big").read_bytes()


def test_a_folder_there_and_back(at, folder, tmp_path):
    OssHook().put(at + "gone", "")
    report = run(OssUploadOperator, path=str(folder), uri=at, delete=True)
    assert report == {"uri": at, "moved": 2, "unchanged": 0, "deleted": 1, "size": 3}
    assert keys(at) == ["a.csv", "sub/b.json"]
    assert run(OssUploadOperator, path=str(folder), uri=at, include=["*.csv"])["unchanged"] == 1
    report = run(OssDownloadOperator, uri=at, path=str(tmp_path / "there"), exclude=["*.csv"])
    assert (report["moved"], report["path"]) == (1, str(tmp_path / "there"))
    assert (tmp_path / "there/sub/b.json").read_text() == "22"


def test_copies(at, folder, bucket):
    run(OssUploadOperator, path=str(folder), uri=at)
    other = f"oss://{bucket.bucket_name}/other/"
    assert run(OssCopyOperator, source=at + "a.csv", target=other) == {"uri": other + "a.csv"}
    assert run(OssCopyOperator, source=at + "a.csv", target=other + "b", storage_class="IA") == {"uri": other + "b"}
    report = run(OssCopyOperator, source=at, target=other, delete=True)
    assert (report["moved"], report["unchanged"], report["deleted"]) == (1, 1, 1)
    assert keys(other) == ["a.csv", "sub/b.json"]


def test_lists_and_deletes(at, folder):
    run(OssUploadOperator, path=str(folder), uri=at)
    assert run(OssListOperator, uri=at) == [at + "a.csv", at + "sub/b.json"]
    assert run(OssListOperator, uri=at, include=["*.csv"]) == run(OssListOperator, uri=at + "*.csv") == [at + "a.csv"]
    with pytest.raises(PaiConfigError, match="limit"):
        run(OssListOperator, uri=at, limit=1)
    assert run(OssDeleteOperator, uri=[at + "a.csv", at + "none"]) == 2
    assert run(OssListOperator, uri=at, include="*.json") == [at + "sub/b.json"]
    assert run(OssListOperator, uri=at, include=[]) == []
    assert run(OssDeleteOperator, uri=at, exclude=["*.json"]) == 0
    assert run(OssDeleteOperator, uri=at, include=[]) == 0, "no pattern, no key"
    assert run(OssDeleteOperator, uri=at, include="*.tmp") == 0, "one pattern, not its letters"
    assert run(OssDeleteOperator, uri=at) == 1
    assert keys(at) == []


def test_an_address_means_the_object_of_that_name(at):
    for name in ("data[1].csv", "data1.csv", "report [final].csv", "a*", "ab", "run [1]/x", "run [1]/[x"):
        OssHook().put(at + name, name)
    assert run(OssListOperator, uri=at + "data[1].csv") == [at + "data[1].csv"]
    assert run(OssListOperator, uri=at + "report [final].csv") == [at + "report [final].csv"]
    assert run(OssListOperator, uri=at + "run [1]/") == [at + "run [1]/[x", at + "run [1]/x"]
    assert run(OssListOperator, uri=at + "run [1]/[x") == [at + "run [1]/[x"]
    assert run(OssListOperator, uri=at + "data[0-9].csv") == [at + "data1.csv"]
    every = run(OssListOperator, uri=at + "a*")
    assert every == [at + "a*"]
    assert run(OssDeleteOperator, uri=every) == 1
    for _ in range(2):  # the second time it means nothing else
        assert run(OssDeleteOperator, uri=at + "data[1].csv") == 1
    assert keys(at) == ["ab", "data1.csv", "report [final].csv", "run [1]/[x", "run [1]/x"]
    with pytest.raises(PaiConfigError, match=r"uri: .*no object has this very name.*include='b\*'"):
        run(OssDeleteOperator, uri=at + "b*")
    assert run(OssDeleteOperator, uri=at, include="report [final].csv") == 1


def test_buckets(bucket):
    name = bucket.bucket_name + "-2"
    for _ in range(2):
        run(OssCreateBucketOperator, bucket=name, storage_class="IA")
    assert OssHook().bucket_exists(name)
    OssHook().put(f"oss://{name}/a", "")
    with pytest.raises(PaiConflictError, match="BucketNotEmpty"):
        run(OssDeleteBucketOperator, bucket=name)
    for _ in range(2):
        run(OssDeleteBucketOperator, bucket=name, force=True)
    assert not OssHook().bucket_exists(name)
    for wrong in ("A", "a", "with/key", ""):
        with pytest.raises(PaiConfigError, match="bucket"):
            run(OssCreateBucketOperator, bucket=wrong)


def test_a_manifest_makes_an_artifact(at, folder):
    with pytest.raises(PaiArtifactError, match="no file"):
        run(OssWriteManifestOperator, uri=at, name="rows")
    run(OssUploadOperator, path=str(folder), uri=at)
    found = run(OssWriteManifestOperator, uri=at, name="rows", metrics={"rows": 2.0}, parameters={"night": "1"})
    artifact = read_artifact(OssHook(), at)
    assert artifact.to_dict() == found
    assert (artifact.files, artifact.size, artifact.metrics, artifact.params) == (2, 3, {"rows": 2.0}, {"night": "1"})
    assert artifact.version.startswith("20261121T1800Z-")
    assert artifact.produced_by.task_id == "task"
    assert run(OssWriteManifestOperator, uri=at, name="rows") == found
    assert [row.kind for row in Ledger.open().rows()] == ["artifact_produced"]


def test_what_does_not_fit_an_xcom_is_in_the_manifest_and_said(at, folder, caplog, monkeypatch):
    monkeypatch.setattr(OssHook, "log", logging.getLogger("oss"))
    run(OssUploadOperator, path=str(folder), uri=at)
    found = run(OssWriteManifestOperator, uri=at, name="rows", parameters={"names": "x" * 20_000})
    assert (found["params"], len(read_artifact(OssHook(), at).params["names"])) == ({}, 20_000)
    assert found["in_manifest"] == ["params"]
    assert f"Not in XCom, over 16 KiB: params of {at}; its manifest has them" in caplog.text


def test_from_and_to_any_object_storage(at, folder, tmp_path, bucket):
    source = f"file://{folder}/a.csv"
    assert run(ObjectStorageToOssOperator, source=source, uri=at) == {"uri": at + "a.csv", "size": 1}
    big = os.urandom(2 * PART + 1)
    (tmp_path / "big").write_bytes(big)
    run(ObjectStorageToOssOperator, source=str(ObjectStoragePath(f"file://{tmp_path}/big")), uri=at + "x")
    assert OssHook().get(at + "x") == big
    target = f"file://{tmp_path}/got"
    assert run(OssToObjectStorageOperator, uri=at + "x", target=target)["size"] == len(big)
    assert (tmp_path / "got").read_bytes() == big
    with pytest.raises(PaiConfigError, match="target"):
        run(OssToObjectStorageOperator, uri=at + "x", target=target, overwrite=False)
    with pytest.raises(PaiConflictError):
        run(ObjectStorageToOssOperator, source=source, uri=at + "x", overwrite=False)
    through = f"oss://pai_default@{bucket.bucket_name}/data/through"
    run(OssToObjectStorageOperator, uri=at + "x", target=through)
    assert OssHook().get(at + "through") == big


def test_transfers_that_fail_leave_nothing(at, folder, tmp_path, pai):
    with pytest.raises(PaiNotFoundError, match="source"):
        run(ObjectStorageToOssOperator, source=f"file://{folder}/none", uri=at)
    OssHook().put(at + "x", "1")
    with pytest.raises(PaiConfigError, match="target"):
        run(OssToObjectStorageOperator, uri=at + "x", target="nonsense://a/b")
    with pytest.raises(PaiNotFoundError, match="uri"):
        run(OssToObjectStorageOperator, uri=at + "none", target=f"file://{tmp_path}/none")
    pai.account.faults.add(match="oss GET", status=403, code="AccessDenied")
    with pytest.raises(PaiApiError, match="AccessDenied"):
        run(OssToObjectStorageOperator, uri=at + "x", target=f"file://{tmp_path}/none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("operator", "arguments", "field"),
    [
        (OssUploadOperator, {"path": "/none", "uri": "s3://b/k"}, "uri"),
        (OssUploadOperator, {"path": "/none", "uri": "oss://bucket/k"}, "path"),
        (OssDownloadOperator, {"path": "x", "uri": "bucket/k"}, "uri"),
        (OssCopyOperator, {"source": "gs://b/k", "target": "oss://bucket/k"}, "source"),
        (OssCopyOperator, {"source": "oss://bucket/k", "target": "k"}, "target"),
        (OssDeleteOperator, {"uri": "oss://bucket/"}, "uri"),
        (OssDeleteOperator, {"uri": ["oss://bucket/k", "oss://bucket"]}, "uri"),
        (OssListOperator, {"uri": "/x"}, "uri"),
        (OssWriteManifestOperator, {"uri": "oss://bucket", "name": "n"}, "uri"),
    ],
)
def test_bad_input_names_the_field(operator, arguments, field):
    with pytest.raises((PaiConfigError, PaiNotFoundError), match=field):
        run(operator, **arguments)


def test_a_target_that_may_not_be_opened_stays(at, tmp_path, monkeypatch):
    OssHook().put(at + "a", "new")
    (tmp_path / "target").write_text("old")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ObjectStoragePath, "open", refuse)
    with pytest.raises(PaiConfigError, match=r"target: .*Permission denied"):
        run(OssToObjectStorageOperator, uri=at + "a", target=f"file://{tmp_path}/target")
    assert (tmp_path / "target").read_text() == "old"
