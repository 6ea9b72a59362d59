"""Manifests: made and read of listings, whatever the number of files; a copy of an artifact is the artifact."""

from __future__ import annotations

import os

import pytest

from airflow_provider_pai.artifact import ModelArtifact
from airflow_provider_pai.exceptions import PaiArtifactError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.manifests import read_artifact, write_artifact

PART = 100 * 1024
"""The smallest that OSS takes: three parts of it, put together, are copied to an object with another ETag."""

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def hook():
    return OssHook()


@pytest.fixture
def model(hook, bucket):
    """The address of a model of two files that were put."""
    uri = f"oss://{bucket.bucket_name}/model/"
    for name in ("config.json", "sub//weights"):
        hook.put(uri + name, name)
    return uri


def write(hook, uri):
    return write_artifact(hook, ModelArtifact(name="m", version="20260101T0000Z-0", uri=uri))


def test_a_manifest_is_written_and_read_without_a_look_at_each_file(hook, model, pai):
    pai.account.faults.add(match="oss HEAD", status=403, code="AccessDenied")
    written = write(hook, model)
    assert (written.files, written.size) == (2, len("config.jsonsub//weights"))
    assert read_artifact(hook, model) == written


def test_a_copy_of_an_artifact_is_the_artifact(hook, model, bucket, tmp_path):
    (tmp_path / "big").write_bytes(os.urandom(3 * PART))
    hook.upload(tmp_path / "big", model + "big", part_size=PART)
    written, other = write(hook, model), model.replace("model", "copy")
    for info in hook.list_objects(model):
        bucket.copy_object(bucket.bucket_name, info.uri.key, info.uri.key.replace("model", "copy"))
    assert hook.head(other + "big").etag != hook.head(model + "big").etag
    assert read_artifact(hook, other) == written
    hook.put(other + "big", os.urandom(3 * PART))
    with pytest.raises(PaiArtifactError, match=r"copy/big is not what the manifest says: 307200 bytes, ETag .*-3"):
        read_artifact(hook, other)


def test_a_copy_that_nobody_can_tell_is_refused_and_may_be_made_an_artifact_of_its_own(hook, model, world):
    world(oss_copy_etag="own")
    write(hook, model)
    other = model.replace("model", "copy")
    assert hook.copy_folder(model, other).moved == 3
    assert hook.copy_folder(model, other).unchanged == 3, "the CRC64 tells"
    with pytest.raises(PaiArtifactError, match=r"copy/config\.json is not what the manifest says: .* CRC64 unknown"):
        read_artifact(hook, other)
    written = write(hook, other)
    assert read_artifact(hook, other) == written
