"""Git on the worker: a look at a repository before a job, the files of a private one, a commit of what a job made."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
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

# What finds the commit of a run again; `git log` shows it to people, too.
_RUN = "PAI-Run: "
# How often a branch may move under a push.
_PUSHES = 8
# Whose commit it is where the worker's environment says nothing.
_AUTHOR = {
    f"GIT_{role}_{fact}": told
    for role in ("AUTHOR", "COMMITTER")
    for fact, told in (("NAME", "Apache Airflow"), ("EMAIL", "airflow@localhost"))
}

# What git says where a server has answered that there is no such repository, or none for this login; a server that
# shows private ones to nobody asks for a login for both.
_REFUSED = r"repository '\S+' not found|could not read (?:Username|Password) for|Authentication failed for"
# The same of a push, which needs more than a look.
_NO_PUSH = r"error: 40[13]|[Dd]enied|not allowed|declined|[Pp]rotected|insufficient permission"


class GitError(Exception):
    """The worker could not look: no git, no way to the repository, or no permission."""


class NoPushError(GitError):
    """The repository's server has answered: nobody can push there with this login."""


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


def file_at(repo: str, commit: str, login: GitLogin | None, path: str) -> str:
    """Return a file's text at a commit, without the rest of the repository.

    :param commit: the full hash, of a branch's history.
    :raises GitError: with git's own words.
    """
    access = _lazy(_access(repo, login))
    with tempfile.TemporaryDirectory(prefix="pai-git-") as folder:
        _clone_history(access, repo, folder, "--no-tags")
        return _git(access, "-C", folder, "show", f"{commit}:{path}")


class Tracked(NamedTuple):
    """A file on the worker, and the commit that it lies in."""

    commit: str
    """Of the working tree around it."""
    change: str
    """How the file differs from that commit; empty: not at all."""

    @classmethod
    def of(cls, path: Path) -> Tracked:
        """Compare a file with the commit that its folder is checked out at.

        :raises GitError: it lies in no working tree, or git does not trust it.
        """
        at = ("--no-optional-locks", "--literal-pathspecs", "-C", str(path.parent))
        commit = _git(_PUBLIC, *at, "rev-parse", "--verify", "HEAD").strip()
        state = _git(_PUBLIC, *at, "status", "--porcelain", "--ignored", "--", path.name)[:2]
        known = "" if not state else "is in no commit" if state in ("??", "!!") else f"differs from commit {commit}"
        return cls(commit, known)


def need_push(repo: str, branch: str, login: GitLogin | None = None) -> bool:
    """Ask whether a login may push, without pushing anything; return whether the branch is there.

    A server tells what it holds against a commit (a protected branch, say) when it gets one.

    :raises GitError: with git's own words.
    :raises NoPushError: the same, and it may not.
    """
    access = _access(repo, login)
    is_there = bool(_git(access, "ls-remote", "--heads", "--", repo, f"refs/heads/{branch}"))
    with tempfile.TemporaryDirectory(prefix="pai-git-") as folder:
        _git(_PUBLIC, "init", "--quiet", "--bare", folder)
        tree = _git(_PUBLIC, "-C", folder, "hash-object", "-t", "tree", "-w", os.devnull).strip()
        commit = _git(_PUBLIC, "-C", folder, "commit-tree", "-m", "Nothing", tree).strip()
        try:
            _git(access, "-C", folder, "push", "--dry-run", "--quiet", "--", repo, f"{commit}:refs/heads/pai-{commit}")
        except GitError as error:
            raise (NoPushError if re.search(_NO_PUSH, str(error)) else GitError)(str(error)) from None
    return is_there


class Push(NamedTuple):
    """A run's results on their way to a branch.

    :param run: what tells the run from all others: it is committed once.
    :param message: of the commit, without the run.
    """

    repo: str
    branch: str
    run: str
    message: str
    login: GitLogin | None = None

    def once(self, files: Mapping[str, Path]) -> str:
        """Push files, by their paths there, as one commit, unless the run's commit is there; return its hash.

        Where the branch has moved meanwhile, or no answer came, it is looked at again.

        :raises GitError: with git's own words.
        """
        access = _lazy(_access(self.repo, self.login))
        with tempfile.TemporaryDirectory(prefix="pai-git-") as folder:
            _clone_history(access, self.repo, folder, "--no-tags", "--single-branch", f"--branch={self.branch}")
            in_clone = partial(_git, access, "-C", folder, seconds=_CLONE_SECONDS)
            for _ in range(_PUSHES):
                if commit := self._committed(in_clone):
                    return commit
                commit = self._commit(in_clone, files)
                try:
                    in_clone("push", "--quiet", "--", self.repo, f"{commit}:refs/heads/{self.branch}")
                    return commit
                except GitError as error:
                    refused = error
                in_clone("fetch", "--quiet", "--", "origin", f"+refs/heads/{self.branch}:refs/heads/{self.branch}")
        raise refused

    def _committed(self, in_clone: Callable[..., str]) -> str:
        sought = ("--fixed-strings", f"--grep={_RUN}{self.run}")
        return in_clone("log", "-1", "--format=%H", *sought, f"refs/heads/{self.branch}").strip()

    def _commit(self, in_clone: Callable[..., str], files: Mapping[str, Path]) -> str:
        tip = f"refs/heads/{self.branch}"
        in_clone("read-tree", tip)
        for path, file in files.items():
            content = in_clone("hash-object", "-w", "--no-filters", "--", str(file)).strip()
            in_clone("update-index", "--add", "--cacheinfo", f"100644,{content},{path}")
        tree = in_clone("write-tree", "--missing-ok").strip()
        message = f"{self.message}\n\n{_RUN}{self.run}"
        return in_clone("commit-tree", "-p", tip, "-m", message, tree).strip()


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


def _lazy(access: _Access) -> _Access:
    """Return an access by which what a clone has left out comes when it is needed."""
    return access._replace(environment={**access.environment, "GIT_NO_LAZY_FETCH": "0"})


def _access(repo: str, login: GitLogin | None) -> _Access:
    if login is None:
        return _PUBLIC
    address = urlsplit(repo)
    helper = f"credential.{address.scheme}://{address.netloc}.helper={_HELPER}"
    return _Access(
        ("-c", "credential.helper=", "-c", helper), {"PAI_GIT_USER": login.user, "PAI_GIT_TOKEN": login.token}
    )


def _in_history(repo: str, name: str, access: _Access) -> str | None:
    """Look a hash up among all commits of all branches."""
    with tempfile.TemporaryDirectory(prefix="pai-git-") as folder:
        _clone_history(access, repo, folder)
        try:
            return _git(_PUBLIC, "-C", folder, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
        except GitError:
            return None


def _clone_history(access: _Access, repo: str, folder: str, *options: str) -> None:
    """Clone commits without their files, from a server that can leave these out."""
    options = ("--quiet", "--bare", "--filter=tree:0", *options)
    _git(access, "clone", *options, "--", repo, folder, seconds=_CLONE_SECONDS)


def _git(access: _Access, *arguments: str, seconds: float = _SECONDS) -> str:
    from airflow_provider_pai.hooks.network import UnreachableError, for_git

    try:
        done = subprocess.run(  # noqa: S603 - a list, and `--` before what a user has written
            ["git", *access.options, *arguments],  # noqa: S607 - the worker's own
            env={**_AUTHOR, **os.environ, **for_git(), **_ENVIRONMENT, **access.environment, "LC_ALL": "C"},
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
