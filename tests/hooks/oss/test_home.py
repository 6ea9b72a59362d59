"""The home of our state: what is wrong with it is told in words, with what to do."""

from __future__ import annotations

import json
import uuid

import pytest
from oss2.models import BucketVersioningConfig

from airflow_provider_pai.exceptions import PaiConfigError, PaiTransientError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.home import check_home, configured_home, job_folder, rollout_folder
from airflow_provider_pai.uri import OssUri
from tests.conftest import airflow_connection

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def hook_of(pai, monkeypatch):
    def make(state_uri):
        connection = json.dumps(airflow_connection(pai, state_uri=state_uri))
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", connection)
        return OssHook()

    return make


def test_a_place_for_each_kind(hook_of):
    home = configured_home(hook_of("oss://states/airflow").connection)
    assert home == OssUri("states", "airflow/")
    assert str(rollout_folder(home, "digits")) == "oss://states/airflow/rollouts/digits/"
    assert str(job_folder(home, "v1")) == "oss://states/airflow/jobs/v1/"
    assert configured_home(hook_of("oss://states").connection) == OssUri("states", "")
    assert configured_home(hook_of("").connection) is None


@pytest.mark.parametrize("state_uri", ["states", "s3://states/x", "oss://B/x", f"oss://states/{'x' * 116}"])
def test_what_is_no_home_is_no_connection(hook_of, state_uri):
    with pytest.raises(PaiConfigError, match="connection pai_default, state_uri: "):
        _ = hook_of(state_uri).connection


def test_a_bucket_that_is_as_it_should_be(hook_of, bucket):
    hook = hook_of(f"oss://{bucket.bucket_name}/state")
    assert check_home(hook) == check_home(hook, write=True) == []
    assert list(hook.list_objects(f"oss://{bucket.bucket_name}/")) == []
    assert check_home(hook_of(None), write=True) == []


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_a_bucket_that_keeps_versions(hook_of, bucket, status):
    bucket.put_bucket_versioning(BucketVersioningConfig("Enabled"))
    bucket.put_bucket_versioning(BucketVersioningConfig(status))
    (fault,) = check_home(hook_of(f"oss://{bucket.bucket_name}/state"), write=True)
    assert fault.startswith(f"versioning of bucket {bucket.bucket_name} is {status}: ")
    assert fault.endswith("name a bucket that never had versioning")


def test_a_bucket_that_is_not_there(hook_of):
    (fault,) = check_home(hook_of(f"oss://none-{uuid.uuid4().hex}"))
    assert fault.startswith("name a bucket that exists in region cn-")


def test_a_bucket_of_another_region(pai, hook_of):
    name = f"far-{uuid.uuid4().hex[:8]}"
    pai.services.oss.create_bucket(name, region="cn-beijing")
    (fault,) = check_home(hook_of(f"oss://{name}/state"))
    assert "in region cn-" in fault
    assert "oss-cn-beijing.aliyuncs.com" in fault


@pytest.mark.parametrize("call", ["oss GET", "oss POST", "oss DELETE"])
def test_a_permission_that_is_missing(pai, hook_of, bucket, call):
    hook = hook_of(f"oss://{bucket.bucket_name}/state")
    pai.account.faults.add(match=f"^{call}", status=403, code="AccessDenied")
    (fault,) = check_home(hook, write=True)
    assert fault.startswith("grant oss:ListObjects, ")
    assert bucket.bucket_name in fault


def test_whoever_may_not_ask_for_versioning_is_told_of_nothing(pai, hook_of, bucket):
    pai.account.faults.add(match=r"^oss GET /[^/]+/$", status=403, code="AccessDenied", times=1)
    assert check_home(hook_of(f"oss://{bucket.bucket_name}/state")) == []


def test_no_answer_is_no_fault_of_the_home(pai, hook_of, bucket):
    hook = hook_of(f"oss://{bucket.bucket_name}/state")
    hook.retry_seconds = 0
    pai.account.faults.add(match="^oss GET", status=503, code="ServiceUnavailable")
    with pytest.raises(PaiTransientError):
        check_home(hook)
