"""Commits are looked up in real repositories, through git itself."""

from __future__ import annotations

import pytest

from airflow_provider_pai.operators.workload.git import GitError, full_commit


@pytest.mark.parametrize(("name", "index"), [("main", 1), ("HEAD", 1), ("refs/heads/main", 1), ("v1", 0)])
def test_branches_and_tags_become_the_commit_they_stand_for(repository, name, index):
    repo, commits = repository
    assert full_commit(repo, name) == commits[index]


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
