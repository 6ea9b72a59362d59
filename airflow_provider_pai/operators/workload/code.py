"""The code that a workload runs: from Git at a commit, or from OSS with its digest."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from airflow_provider_pai.exceptions import PaiConfigError, PaiNotFoundError
from airflow_provider_pai.inputs import known, mapping, optional, parse_uri, required
from airflow_provider_pai.sensitive import secrets_in
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.artifact import Code
    from airflow_provider_pai.hooks.aiworkspace import GitLogin
    from airflow_provider_pai.hooks.oss import OssHook

log = logging.getLogger(__name__)


class GitCode(TypedDict, total=False):
    """Code from Git; a plain dict, so that each value may be a template.

    `repo` (URL) and `commit` (a hash, or a branch or tag, of which the hash is looked up) are required; `branch`
    narrows the clone; `path` is a folder in the repository that commands run in; `git_conn_id` is an Airflow connection
    (one of type `git`, say) with a user and an access token for a private repository: neither may stand in its URL.
    """

    repo: str
    commit: str
    branch: str
    path: str
    git_conn_id: str


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
    :param login: of a private repository.
    """

    repo: str
    commit: str
    branch: str | None = None
    path: str = ""
    mount: OssUri | None = None
    login: GitLogin | None = None

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
    known("code", code, _KINDS[given[0]].__annotations__, f"with {given[0]} it has")
    if given == ["uri"]:
        parse_uri("code['uri']", code["uri"])
    else:
        required("code['commit']", code.get("commit"), "a commit, branch or tag")
        check_repository("code", code)
    return code


def check_repository(field: str, given: Mapping[str, str]) -> None:
    """Refuse a URL with a login in it: job, artifact, ledger and log would show it to everybody.

    :param field: the argument that has `repo` and, it may be, `git_conn_id`.
    :raises PaiConfigError: naming it.
    """
    repo, conn_id = given["repo"], given.get("git_conn_id")
    if list(secrets_in(repo)):
        allowed = f"a URL without user and token: name an Airflow connection that has them in {field}['git_conn_id']"
        raise PaiConfigError(f"{field}['repo']", repo, allowed)
    if conn_id and not re.match("https?://", repo):
        raise PaiConfigError(f"{field}['git_conn_id']", conn_id, f"a repository at https://, not {repo}")


def find_code(code: Mapping[str, Any], oss: OssHook) -> Source:
    """Look the code up; a repository that the worker cannot reach is left to the service, with a warning.

    :raises PaiConfigError: no such repository, or another digest.
    :raises PaiNotFoundError: no such commit, or no object there, yet.
    """
    return _on_oss(code, oss) if code.get("uri") else _in_git(code)


def _in_git(code: Mapping[str, Any]) -> Source:
    from airflow_provider_pai.hooks.aiworkspace import GitLogin
    from airflow_provider_pai.operators.workload.git import GitError, NoRepositoryError, full_commit

    repo, commit = code["repo"], code["commit"]
    login = GitLogin.of("code['git_conn_id']", code["git_conn_id"]) if code.get("git_conn_id") else None
    try:
        found = full_commit(repo, commit, login)
    except NoRepositoryError as error:
        whose = f"the login of {code['git_conn_id']}" if login else "no login (for a private one: code['git_conn_id'])"
        raise PaiConfigError("code['repo']", repo, f"a repository that can be read with {whose}: {error}") from None
    except GitError as error:
        log.warning("Whether %s has %s could not be looked up here, the job will tell: %s", repo, commit, error)
        found = commit
    if found is None:
        raise PaiNotFoundError.of("git", "ls-remote", "code['commit']", commit, f"a commit, branch or tag of {repo}")
    return Source(repo=repo, commit=found, branch=code.get("branch"), path=code.get("path", ""), login=login)


def _on_oss(code: Mapping[str, Any], oss: OssHook) -> Source:
    uri = parse_uri("code['uri']", code["uri"])
    one = oss.head(uri) if uri.key and not uri.key.endswith("/") else None
    if one:
        digest, folder = f"crc64:{one.crc64}", uri.parent
    else:
        digest, _, files = oss.digest(folder := uri.folder)
        if not files:
            needed = "an object, or a prefix with at least one"
            raise PaiNotFoundError.of("oss", "ListObjects", "code['uri']", str(uri), needed)
    if code.get("digest") not in (None, digest):
        raise PaiConfigError("code['digest']", code["digest"], f"what lies at {uri} has {digest}")
    return Source(repo=str(uri), commit=digest, path=code.get("path", ""), mount=folder)
