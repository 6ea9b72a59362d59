"""Keys that are changed while a task works, waits or transfers: nothing that is paid for is given up."""

from __future__ import annotations

import asyncio
import gc
import io
import threading
import time
from contextlib import contextmanager

import pytest

from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.stream import read_blocks
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.triggers import hub
from airflow_provider_pai.triggers.job import PaiJobTrigger
from airflow_provider_pai.triggers.threads import AT_ONCE
from airflow_provider_pai.uri import OssUri
from tests.rotation import Keys
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

MIB = 1 << 20
TASK = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}


@pytest.fixture(params=[True, False], ids=["expired token", "deleted key"])
def keys(request, pai, monkeypatch):
    return Keys(pai, monkeypatch, temporary=request.param)


@contextmanager
def meanwhile(do, seconds=0.3):
    """Do something after a moment, in a thread."""
    timer = threading.Timer(seconds, do)
    timer.start()
    yield
    timer.join()


def job(command="sleep 60"):
    spec = {"Type": "Worker", "PodCount": 1, "Image": "i", "EcsSpec": "ecs.g6.large"}
    return DlcHook().submit({"DisplayName": "x", "JobType": "PyTorchJob", "UserCommand": command, "JobSpecs": [spec]})


def trigger(job_id, **changes):
    given = {"hook_path": "airflow_provider_pai.hooks.dlc.DlcHook", "hook_arguments": DlcHook().arguments}
    return PaiJobTrigger(**{**given, "job_id": job_id, "poll_interval": 0.02, "task": TASK, **changes})


def task(bucket, command, **changes):
    given = {"framework": "xgboost", "ecs_spec": "ecs.g6.large", "image": "i", "command": command}
    given |= {"task_id": "task", "poll_interval": 0.02, **changes}
    return Task(lambda: DlcSubmitJobOperator(**given), run_id=bucket.bucket_name, max_tries=0)


@pytest.mark.parametrize("deferrable", [False, True])
def test_the_last_try_goes_on_with_the_new_key(keys, bucket, deferrable):
    one = task(bucket, "sleep 0.8", deferrable=deferrable)
    with meanwhile(keys.rotate):
        job_id = one.run()["job_id"]
    assert DlcHook().get(job_id).status == "Succeeded"


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_wait_goes_on_until_somebody_mends_the_connection(keys, bucket, monkeypatch, deferrable):
    """The key ended before the connection held another; the job is paid for, and nobody could stop it."""
    submitted = threading.Event()
    remember = DlcSubmitJobOperator._remember

    def remembered(*args):
        remember(*args)
        submitted.set()

    def end_then_renew():
        submitted.wait(30)
        keys.end(all_of_them=True)
        time.sleep(0.6)
        keys.renew()

    monkeypatch.setattr(DlcSubmitJobOperator, "_remember", remembered)
    with meanwhile(end_then_renew, 0):
        job_id = task(bucket, "sleep 1", deferrable=deferrable).run()["job_id"]
    assert DlcHook().get(job_id).status == "Succeeded"


def test_many_triggers_share_one_hub_whose_threads_do_not_grow_with_the_keys(pai, monkeypatch):
    """Each rotation defers a task anew, whose trigger reads the connection with the new key."""
    keys = Keys(pai, monkeypatch, temporary=True)
    job_ids = [job(f"sleep {1.5 + number / 50}") for number in range(25)]

    def threads():
        return sum(thread.name.startswith("pai-poll") for thread in threading.enumerate())

    async def all_of_them():
        waiting, most = [], 0
        for job_id in job_ids:
            waiting.append(asyncio.create_task(anext(trigger(job_id).run())))
            await asyncio.sleep(0.02)
            await asyncio.to_thread(keys.rotate)
            most = max(most, len(hub._hubs[asyncio.get_running_loop()]))
        events = [event.payload for event in await asyncio.gather(*waiting)]
        busy = threads()
        waiting.clear()
        gc.collect()
        await asyncio.sleep(0.05)  # the loop closes the triggers' generators
        return events, most, busy, len(hub._hubs[asyncio.get_running_loop()])

    gc.collect()
    before = threads()
    events, most, busy, left = asyncio.run(all_of_them())
    assert [event["job"]["status"] for event in events] == ["Succeeded"] * 25
    assert (most, left) == (1, 0)
    assert busy - before <= AT_ONCE
    gc.collect()
    for thread in threading.enumerate():
        if thread.name.startswith("pai-poll"):
            thread.join(1)
    assert threads() <= before


def test_a_transfer_in_parts_goes_on_with_the_new_key(keys, bucket, tmp_path, pai):
    oss, uri = OssHook(), OssUri(bucket.bucket_name, "big")
    data = bytes(range(256)) * (24 * MIB // 256)
    (tmp_path / "big").write_bytes(data)
    sent = OssHook.call_for

    def rotate_then_send(self, action, *args, **kwargs):
        if action in ("UploadPart 2", "CompleteMultipartUpload"):
            keys.rotate()
        return sent(self, action, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OssHook, "call_for", rotate_then_send)
        oss.upload(tmp_path / "big", uri)
    keys.rotate()
    oss.download(uri, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    keys.rotate()
    with oss.writer(uri.parent.join("stream")) as writer:
        for start in range(0, len(data), MIB):
            writer.write(data[start : start + MIB])
            keys.rotate()
    read = io.BytesIO()
    for block in read_blocks(oss, uri.parent.join("stream")):
        keys.rotate()
        read.write(block)
    assert read.getvalue() == data
