"""A run's results go to a branch as one commit; whether they can is known before anything is made."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from airflow_provider_pai.exceptions import PaiConfigError, PaiTransientError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.operators.notebooks.results import check_results, commit_results, need_results
from airflow_provider_pai.uri import OssUri
from tests.conftest import git
from tests.private_git import private_git

NIGHT = datetime(2026, 11, 28, 18, tzinfo=UTC)
IDENTITY = TaskIdentity("https://air", "digits", "night 数", "explore", -1, 0, 1, NIGHT, NIGHT)
TOKEN = "hunter2-hunter2"


@pytest.fixture
def target(repository, tmp_path, monkeypatch):
    login = {"conn_type": "git", "login": "me", "password": TOKEN}
    monkeypatch.setenv("AIRFLOW_CONN_RESULTS", json.dumps(login))
    with private_git(repository[0], tmp_path, takes_pushes=True) as (url, server):
        server.let_in("me", TOKEN)
        yield {"repo": url, "branch": "main", "path": "nights/2026", "git_conn_id": "results"}


def test_what_a_run_has_left_becomes_one_commit(target, bucket, connection, tmp_path):
    run = OssUri(bucket.bucket_name, "digits/_runs/v1/")
    oss = OssHook()
    oss.put(run.join("executed.ipynb"), b"{}")
    files = {name: run.join(name) for name in ("executed.ipynb", "executed.html")}
    assert check_results(json.dumps(target)) == target
    need_results(target)
    commits = {commit_results(target, IDENTITY, "v1", oss, files) for _ in range(2)}
    bare = tmp_path / "train.git"
    assert commits == {git(bare, "rev-parse", "main")}
    assert git(bare, "log", "-1", "--format=%B", "main") == "digits.explore v1\n\nnight 数\n\nPAI-Run: v1"
    shown = git(bare, "show", "--name-only", "--format=", "main")
    assert shown == "nights/2026/executed.ipynb"
    git(bare, "config", "http.receivepack", "false")
    with pytest.raises(PaiTransientError, match="another try of the task pushes it") as error:
        commit_results(target, IDENTITY, "v2", oss, files)
    assert TOKEN not in str(error.value)


def test_what_cannot_be_pushed_is_refused_before_anything_is_made(target, tmp_path):
    with pytest.raises(PaiConfigError, match=r"nights.*a branch of http"):
        need_results({**target, "branch": "nights"})
    git(tmp_path / "train.git", "config", "http.receivepack", "false")
    with pytest.raises(PaiConfigError, match=r"with the login of results: .*403"):
        need_results(target)
    with pytest.raises(PaiConfigError, match=r"no login \(commit_results\['git_conn_id'\]\)"):
        need_results({name: value for name, value in target.items() if name != "git_conn_id"})
    with pytest.raises(PaiTransientError, match="nowhere"):
        need_results({**target, "repo": f"file://{tmp_path}/nowhere", "git_conn_id": ""})


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"path": "/nights"}, "path"),
        ({"path": "a/../.."}, "path"),
        ({"path": ".git/hooks"}, "path"),
        ({"path": None}, "path"),
        ({"branch": " "}, "branch"),
        ({"repo": "https://me:hunter2-hunter2@git.example.com/a.git"}, "repo"),
        ({"repo": "git@git.example.com:a.git", "git_conn_id": "results"}, "git_conn_id"),
        ({"folder": "nights"}, "commit_results"),
    ],
)
def test_bad_input_is_named(changed, field):
    with pytest.raises(PaiConfigError, match=field) as error:
        check_results({"repo": "https://git.example.com/a.git", "branch": "main", "path": "nights", **changed})
    assert TOKEN not in str(error.value)


def test_none_is_nowhere():
    assert check_results(None) == {}
