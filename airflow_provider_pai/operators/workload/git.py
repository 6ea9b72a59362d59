"""Git on the worker: a look at a repository before a job is made that clones it, and the files of a private one."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.aiworkspace import GitLogin

# What must hold before a repository is spoken to: nobody is there to answer a question.
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes", "GIT_NO_LAZY_FETCH": "1"}
_SECONDS = 60
_CLONE_SECONDS = 900

# Neither a process list nor the clone's configuration shows the token; another host, of a redirection say, gets none.
_HELPER = '!f() { echo "username=$PAI_GIT_USER"; echo "password=$PAI_GIT_TOKEN"; }; f'

_HASH = r"(?i)[0-9a-f]{4,40}"


# What git says where a server has answered that there is no such repository, or none for this login; a server that
# shows private ones to nobody asks for a login for both.
_REFUSED = r"repository '\S+' not found|could not read (?:Username|Password) for|Authentication failed for"


class GitError(Exception):
    """The worker could not look: no git, no way to the repository, or no permission."""


class NoRepositoryError(GitError):
    """The repository's server has answered: a job with the same login could not clone it either."""


def full_commit(repo: str, name: str, login: GitLogin | None = None) -> str | None:
    """Return the full hash of a commit (its hash may be shortened), branch or tag; None: there is none such.

    :raises GitError: with git's own words.
    :raises NoRepositoryError: the same, and nobody else will see it with this login.
    """
    access = _access(repo, login)
    lines = _git(access, "ls-remote", "--", repo).splitlines()
    tips = {reference: commit for commit, reference in (line.split("\t") for line in lines)}
    # A tag with a message is an object of its own; its commit is listed behind it.
    for reference in (f"refs/tags/{name}^{{}}", f"refs/tags/{name}", f"refs/heads/{name}", name):
        if reference in tips:
            return tips[reference]
    if name in tips.values():
        return name
    return _in_history(repo, name, access) if re.fullmatch(_HASH, name) else None


def archive(repo: str, commit: str, login: GitLogin | None, path: Path) -> None:
    """Write a commit's files into a `.tar.gz`; also of one that no branch leads to, as long as its server has it.

    :param commit: the full hash.
    :raises GitError: with git's own words.
    """
    with tempfile.TemporaryDirectory(prefix="pai-git-") as folder:
        _git(_PUBLIC, "init", "--quiet", "--bare", folder)
        _fetch(_access(repo, login), folder, repo, commit)
        _git(_PUBLIC, "-C", folder, "archive", "--format=tar.gz", f"--output={path}", commit, seconds=_CLONE_SECONDS)


def _fetch(access: _Access, folder: str, repo: str, commit: str) -> None:
    """Bring a commit into a repository: alone, or with all branches from a server that hands out none by its hash."""
    for options in (("--depth=1", "--", repo, commit), ("--", repo, "refs/*:refs/*")):
        try:
            _git(access, "-C", folder, "fetch", "--quiet", *options, seconds=_CLONE_SECONDS)
            return
        except GitError as error:
            refused = error
    raise refused


class _Access(NamedTuple):
    """How git is told of a login: options, and what they refer to."""

    options: Sequence[str] = ()
    environment: Mapping[str, str] = MappingProxyType({})


_PUBLIC = _Access()


def _access(repo: str, login: GitLogin | None) -> _Access:
    if login is None:
        return _PUBLIC
    address = urlsplit(repo)
    helper = f"credential.{address.scheme}://{address.netloc}.helper={_HELPER}"
    return _Access(
        ("-c", "credential.helper=", "-c", helper), {"PAI_GIT_USER": login.user, "PAI_GIT_TOKEN": login.token}
    )


def _in_history(repo: str, name: str, access: _Access) -> str | None:
    """Look a hash up among all commits of all branches; their files are not transferred."""
    with tempfile.TemporaryDirectory(prefix="pai-git-") as folder:
        _git(access, "clone", "--quiet", "--bare", "--filter=tree:0", "--", repo, folder)
        try:
            return _git(_PUBLIC, "-C", folder, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
        except GitError:
            return None


def _git(access: _Access, *arguments: str, seconds: float = _SECONDS) -> str:
    from airflow_provider_pai.hooks.network import UnreachableError, for_git

    try:
        done = subprocess.run(  # noqa: S603 - a list, and `--` before what a user has written
            ["git", *access.options, *arguments],  # noqa: S607 - the worker's own
            env={**os.environ, **for_git(), **_ENVIRONMENT, **access.environment, "LC_ALL": "C"},
            capture_output=True,
            encoding="utf-8",
            errors="backslashreplace",  # names of branches are bytes
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnreachableError) as error:
        raise GitError(str(error)) from error
    if done.returncode:
        words = done.stderr.strip() or f"git {arguments[0]} ended with exit code {done.returncode}"
        raise (NoRepositoryError if re.search(_REFUSED, words) else GitError)(words)
    return done.stdout
