from __future__ import annotations

import threading
import time

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException

from airflow_provider_pai.artifact import MANIFEST_NAME, ModelArtifact
from airflow_provider_pai.exceptions import PaiArtifactError, PaiConfigError, PaiPermissionError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.manifests import read_artifact, write_artifact
from airflow_provider_pai.sensors.oss import OssArtifactSensor, OssKeySensor, OssPrefixUnchangedSensor
from airflow_provider_pai.triggers.oss_quiet import Quiet
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

both = pytest.mark.parametrize("deferrable", [False, True])


def later(seconds, function):
    timer = threading.Timer(seconds, function)
    timer.start()
    return timer


def key_sensor(**changes):
    return Task(lambda: OssKeySensor(**{"task_id": "task", "poke_interval": 0.02, "timeout": 10, **changes}))


def artifact_sensor(artifact, **changes):
    given = {"task_id": "task", "poke_interval": 0.02, "timeout": 10, "artifact": artifact}
    return Task(lambda: OssArtifactSensor(**{**given, **changes}))


def make_artifact(bucket, name="m"):
    uri = f"oss://{bucket.bucket_name}/models/{name}/"
    OssHook().put(uri + "model.bin", b"weights")
    OssHook().put(uri + "metrics.json", '{"accuracy": 0.5}')
    return write_artifact(OssHook(), ModelArtifact(name=name, version="20260101T0000Z-0", uri=uri))


@both
def test_waits_for_every_key(bucket, deferrable):
    uris = [f"oss://{bucket.bucket_name}/a", f"oss://{bucket.bucket_name}/b"]
    OssHook().put(uris[0], "1")
    later(0.2, lambda: OssHook().put(uris[1], "2"))
    assert key_sensor(uri=uris, deferrable=deferrable).run() == uris


@both
def test_an_object_of_that_very_name_is_meant_and_no_other(bucket, deferrable):
    at = f"oss://{bucket.bucket_name}/in [1]/"
    names = [at + name for name in ("data[1].csv", "report [final].csv", "a*b?", "[x", "[]")]
    for uri in (at + "data1.csv", at + "report f.csv", at + "aXbY", *names[2:]):
        OssHook().put(uri, "")
    OssHook().put(names[0], "1")
    OssHook().put(names[1], "1")
    assert key_sensor(uri=names, deferrable=deferrable).run() == names
    given = {"task_id": "task", "uri": at, "quiet_seconds": "0.01s", "poke_interval": 0.02, "deferrable": deferrable}
    assert len(Task(lambda: OssPrefixUnchangedSensor(**given)).run()) == 8, "a prefix is no pattern"


@both
def test_gives_up_at_the_timeout(bucket, deferrable):
    missing = f"oss://{bucket.bucket_name}/never"
    with pytest.raises(AirflowSensorTimeout):
        key_sensor(uri=missing, deferrable=deferrable, timeout=0.1).run()
    with pytest.raises(AirflowSkipException):
        key_sensor(uri=missing, deferrable=deferrable, timeout=0.1, soft_fail=True).run()


@both
def test_a_missing_permission_is_an_error_and_not_a_missing_key(bucket, pai, deferrable):
    pai.account.faults.add(match=f"oss HEAD /{bucket.bucket_name}", status=403, code="AccessDenied")
    with pytest.raises(PaiPermissionError):
        key_sensor(uri=f"oss://{bucket.bucket_name}/x", deferrable=deferrable).run()


@both
def test_a_key_needs_an_address(bucket, deferrable):
    for uri in ("s3://b/k", f"oss://{bucket.bucket_name}/", []):
        with pytest.raises(PaiConfigError, match="uri"):
            key_sensor(uri=uri, deferrable=deferrable).run()


