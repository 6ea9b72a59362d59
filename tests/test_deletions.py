"""Deletions: nothing goes on the ground of a listing that broke off half way."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

import airflow_provider_pai
from airflow_provider_pai.cli import jobs
from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError
from airflow_provider_pai.fs.oss import OssFileSystem, get_fs
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.eas import calls
from airflow_provider_pai.hooks.oss import OssHook, listings
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.oss import OssDeleteBucketOperator, OssDeleteOperator
from tests.service import config
from tests.task import Task

BY_LISTING = {
    "cli/jobs.py": "orphans: test_an_orphan_is_stopped_only_when_all_are_known",
    "fs/oss.py": "rm",
    "hooks/oss/folder.py": "the three syncs",
    "hooks/oss/listings.py": "delete_folder",
    "hooks/oss/pins.py": "a copy that nobody uses: its users are listed before",
    "operators/dlc/checkpoints.py": "the task's own folder",
    "operators/oss/buckets.py": "force",
    "operators/oss/objects.py": "delete_folder",
    "rollouts/changes.py": "keep_versions: test_a_group_is_known_whole_or_not_at_all",
}
BY_NAME = {
    "cli/datasets.py": "the copy",
    "cli/reproduce.py": "the job",
    "decorators/runner.py": "the file of a failure",
    "hooks/dsw/commands.py": "the task's older commands",
    "hooks/eas/goals.py": "the service",
    "hooks/eas/hook.py": "an instance",
    "hooks/oss/buckets.py": "the bucket",
    "hooks/oss/calls.py": "the object",
    "hooks/oss/checkpoints.py": "the checkpoint",
    "hooks/oss/download.py": "the file of the parts",
    "image_tools/run_notebook.py": "its own copy that is not whole",
    "image_tools/serve_commands.py": "its own copy that is not whole",
    "ledger/outbox.py": "the row that is in the ledger now",
    "operators/dlc/stop.py": "the job",
    "operators/dsw/instances.py": "the instance",
    "operators/dsw/runs.py": "the instance",
    "operators/eas/services.py": "the service",
    "operators/eas/shadow.py": "the shadow",
    "operators/jobs.py": "the task's own jobs",
    "operators/oss/transfers.py": "the target that is torn",
    "rollouts/home.py": "the probe",
    "rollouts/lease.py": "older numbers of the lease",
    "rollouts/shadow_driver.py": "the shadow",
    "rollouts/shadows.py": "the shadow",
    "smoke/dlc.py": "what the round has made",
    "smoke/dsw.py": "what the round has made",
    "smoke/eas.py": "what the round has made",
    "triggers/job.py": "the job",
}
DELETIONS = {
    *("batch_delete_objects", "delete", "delete_bucket", "delete_folder", "delete_many", "delete_object", "discard"),
    *("remove", "request_stop", "rm", "rmdir", "rmtree", "unlink"),
}


def test_each_place_that_deletes_says_by_what():
    top = Path(airflow_provider_pai.__file__).parent
    found = {
        path.relative_to(top).as_posix()
        for path in top.rglob("*.py")
        if not {"emulator", "testing"} & {*path.parts}
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in DELETIONS
    }
    assert found == {*BY_LISTING, *BY_NAME}


def force(at):
    Task(lambda: OssDeleteBucketOperator(task_id="task", bucket=at.split("/")[2], force=True)).run()


# What deletes, what it lists, and how many of the two pages of four objects below a/ and three below b/ it may have
# deleted by then, of those that it has seen.
LISTED = {
    "upload": (lambda at, folder: OssHook().upload_folder(folder, f"{at}a/", delete=True), 0),
    "download": (lambda at, folder: OssHook().download_folder(f"{at}b/", folder, delete=True), 0),
    "copy": (lambda at, folder: OssHook().copy_folder(f"{at}b/", f"{at}a/", delete=True), 0),
    "path": (lambda at, folder: get_fs("pai_default").rm(f"{at.removeprefix('oss://')}a", recursive=True), 0),
    "folder": (lambda at, folder: OssHook().delete_folder(f"{at}a/"), 2),
    "operator": (lambda at, folder: Task(lambda: OssDeleteOperator(task_id="task", uri=f"{at}a/")).run(), 2),
    "bucket": (lambda at, folder: force(at), 2),
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "here").mkdir()
    for name in ("1", "local"):
        (tmp_path / "here" / name).touch()
    return tmp_path / "here"


@pytest.fixture
def at(bucket, connection, monkeypatch):
    for key in ("a/1", "a/2", "a/3", "a/4", "b/1", "b/2", "b/3"):
        bucket.put_object(key, b"")
    monkeypatch.setattr(listings, "PAGE", 2)
    OssFileSystem.clear_instance_cache()
    return f"oss://{bucket.bucket_name}/"


@pytest.mark.parametrize("page", [0, 1])
@pytest.mark.parametrize("deletion", LISTED)
def test_a_page_that_does_not_come_deletes_nothing_that_was_not_seen(pai, at, folder, deletion, page):
    delete, seen = LISTED[deletion]
    before = {info.uri for info in OssHook().list_objects(at)}
    pai.account.faults.add(match=f"oss GET .*{at[6:-1]}/?$", skip=page, status=403, code="AccessDenied")
    if deletion == "bucket":  # what asks whether it is there
        pai.account.faults.rules[0].skip += 1
    with pytest.raises(PaiApiError, match="AccessDenied"):
        delete(at, folder)
    pai.account.faults.clear()
    gone = before - {info.uri for info in OssHook().list_objects(at)}
    assert len(gone) <= (seen if page else 0)
    assert sorted(path.name for path in folder.iterdir()) == ["1", "local"]


def test_a_local_folder_that_breaks_off_deletes_nothing(at, folder, monkeypatch):
    (folder / "sub").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for sync in (
        lambda: OssHook().upload_folder(folder, f"{at}a/", delete=True),
        lambda: OssHook().download_folder(f"{at}b/", folder, delete=True),
    ):
        with pytest.raises(PaiConfigError, match=r"folder: .*sub.*Permission denied"):
            sync()
    assert len(list(OssHook().list_objects(at))) == 7
    assert (folder / "local").exists()


def test_an_orphan_is_stopped_only_when_all_are_known(pai, connection, bucket, monkeypatch):
    given = {"ecs_spec": "ecs.g6.large", "image": "i", "command": "sleep 60", "framework": "python"}
    run = Task(lambda: DlcSubmitJobOperator(task_id="task", **given), run_id=bucket.bucket_name)
    one, hook = run.make(), DlcHook()
    job_id = hook.submit(one.build(run.context(), one.identity(run.context()), 1))
    monkeypatch.setattr(jobs, "task_in_database", lambda maker: None)
    pai.account.faults.add(match="api ListServices", status=403, code="Forbidden")
    try:
        with pytest.raises(PaiApiError, match="ListServices"):
            jobs.orphans(SimpleNamespace(conn_id=connection, since=None, stop=True))
        assert hook.get(job_id).status not in hook.states.stopping | hook.states.stopped
    finally:
        hook.request_stop(job_id)


def test_a_group_is_known_whole_or_not_at_all(pai, group, monkeypatch):
    monkeypatch.setattr(calls, "PAGE_SIZE", 1)
    for name in ("one", "two"):
        wanted = config(group, name)
        group.eas.create({**wanted, "metadata": {**wanted["metadata"], "group": group.name}})
    assert len(group.eas.group(group.name).members) == 2
    pai.account.faults.add(match="api ListServices", skip=1, status=403, code="Forbidden")
    with pytest.raises(PaiApiError, match="ListServices"):
        group.eas.group(group.name)
    pai.account.faults.clear()
