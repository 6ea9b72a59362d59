"""Commits are looked up in real repositories, through git itself."""

from __future__ import annotations

import subprocess
import tarfile

import pytest

from airflow_provider_pai.hooks.aiworkspace import GitLogin
from airflow_provider_pai.operators.workload import git
from airflow_provider_pai.operators.workload.git import GitError, archive, full_commit
from tests.conftest import commit_file
from tests.conftest import git as git_in
from tests.private_git import private_git


@pytest.mark.parametrize(("name", "index"), [("main", 1), ("HEAD", 1), ("refs/heads/main", 1), ("v1", 0)])
def test_branches_and_tags_become_the_commit_they_stand_for(repository, name, index):
    repo, commits = repository
    assert full_commit(repo, name) == commits[index]


def test_a_branch_whose_name_is_no_utf8_hides_no_other(repository, tmp_path):
    repo, commits = repository
    own = str(tmp_path / "own.git")
    subprocess.run(["git", "clone", "--quiet", "--bare", repo, own], check=True)
    subprocess.run(["git", "-C", own, "update-ref", b"refs/heads/\xff", commits[0]], check=True)
    assert full_commit(own, "main") == commits[1]


def test_a_hash_of_the_history_is_found_whole_and_shortened(repository):
    repo, (first, _) = repository
    assert full_commit(repo, first) == first
    assert full_commit(repo, first[:8]) == first


@pytest.mark.parametrize("name", ["f" * 40, "abcd1234", "no-such-branch", "--upload-pack=touch"])
def test_what_is_not_there_is_none(repository, name):
    assert full_commit(repository[0], name) is None


def test_a_repository_out_of_reach_is_an_error(tmp_path):
    with pytest.raises(GitError, match="nowhere"):
        full_commit(str(tmp_path / "nowhere"), "main")


def test_a_worker_without_git_is_an_error(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="git"):
        full_commit(repository[0], "main")


LOGIN = GitLogin("me", "hunter2-hunter2")


@pytest.fixture
def private(repository, tmp_path):
    with private_git(repository[0], tmp_path) as (url, server):
        server.let_in(LOGIN.user, LOGIN.token)
        yield url, server


def test_a_private_repository_is_read_with_its_login_alone(private, repository, tmp_path):
    url, (first, second) = private[0], repository[1]
    assert full_commit(url, "main", LOGIN) == second
    assert full_commit(url, first[:8], LOGIN) == first
    archive(url, first, LOGIN, tmp_path / "code.tar.gz")
    with tarfile.open(tmp_path / "code.tar.gz") as packed:
        assert packed.extractfile("sub/n.txt").read() == b"one"
    for login in (None, GitLogin("me", "another")):
        with pytest.raises(GitError) as error:
            full_commit(url, "main", login)
        assert "another" not in str(error.value)


def test_no_process_shows_the_token(private, monkeypatch):
    seen = []
    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, **given: seen.append(command) or real(command, **given))
    full_commit(private[0], "main", LOGIN)
    assert seen
    assert LOGIN.token not in str(seen) + repr(LOGIN)


def test_another_host_gets_no_token(private):
    url, server = private
    elsewhere = url.replace("127.0.0.1", "localhost")
    with pytest.raises(GitError):
        git._git(git._access(url, LOGIN), "ls-remote", "--", elsewhere)
    assert server.asked
    assert not any(server.asked)


def test_a_commit_that_no_branch_leads_to_any_more_is_packed_as_long_as_it_is_there(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    git_in(folder, "init", "--quiet", "--initial-branch", "main")
    commit_file(folder / "n.txt", "one")
    git_in(folder, "checkout", "--quiet", "-b", "gone")
    commit = commit_file(folder / "n.txt", "two")
    git_in(folder, "checkout", "--quiet", "main")
    git_in(folder, "branch", "-D", "gone")
    assert full_commit(f"file://{folder}", commit) is None
    archive(f"file://{folder}", commit, None, tmp_path / "code.tar.gz")
    with tarfile.open(tmp_path / "code.tar.gz") as packed:
        assert packed.extractfile("n.txt").read() == b"two"