@both
def test_waits_for_a_complete_artifact(bucket, deferrable):
    uri = f"oss://{bucket.bucket_name}/models/late/"
    OssHook().put(uri + "model.bin", b"weights")
    later(0.3, lambda: make_artifact(bucket, "late"))
    found = artifact_sensor(uri, deferrable=deferrable).run()
    assert found["metrics"] == {"accuracy": 0.5}
    assert [row.kind for row in Ledger.open().rows()] == ["artifact_verified"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda uri: OssHook().delete(uri + "model.bin"), "in the manifest but not there"),
        (lambda uri: OssHook().put(uri + "model.bin", b"WEIGHTS"), "CRC64"),
        (lambda uri: OssHook().put(uri + "model.bin", b"longer weights"), "bytes"),
        (lambda uri: OssHook().put(uri + MANIFEST_NAME, b'{"files": ['), "torn"),
        (lambda uri: OssHook().delete(uri + MANIFEST_NAME), "no _manifest.json"),
    ],
)
@both
def test_a_torn_artifact_is_none(bucket, damage, message, deferrable):
    artifact = make_artifact(bucket)
    damage(artifact.uri)
    with pytest.raises(PaiArtifactError, match=message):
        read_artifact(OssHook(), artifact.uri)
    with pytest.raises(AirflowSensorTimeout):
        artifact_sensor(artifact.to_dict(), deferrable=deferrable, timeout=0.1).run()


def test_a_finish_that_is_repeated_changes_nothing(bucket):
    first = make_artifact(bucket)
    time.sleep(0.01)
    assert make_artifact(bucket) == first


@both
def test_wildcards_sizes_and_checks(bucket, deferrable):
    at = f"oss://{bucket.bucket_name}/in/"
    seen = []

    def enough(found):
        seen.append(found)
        return len(found) == 3

    OssHook().put(at + "1.csv", "1234")
    OssHook().put(at + "small.csv", "1")
    OssHook().put(at + "done", "")
    later(0.15, lambda: OssHook().put(at + "2.csv", "1234"))
    later(0.3, lambda: OssHook().put(at + "3.csv", "1234"))
    found = key_sensor(uri=[at + "*.csv"], min_size=2, check_fn=enough, deferrable=deferrable).run()
    assert found == [at + f"{number}.csv" for number in (1, 2, 3)]
    assert set(seen[-1][0]) == {"uri", "size", "etag", "last_modified"}
    assert key_sensor(uri=[at + "done", at + "*.csv"], deferrable=deferrable).run()[0] == at + "done"
    with pytest.raises(AirflowSensorTimeout):
        key_sensor(uri=at + "small.*", min_size=2, deferrable=deferrable, timeout=0.1).run()


def unchanged_sensor(**changes):
    given = {"task_id": "task", "poke_interval": 0.05, "timeout": 20, "quiet_seconds": 1.5}
    return Task(lambda: OssPrefixUnchangedSensor(**{**given, **changes}))


@both
def test_waits_for_a_prefix_to_come_to_rest(bucket, deferrable):
    at = f"oss://{bucket.bucket_name}/in/"
    for number in range(4):
        later(0.1 * number, lambda number=number: OssHook().put(at + str(number), "x"))
    assert unchanged_sensor(uri=at, deferrable=deferrable).run() == [at + str(number) for number in range(4)]
    with pytest.raises(AirflowSensorTimeout):
        unchanged_sensor(uri=at, min_objects=5, deferrable=deferrable, timeout=0.2).run()
    with pytest.raises(PaiConfigError, match="uri"):
        unchanged_sensor(uri="in/", deferrable=deferrable).run()


def test_what_is_deleted_is_a_change_too(bucket):
    at = f"oss://{bucket.bucket_name}/in/"
    for key in "ab":
        OssHook().put(at + key, "x")
    quiet = Quiet(0.2, 1)
    look = lambda: quiet.restless(list(OssHook().list_objects(at)))  # noqa: E731
    while look():
        time.sleep(0.05)
    OssHook().delete(at + "b")
    assert "last change" in look()
    time.sleep(0.25)
    assert not look()


@both
def test_an_older_artifact_keeps_waiting(bucket, deferrable):
    old = make_artifact(bucket)
    with pytest.raises(AirflowSensorTimeout):
        artifact_sensor({**old.to_dict(), "digest": "sha256:new"}, deferrable=deferrable, timeout=0.1).run()
    with pytest.raises(AirflowSensorTimeout):
        artifact_sensor(old.uri, newer_than="2026-01-01T00:00:00+00:00", deferrable=deferrable, timeout=0.1).run()
    assert artifact_sensor(old.uri, newer_than="2025-12-31", deferrable=deferrable).run()["digest"] == old.digest
    with pytest.raises(PaiConfigError, match="newer_than"):
        artifact_sensor(old.uri, newer_than="yesterday", deferrable=deferrable).run()
