"""The emulated account: what was made and by whom, and what lies on OSS."""

from __future__ import annotations

import pytest

from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.testing.chaos.account import EmulatedAccount

BODY = {
    "DisplayName": "mine",
    "JobType": "PyTorchJob",
    "JobSpecs": [{"Type": "Worker", "Image": "train:1", "PodCount": 1, "EcsSpec": "ecs.g6.large"}],
    "UserCommand": "true",
}
LABELS = {"airflow_task_id": "train", "airflow_map_index": "3"}


@pytest.mark.usefixtures("connection")
def test_a_job_with_its_maker_and_its_request(pai):
    hook = DlcHook()
    labelled, bare = (hook.submit({**BODY, "Settings": {"Tags": tags}}) for tags in (LABELS, {}))
    made = {each.id: each for each in EmulatedAccount(pai.data).made()}
    assert (made[labelled].task, made[labelled].place) == ("train", "train[3]")
    assert (made[bare].task, made[bare].place) == ("", "")
    assert made[bare].asked["UserCommand"] == "true"
    hook.wait(labelled, poll_interval=0.02)
    assert not next(each for each in EmulatedAccount(pai.data).made() if each.id == labelled).active


@pytest.mark.usefixtures("connection")
def test_an_object_that_is_written_anew(pai, bucket):
    uri = f"oss://{bucket.bucket_name}/models/model.bin"
    account, oss = EmulatedAccount(pai.data), OssHook()
    oss.put(uri, "one")
    before = account.objects()[uri]
    oss.put(uri, "one")
    after = account.objects()[uri]
    assert (account.read(uri), after.size, after.digest) == (b"one", 3, before.digest)
    assert after != before


def test_a_service_that_gets_traffic(pai, group):
    account = EmulatedAccount(pai.data)
    config = {
        **{"name": f"{group.name}_1", "metadata": {"instance": 1, "cpu": 1, "group": group.name}},
        "containers": [{"image": "i", "script": "sleep 60", "port": 8000}],
    }
    group.eas.create(config)
    assert [each.share for each in account.members() if each.group == group.name] == [False]
    assert group.name not in account.group_tokens()
    group.eas.release(f"{group.name}_1", weight=100, grouping=True)
    assert [each.name for each in account.serving() if each.group == group.name] == [f"{group.name}_1"]
    assert account.group_tokens()[group.name] in account.tokens()
