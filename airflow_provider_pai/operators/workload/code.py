"""The code that a workload runs: from Git at a commit, or from OSS with its digest."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import mapping, optional, parse_uri, required
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.artifact import Code
    from airflow_provider_pai.hooks.oss import OssHook

log = logging.getLogger(__name__)


class GitCode(TypedDict, total=False):
    """Code from Git; a plain dict, so that each value may be a template.

    `repo` (URL) and `commit` (a hash, or a branch or tag, of which the hash is looked up) are required; `branch`
    narrows the clone; `path` is a folder in the repository that commands run in.
    """

    repo: str
    commit: str
    branch: str
    path: str


class OssCode(TypedDict, total=False):
    """Code that was uploaded to OSS; a plain dict, so that each value may be a template.

    `uri` (a prefix, or one object) is required; `digest`, if given, must be that of what lies there; `path` is a folder
    below a prefix that commands run in.
    """

    uri: str
    digest: str
    path: str


class Source(NamedTuple):
    """Code as it was found.

    :param repo: the repository's URL, or the `oss://` address.
    :param commit: the full hash; of a prefix the digest over keys, sizes and ETags, of one object its CRC64.
    :param mount: prefix on OSS that holds the code; None: it comes from Git.
    """

    repo: str
    commit: str
    branch: str | None = None
    path: str = ""
    mount: OssUri | None = None

    def record(self, entry: str) -> Code:
        """Return what an artifact tells of it."""
        from airflow_provider_pai.artifact import Code

        return Code(repo=self.repo, commit=self.commit, branch=self.branch, entry=entry)


_KINDS: Mapping[str, type[Any]] = {"repo": GitCode, "uri": OssCode}


def check_code(declared: Mapping[str, Any] | str) -> Any:
    """Return the code with its values read as texts; nothing is looked up.

    :raises PaiConfigError: naming the field.
    """
    values = {name: optional(f"code[{name!r}]", value, "a text") for name, value in mapping("code", declared).items()}
    code = {name: value for name, value in values.items() if value is not None}
    given = [kind for kind in _KINDS if kind in code]
    if len(given) != 1:
        raise PaiConfigError("code", declared, "exactly one of repo (with commit) and uri")
    for name in code:
        if name not in (allowed := _KINDS[given[0]].__annotations__):
            raise PaiConfigError("code", name, f"with {given[0]} it has {', '.join(allowed)}")
    if given == ["uri"]:
        parse_uri("code['uri']", code["uri"])
    else:
        required("code['commit']", code.get("commit"), "a commit, branch or tag")
    return code


def find_code(code: Mapping[str, Any], oss: OssHook) -> Source:
    """Look the code up; a repository that the worker cannot read is left to the service, with a warning.

    :raises PaiConfigError: no such commit, no object there, or another digest.
    """
    return _on_oss(code, oss) if code.get("uri") else _in_git(code)


def _in_git(code: Mapping[str, Any]) -> Source:
    from airflow_provider_pai.operators.workload.git import GitError, full_commit

    repo, commit = code["repo"], code["commit"]
    try:
        found = full_commit(repo, commit)
    except GitError as error:
        log.warning("Whether %s has %s could not be looked up here, the job will tell: %s", repo, commit, error)
        found = commit
    if found is None:
        raise PaiConfigError("code['commit']", commit, f"a commit, branch or tag of {repo}")
    return Source(repo=repo, commit=found, branch=code.get("branch"), path=code.get("path", ""))


def _on_oss(code: Mapping[str, Any], oss: OssHook) -> Source:
    uri = parse_uri("code['uri']", code["uri"])
    one = oss.head(uri) if uri.key and not uri.key.endswith("/") else None
    if one:
        digest, folder = f"crc64:{one.crc64}", uri.parent
    else:
        digest, _, files = oss.digest(folder := uri.folder)
        if not files:
            raise PaiConfigError("code['uri']", str(uri), "an object, or a prefix with at least one")
    if code.get("digest") not in (None, digest):
        raise PaiConfigError("code['digest']", code["digest"], f"what lies at {uri} has {digest}")
    return Source(repo=str(uri), commit=digest, path=code.get("path", ""), mount=folder)
