"""Secrets that a DAG's author or a connection has reach what they are for, and no place beside it."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from airflow_provider_pai.artifact import ModelArtifact
from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.manifests import write_artifact
from tests.group import SERVER
from tests.private_git import private_git

pytestmark = pytest.mark.timeout(300)

VARIABLES = ("env", "token", "auth", "pair", "image", "instance", "url", "torn")
# What each task must come to.
ENDS = {
    "train": "success",
    "fails": "failed",
    "notebook": "success",
    "deploy": "success",
    "plan": "skipped",
    "login_in_url": "failed",
    "torn": "failed",
    "login_in_endpoint": "failed",
}
DONE = ("success", "failed", "skipped", "upstream_failed")


@pytest.fixture
def planted(api):
    """Secrets by where they stand, each in an Airflow Variable or connection."""
    values = {name: f"planted-{name}-{secrets.token_hex(8)}" for name in (*VARIABLES, "git", "endpoint")}
    for name in VARIABLES:
        api.request("POST", "/variables", json={"key": f"planted_{name}", "value": values[name]})
    git = {"connection_id": "git_mine", "conn_type": "generic", "login": "me", "password": values["git"]}
    # A part of a secret is one, too: this one's blank parts it from the address.
    extra = {"region": "cn-hangzhou", "endpoints": f"dlc=http://me:{values['endpoint']} 1@127.0.0.1"}
    elsewhere = {"connection_id": "pai_elsewhere", "conn_type": "pai", "extra": json.dumps(extra)}
    for connection in (git, elsewhere):
        api.request("POST", "/connections", json=connection)
    return values


@pytest.fixture
def params(dlc, planted, repository, tmp_path):
    """A private repository, and a model that brings its server."""
    oss, uri = OssHook(), "oss://planted/models/20261121T1800Z-00000001/"
    oss.create_bucket("planted")
    oss.put(f"{uri}server.py", SERVER)
    oss.put(f"{uri}model.json", '{"version": "1"}')
    write_artifact(oss, ModelArtifact(name="digits", version="20261121T1800Z-00000001", uri=uri))
    with private_git(repository[0], tmp_path) as (repo, server):
        server.let_in("me", planted["git"])
        command = "python {model}/server.py {model} 8000"
        yield {"repo": repo, "artifact": uri, "command": command, "output": "oss://planted/out"}


def found_in(values: dict[str, str], *folders: Path) -> list[str]:
    """Return which secrets stand in which files, as they are or as a part of a database's page."""
    files = [path for folder in folders for path in (folder.rglob("*") if folder.is_dir() else [folder])]
    contents = {path: path.read_bytes() for path in files if path.is_file() and not path.is_symlink()}
    return [f"{name} in {path}" for path, told in contents.items() for name in values if values[name].encode() in told]


def test_secrets_reach_no_place_that_they_are_not_for(run, stack, planted, params):
    one = run("planted", **params)
    for task_id, end in ENDS.items():
        one.until(f"{task_id} ends", lambda task_id=task_id: one.task(task_id)["state"] in DONE, timeout=150)
        assert one.task(task_id)["state"] == end, task_id
    for task_id, told in (("login_in_url", "git_conn_id"), ("login_in_endpoint", "no login in an address")):
        assert told in "".join(one.api.log(one.dag_id, one.run_id, task_id, 1))

    gateway = EasHook().endpoint("planted").token
    everything = {**planted, "secret": stack.pai["access_key_secret"], "gateway": gateway}
    logs = [path for path in stack.logs.iterdir() if path.name != "emulator.log"]
    assert not found_in(everything, stack.home, stack.folder / "pai" / "oss", *logs)
    # What a job is given is for the job; the keys that other things are opened with are not.
    (instance,) = [each for each in DswHook().list_instances() if each["InstanceName"].startswith("airflow_")]
    jobs = [one.dlc.describe(job["JobId"]) for job in one.jobs("train")]
    given = str([*jobs, DswHook().describe(instance["InstanceId"])])
    assert planted["env"] in given
    assert not [name for name in ("git", "secret", "url") if everything[name] in given]
