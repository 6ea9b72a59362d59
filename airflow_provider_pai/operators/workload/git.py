"""A look at a Git repository from the worker, before a job is made that would clone it."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile

# What must hold before a repository is spoken to: nobody is there to answer a question.
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes", "GIT_NO_LAZY_FETCH": "1"}
_SECONDS = 60

_HASH = r"(?i)[0-9a-f]{4,40}"


class GitError(Exception):
    """The worker could not look: no git, no way to the repository, or no permission."""


def full_commit(repo: str, name: str) -> str | None:
    """Return the full hash of a commit (its hash may be shortened), branch or tag; None: there is none such.

    :raises GitError: with git's own words.
    """
    lines = _git("ls-remote", "--", repo).splitlines()
    tips = {reference: commit for commit, reference in (line.split("\t") for line in lines)}
    # A tag with a message is an object of its own; its commit is listed behind it.
    for reference in (f"refs/tags/{name}^{{}}", f"refs/tags/{name}", f"refs/heads/{name}", name):
        if reference in tips:
            return tips[reference]
    if name in tips.values():
        return name
    return _in_history(repo, name) if re.fullmatch(_HASH, name) else None


def _in_history(repo: str, name: str) -> str | None:
    """Look a hash up among all commits of all branches; their files are not transferred."""
    with tempfile.TemporaryDirectory(prefix="pai-git-") as folder:
        _git("clone", "--quiet", "--bare", "--filter=tree:0", "--", repo, folder)
        try:
            return _git("-C", folder, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
        except GitError:
            return None


def _git(*arguments: str) -> str:
    from airflow_provider_pai.hooks.network import UnreachableError, for_git

    try:
        done = subprocess.run(  # noqa: S603 - a list, and `--` before what a user has written
            ["git", *arguments],  # noqa: S607 - the worker's own
            env={**os.environ, **for_git(), **_ENVIRONMENT},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnreachableError) as error:
        raise GitError(str(error)) from error
    if done.returncode:
        raise GitError(done.stderr.strip() or f"git {arguments[0]} ended with exit code {done.returncode}")
    return done.stdout
