"""The code of jobs, checked out by git."""

from __future__ import annotations

import socket
import subprocess

import pytest
from alibabacloud_aiworkspace20210204 import models as aiworkspace

from tests.emulator.pai_sdk import client, job_request, pod_logs, run_job, wait_job


@pytest.fixture(scope="module")
def jobs(pai):
    return client(pai, "dlc")


@pytest.fixture
def repository(tmp_path):
    """A repository with two commits; returns its path and the first commit."""
    folder = tmp_path / "team" / "training.git"
    folder.mkdir(parents=True)

    def git(*arguments):
        name = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        return subprocess.run(
            ["git", "-C", str(folder), *name, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q", "-b", "main")
    commits = []
    for text in ("first", "second"):
        (folder / "train.py").write_text(f"print('{text}')")
        git("add", ".")
        git("commit", "-qm", text)
        commits.append(git("rev-parse", "HEAD"))
    return folder, commits[0]


def code_source(pai, repo, **fields):
    request = aiworkspace.CreateCodeSourceRequest(
        display_name="code",
        mount_path="/root/code",
        workspace_id=pai.endpoints.workspace_id,
        code_repo=str(repo),
        **fields,
    )
    return client(pai, "aiworkspace").create_code_source(request).body.code_source_id


def test_code_is_checked_out_at_a_commit(pai, jobs, repository):
    folder, first = repository
    source = code_source(pai, folder, code_branch="main")
    code = {"CodeSourceId": source, "Commit": first}
    job = run_job(jobs, job_request("python /root/code/training/train.py", pods=2, CodeSource=code))
    assert (job.status, job.code_source.commit) == ("Succeeded", first), job.reason_message
    assert [pod_logs(jobs, pod.pod_id) for pod in job.pods] == [["first"], ["first"]]


def test_code_may_lie_in_the_mount_path_itself(pai, jobs, repository):
    source = code_source(pai, repository[0], clone_type=1)
    code = {"CodeSourceId": source, "MountPath": "/workspace/src/"}
    job = run_job(jobs, job_request("cd /workspace/src && python train.py", CodeSource=code))
    assert pod_logs(jobs, job.pods[0].pod_id) == ["second"], job.reason_message


def test_a_failed_clone_fails_the_job_with_gits_words(pai, jobs, repository):
    source = code_source(pai, repository[0])
    job = run_job(jobs, job_request("true", CodeSource={"CodeSourceId": source, "Branch": "nowhere"}))
    assert (job.status, job.reason_code) == ("Failed", "CodeSourceCloneFailed")
    assert "nowhere not found" in job.reason_message


def test_a_stop_ends_a_clone_that_hangs(pai, jobs):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = code_source(pai, f"http://127.0.0.1:{silent.getsockname()[1]}/training.git")
        job_id = jobs.create_job(job_request("true", CodeSource={"CodeSourceId": source})).body.job_id
        connection, _ = silent.accept()
        jobs.stop_job(job_id)
        job = wait_job(jobs, job_id)
        assert [entry.status for entry in job.status_history][-3:] == ["EnvPreparing", "Stopping", "Stopped"]
        with connection:
            connection.settimeout(30)
            while connection.recv(4096):  # git's request, then its end
                pass
