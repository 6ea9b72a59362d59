"""Many small files: what is there is known by its listing."""

from __future__ import annotations

import pytest

from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.manifests import read_artifact
from airflow_provider_pai.operators.oss import OssDownloadOperator, OssUploadOperator, OssWriteManifestOperator
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


def run(operator, **arguments):
    return Task(lambda: operator(task_id="task", **arguments)).run()


def test_a_person_moves_a_folder_of_many_images_each_night_and_nobody_looks_at_each(bucket, pai, tmp_path):
    at, images = f"oss://{bucket.bucket_name}/images/", tmp_path / "images"
    for number in range(60):
        (images / f"{number % 7}").mkdir(parents=True, exist_ok=True)
        (images / f"{number % 7}/{number}.png").write_text(f"image {number}")
    pai.account.faults.add(match="oss HEAD", status=403, code="AccessDenied")
    assert run(OssUploadOperator, path=str(images), uri=at, delete=True)["moved"] == 60
    (images / "0/0.png").write_text("another")
    (images / "1/1.png").unlink()
    pai.account.faults.clear()
    report = run(OssUploadOperator, path=str(images), uri=at, delete=True)
    assert (report["moved"], report["unchanged"], report["deleted"]) == (1, 58, 1)
    pai.account.faults.add(match="oss HEAD", status=403, code="AccessDenied")
    artifact = run(OssWriteManifestOperator, uri=at, name="images")
    assert artifact["files"] == 59
    assert read_artifact(OssHook(), at).digest == artifact["digest"]
    run(OssDownloadOperator, uri=at, path=str(tmp_path / "there"), exclude="_manifest.json")
    assert run(OssDownloadOperator, uri=at, path=str(tmp_path / "there"), exclude="_manifest.json")["unchanged"] == 59
