"""Commits are looked up in real repositories, through git itself."""

from __future__ import annotations

import subprocess
import tarfile

import pytest

from airflow_provider_pai.hooks.aiworkspace import GitLogin
from airflow_provider_pai.operators.workload import git
from airflow_provider_pai.operators.workload.git import (
    GitError,
    NoPushError,
    Push,
    Tracked,
    archive,
    full_commit,
    need_push,
)
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


@pytest.fixture
def to_push_to(repository, tmp_path):
    with private_git(repository[0], tmp_path, takes_pushes=True) as (url, server):
        server.let_in(LOGIN.user, LOGIN.token)
        git_in(tmp_path / "train.git", "config", "uploadpack.allowFilter", "true")
        yield url, tmp_path / "train.git"


@pytest.fixture
def results(tmp_path):
    (tmp_path / "executed.ipynb").write_text("{}")
    return {"nights/数字 1/executed.ipynb": tmp_path / "executed.ipynb"}


def test_results_are_one_commit_on_a_branch_beside_what_is_there(to_push_to, results):
    url, bare = to_push_to
    assert need_push(url, "main", LOGIN)
    commit = Push(url, "main", "20261128-1", "digits.train, 数字.ipynb", LOGIN).once(results)
    assert git_in(bare, "rev-parse", "main") == commit
    assert git_in(bare, "-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", "main").split("\n") == [
        "nights/数字 1/executed.ipynb",
        "sub/n.txt",
    ]
    assert git_in(bare, "log", "-1", "--format=%an: %B", "main") == (
        "Apache Airflow: digits.train, 数字.ipynb\n\nPAI-Run: 20261128-1"
    )


def test_a_run_is_committed_once_and_another_run_beside_it(to_push_to, results):
    url, bare = to_push_to
    first = Push(url, "main", "night-1", "first", LOGIN)
    commit = first.once(results)
    other = first._replace(run="night-2").once(results)
    assert first.once(results) == commit
    assert git_in(bare, "log", "-2", "--format=%H", "main").split() == [other, commit]


def test_a_branch_that_moves_meanwhile_is_followed_and_a_lost_answer_makes_no_second_commit(
    to_push_to, results, tmp_path, monkeypatch
):
    url, bare = to_push_to
    pushed, real = [], git._git

    def meeting_others(access, *arguments, **options):
        if "push" not in arguments:
            return real(access, *arguments, **options)
        pushed.append(arguments)
        if len(pushed) == 1:
            Push(f"file://{bare}", "main", "another run", "in between").once(results)
        said = real(access, *arguments, **options)
        if len(pushed) == 3:
            raise GitError("the remote end hung up")
        return said

    monkeypatch.setattr(git, "_git", meeting_others)
    commit = Push(url, "main", "mine", "mine", LOGIN).once(results)
    assert git_in(bare, "log", "--format=%s", "main").split("\n") == ["mine", "in between", "two", "one"]
    assert git_in(bare, "rev-parse", "main") == commit
    assert len(pushed) == 3


def test_who_may_not_push_hears_it_before_and_a_branch_that_is_not_there_is_told(to_push_to):
    url, bare = to_push_to
    assert not need_push(url, "nights", LOGIN)
    git_in(bare, "config", "http.receivepack", "false")
    with pytest.raises(NoPushError, match="403"):
        need_push(url, "main", LOGIN)
    with pytest.raises(GitError):
        need_push(url, "main", GitLogin("me", "another"))


def test_a_file_is_compared_with_the_commit_around_it(repository, tmp_path):
    url, (_, commit) = repository
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", url, str(clone)], check=True)
    assert Tracked.of(clone / "sub" / "n.txt") == (commit, "")
    for name in (".gitignore", "sub/*.txt"):
        (clone / name).write_text("*.txt")
    assert Tracked.of(clone / "sub" / "*.txt") == (commit, "is in no commit")
    (clone / "sub" / "n.txt").write_text("three")
    assert Tracked.of(clone / "sub" / "n.txt") == (commit, f"differs from commit {commit}")
    with pytest.raises(GitError, match="not a git repository"):
        Tracked.of(tmp_path / "results.ipynb")
