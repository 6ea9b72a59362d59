"""A run's executed notebook and its record in Git: one commit, pushed by the worker."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypedDict

from airflow_provider_pai.exceptions import PaiConfigError, PaiNotFoundError, PaiTransientError
from airflow_provider_pai.inputs import known, required, text_mapping
from airflow_provider_pai.operators.workload.code import check_repository

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.aiworkspace import GitLogin
    from airflow_provider_pai.hooks.oss import OssHook
    from airflow_provider_pai.identity import TaskIdentity
    from airflow_provider_pai.uri import OssUri

FIELD = "commit_results"


class CommitResults(TypedDict, total=False):
    """Where results are committed; a plain dict, so that each value may be a template.

    `repo` (URL), `branch`, which must be there, and `path`, a folder in the repository, are required; `git_conn_id` is
    an Airflow connection (one of type `git`, say) with a user and an access token that may push.
    """

    repo: str
    branch: str
    path: str
    git_conn_id: str


def check_results(given: Any) -> dict[str, str]:
    """Return where results are committed, read; nothing is looked up; empty: nowhere.

    :raises PaiConfigError: naming the field.
    """
    target = {name: value for name, value in text_mapping(FIELD, given).items() if value}
    if not target:
        return {}
    known(FIELD, target, CommitResults.__annotations__)
    for name, allowed in (("repo", "a URL"), ("branch", "a branch"), ("path", "a folder in the repository")):
        required(f"{FIELD}[{name!r}]", target.get(name), allowed)
    check_repository(FIELD, target)
    path = PurePosixPath(target["path"])
    if path.is_absolute() or {"..", ".git"} & set(path.parts):
        raise PaiConfigError(f"{FIELD}['path']", target["path"], "a folder in the repository, as results/digits")
    return target


def need_results(target: Mapping[str, str]) -> None:
    """Ask, before anything is made, whether results can be pushed.

    :raises PaiConfigError: they can't, with git's own words.
    :raises PaiTransientError: nobody answers.
    """
    from airflow_provider_pai.operators.workload.git import GitError, NoPushError, NoRepositoryError, need_push

    try:
        is_there = need_push(target["repo"], target["branch"], _login(target))
    except (NoPushError, NoRepositoryError) as error:
        whose = (
            f"the login of {target['git_conn_id']}" if "git_conn_id" in target else f"no login ({FIELD}['git_conn_id'])"
        )
        allowed = f"a repository that can be pushed to with {whose}: {error}"
        raise PaiConfigError(f"{FIELD}['repo']", target["repo"], allowed) from None
    except GitError as error:
        raise PaiTransientError("git", "push --dry-run", f"{FIELD}: {target['repo']}: {error}") from None
    if not is_there:
        raise PaiConfigError(f"{FIELD}['branch']", target["branch"], f"a branch of {target['repo']}: push it once")


def commit_results(
    target: Mapping[str, str], identity: TaskIdentity, version: str, oss: OssHook, files: Mapping[str, OssUri]
) -> str:
    """Push a run's files as one commit, unless its commit is there; return its hash.

    :param files: their names in the folder; what is not there is left out.
    :raises PaiTransientError: they could not be pushed: another try of the task finds the run and pushes again.
    """
    from airflow_provider_pai.operators.workload.git import GitError, Push

    message = f"{identity.dag_id}.{identity.task_id} {version}\n\n{identity.run_id}"
    push = Push(target["repo"], target["branch"], version, message, _login(target))
    with tempfile.TemporaryDirectory(prefix="pai-results-") as folder:
        here = {f"{PurePosixPath(target['path']) / name}": Path(folder) / name for name in files}
        for uri, path in zip(files.values(), here.values(), strict=True):
            with suppress(PaiNotFoundError):
                oss.download(uri, path)
        try:
            return push.once({at: path for at, path in here.items() if path.exists()})
        except GitError as error:
            todo = "the run is kept: another try of the task pushes it, and runs nothing again"
            said = f"{FIELD}: {target['branch']} of {target['repo']}: {error} → {todo}"
            raise PaiTransientError("git", "push", said) from None


def _login(target: Mapping[str, str]) -> GitLogin | None:
    from airflow_provider_pai.hooks.aiworkspace import GitLogin

    return GitLogin.of(f"{FIELD}['git_conn_id']", target["git_conn_id"]) if target.get("git_conn_id") else None
