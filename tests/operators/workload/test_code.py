import json
import logging
from types import SimpleNamespace

import pytest

from airflow_provider_pai.exceptions import PaiConfigError, PaiError, PaiNotFoundError
from airflow_provider_pai.operators.workload.code import check_code, find_code
from airflow_provider_pai.uri import OssUri
from tests.private_git import private_git


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ({}, "exactly one of repo .* and uri"),
        ({"repo": "r", "uri": "oss://bucket/a"}, "exactly one of repo .* and uri"),
        ({"repo": "r"}, r"code\['commit'\]: None "),
        ({"repo": "r", "commit": "  "}, r"code\['commit'\]: '  ' "),
        ({"repo": "r", "commit": "main", "digest": "d"}, "code: 'digest' .* repo, commit, branch, path, git_conn_id"),
        ({"uri": "oss://bucket/a", "commit": "main"}, "code: 'commit' .* uri, digest, path"),
        ({"uri": "s3://bucket/a"}, r"code\['uri'\]: 's3://bucket/a' "),
        (
            {"repo": "https://me:hunter2@h/r", "commit": "main"},
            r"repo'\]: 'https://me:\*\*\*@h/r' .*git_conn_id",
        ),
        ({"repo": "https://hunter2@h/r", "commit": "main"}, r"repo'\]: 'https://\*\*\*@h/r' .*git_conn_id"),
        ({"repo": "ssh://git@h/r", "commit": "m", "git_conn_id": "g"}, "git_conn_id'.*: 'g' .* https://"),
    ],
)
def test_what_names_no_code_is_refused(code, message):
    with pytest.raises(PaiConfigError, match=message):
        check_code(code)


@pytest.mark.parametrize("code", [{"repo": "r", "commit": "main", "path": "src"}, {"uri": "oss://bucket/a/"}])
def test_what_names_some_is_not(code):
    check_code(code)


class Oss:
    """A bucket with one object, `code/train.py`."""

    def head(self, uri):
        return SimpleNamespace(crc64="42") if uri.key == "code/train.py" else None

    def digest(self, folder):
        return ("sha256:d", 10, 1) if folder.key == "code/" else ("sha256:none", 0, 0)


@pytest.mark.parametrize(
    ("uri", "commit"),
    [
        ("oss://bucket/code/train.py", "crc64:42"),
        ("oss://bucket/code/", "sha256:d"),
        ("oss://bucket/code", "sha256:d"),
    ],
)
def test_code_on_oss_is_known_by_its_digest_and_mounted_as_a_folder(uri, commit):
    found = find_code({"uri": uri, "path": "src", "digest": commit}, Oss())
    assert (found.repo, found.commit, found.path, found.mount) == (uri, commit, "src", OssUri("bucket", "code/"))


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ({"uri": "oss://bucket/gone"}, PaiNotFoundError, r"code\['uri'\]: .* at least one"),
        ({"uri": "oss://bucket/code/", "digest": "sha256:old"}, PaiConfigError, r"code\['digest'\]: .* has sha256:d"),
    ],
)
def test_code_that_is_not_there_or_is_another_is_refused(code, kind, message):
    with pytest.raises(kind, match=message):
        find_code(code, Oss())


def test_a_branch_becomes_its_commit(repository):
    repo, commits = repository
    found = find_code({"repo": repo, "commit": "main", "branch": "main"}, Oss())
    assert (found.commit, found.branch, found.mount) == (commits[1], "main", None)


def test_a_commit_that_is_not_there_is_refused(repository):
    with pytest.raises(PaiNotFoundError, match=r"code\['commit'\]: 'v9' .* of file://"):
        find_code({"repo": repository[0], "commit": "v9"}, Oss())


def test_a_repository_that_its_server_does_not_have_or_show_is_refused_before_there_is_a_job(
    repository, tmp_path, monkeypatch
):
    """A job would clone it with the same login, or with none."""
    monkeypatch.setenv("AIRFLOW_CONN_GIT", json.dumps({"conn_type": "git", "login": "me", "password": "token"}))
    with private_git(repository[0], tmp_path) as (url, server):
        server.let_in("me", "token")
        for code, says in (
            ({"repo": url}, r"read with no login \(for a private one: code\['git_conn_id'\]\): fatal: could not read"),
            (
                {"repo": f"{url}.none", "git_conn_id": "git"},
                "read with the login of git: fatal: repository .* not found",
            ),
            ({"repo": url, "git_conn_id": "gone"}, "'gone' is not there; an Airflow connection that exists"),
        ):
            with pytest.raises(PaiError, match=says):
                find_code({**code, "commit": "main"}, Oss())
        server.let_in("me", "another")
        with pytest.raises(PaiConfigError, match="read with the login of git: fatal: Authentication failed"):
            find_code({"repo": url, "git_conn_id": "git", "commit": "main"}, Oss())


def test_a_repository_that_the_worker_cannot_read_is_left_to_the_job(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    assert find_code({"repo": f"file://{tmp_path}/none", "commit": "main"}, Oss()).commit == "main"
    assert "could not be looked up" in caplog.text
