"""Checkpoints of a DLC job: one folder on OSS for all tries of a cycle: each goes on where the last was lost."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_pai.exceptions import PaiConfigError, PaiError
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.inputs import parse_uri
from airflow_provider_pai.operators.workload.base import MOUNT_ROOT, Mount
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss import OssHook
    from airflow_provider_pai.operators.meant import MeantData

log = logging.getLogger(__name__)

CHECKPOINTS_PATH = f"{MOUNT_ROOT}/checkpoints"


class Checkpoints(NamedTuple):
    """What a job gets of them: nothing where there are none."""

    mounts: tuple[Mount, ...] = ()
    variables: Mapping[str, str] = MappingProxyType({})


def check_checkpoints(checkpoints: str | None, output: str | None, inputs: Iterable[MeantData]) -> None:
    """Refuse a folder that shares objects with what else the job reads or writes.

    :raises PaiConfigError: one lies in the other.
    """
    if not checkpoints:
        return
    folder = parse_uri("checkpoints", checkpoints).folder
    others = {each.field: each.uri for each in inputs} | ({"output": parse_uri("output", output)} if output else {})
    for field, uri in others.items():
        other = uri.folder
        if folder.bucket == other.bucket and _nested(folder.key, other.key):
            raise PaiConfigError("checkpoints", checkpoints, f"a folder beside {field}, {other}: neither in the other")


def share_checkpoints(oss: OssHook, checkpoints: str | None, identity: TaskIdentity, generation: int) -> Checkpoints:
    """Return mount and variables of the folder that all generations of a cycle share; a cleared task has another.

    :raises PaiNotFoundError: the bucket does not exist.
    """
    if not checkpoints:
        return Checkpoints()
    folder = _task_folder(checkpoints, identity).join(str(identity.cycle)).folder
    oss.need_bucket("checkpoints", folder)
    log.info("Attempt %s, checkpoints at %s", generation, folder)
    variables = {"PAI_CHECKPOINT_DIR": CHECKPOINTS_PATH, "PAI_ATTEMPT": str(generation)}
    return Checkpoints((Mount(str(folder), CHECKPOINTS_PATH, False),), variables)


def delete_checkpoints(oss: OssHook, checkpoints: str, identity: TaskIdentity) -> None:
    """Delete what the task has left there in all its cycles; the job is paid, so a refusal is only told."""
    folder = _task_folder(checkpoints, identity)
    try:
        log.info("Checkpoints at %s are deleted: %s files", folder, oss.delete_folder(folder))
    except PaiError as error:
        log.warning("Checkpoints at %s could not be deleted: %s", folder, error)


def _task_folder(checkpoints: str, identity: TaskIdentity) -> OssUri:
    return parse_uri("checkpoints", checkpoints).join(identity.task).folder


def _nested(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
