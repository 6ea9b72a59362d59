"""A refusal that has the connection read anew, and what is done with what it says then."""

from __future__ import annotations

import threading

import pytest
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_pai.exceptions import PaiPermissionError
from airflow_provider_pai.hooks import rotation
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from tests.rotation import Keys

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def keys(pai, monkeypatch):
    return Keys(pai, monkeypatch, temporary=True)


@pytest.fixture
def reads(monkeypatch):
    """How often the connection is read."""
    read, count = BaseHook.get_connection, []
    monkeypatch.setattr(BaseHook, "get_connection", lambda conn_id: count.append(conn_id) or read(conn_id))
    return count


def test_even_a_submit_is_made_again_with_the_new_key_and_makes_one_job(keys, pai, bucket):
    hook = DlcHook()
    hook.ping()
    keys.rotate()
    spec = {"Type": "Worker", "PodCount": 1, "Image": "i", "EcsSpec": "ecs.g6.large"}
    tag = {"Tags": {"rotated": bucket.bucket_name}}
    body = {"DisplayName": "x", "JobType": "PyTorchJob", "UserCommand": "true", "JobSpecs": [spec], "Settings": tag}
    job_id = hook.submit(body)
    assert [job.job_id for job in hook.tagged(tag["Tags"])] == [job_id]


def test_siblings_share_what_one_of_them_has_read(keys, reads):
    hook = DlcHook()
    oss = hook.sibling(OssHook)
    keys.rotate()
    hook.ping()
    oss.ping()
    hook.sibling(OssHook).ping()
    assert len(reads) == 2


def test_threads_that_are_refused_together_read_the_connection_once(keys, reads):
    hook = OssHook()
    hook.ping()
    keys.rotate()
    threads = [threading.Thread(target=hook.ping) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 2


def test_the_same_credentials_are_refused_once_and_for_all(keys, reads):
    """A user who lacks a right waits for nothing."""
    hook = DlcHook()
    keys.end(all_of_them=True)
    with pytest.raises(PaiPermissionError, match=r"InvalidSecurityToken\.Expired"):
        hook.ping()
    assert len(reads) == 2


def test_a_connection_that_can_not_be_read_leaves_the_refusal(keys, monkeypatch, caplog):
    hook = DlcHook()
    hook.ping()
    hook.retry_seconds = 0
    keys.end(all_of_them=True)
    monkeypatch.delenv("AIRFLOW_CONN_PAI_DEFAULT")
    with pytest.raises(PaiPermissionError, match=r"InvalidSecurityToken\.Expired"):
        hook.ping()
    assert "pai_default could not be read anew" in caplog.text
    keys.renew()
    hook.ping()


def test_a_call_waits_for_the_next_key_where_one_was_good_before(keys):
    hook = OssHook()
    hook.ping()
    keys.end(all_of_them=True)
    timer = threading.Timer(0.5, keys.renew)
    timer.start()
    hook.ping()
    timer.join()


def test_a_key_that_is_replaced_twice_is_read_twice(keys):
    hook = DlcHook()
    hook.ping()
    for _ in range(2):
        keys.rotate()
        hook.ping()


def test_a_connection_that_was_just_read_is_gone_on_with(keys, reads):
    hook = DlcHook()
    hook.ping()
    keys.renew()
    hook.credentials.adopt(DlcHook().connection)
    keys.end()
    hook.ping()
    assert len(reads) == 2
    assert isinstance(hook.credentials, rotation.Credentials)
