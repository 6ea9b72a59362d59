"""Mounts of DLC jobs, DSW instances and EAS services: OSS folders at container paths."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from airflow_provider_pai.emulator.errors import InvalidParameterError, NotFoundError
from airflow_provider_pai.emulator.runtime.root import Root

# Bucket, then the endpoint of its region (public, internal or an emulator's), which is recorded and not used.
_OSS_URI = re.compile(r"oss://(?P<bucket>[a-z0-9][a-z0-9-]{1,61}[a-z0-9])(?:\.[\w.:-]+)?(?:/(?P<prefix>.*))?")


class FolderSource(Protocol):
    """OSS, as far as a mount needs it."""

    def folder(self, bucket: str, prefix: str, *, appends: bool = True) -> Path:
        """Return the folder of a prefix; raises ApiError 404 for an unknown bucket.

        :param appends: as of `Mount`.
        """

    def is_empty(self, bucket: str, prefix: str) -> bool:
        """Tell whether no object has a prefix."""


@dataclass(frozen=True)
class Mount:
    """One data source: an OSS prefix at a container path.

    :param appends: a file is an object as it grows. DLC's and DSW's mounts upload in parts by default: an object shows
        once its file is closed [help: PAI, reading OSS data in DLC and DSW, JindoFuse's default limits].
    """

    uri: str
    path: str
    read_only: bool = False
    appends: bool = True

    def __post_init__(self) -> None:
        parse_oss_uri(self.uri)
        check_mount_path(self.path)


def parse_oss_uri(text: str, field: str = "Uri") -> tuple[str, str]:
    """Split `oss://bucket[.endpoint]/prefix/` into bucket and prefix; the prefix ends with `/` or is empty.

    :raises InvalidParameterError: naming the field, the value and the form that is allowed.
    """
    match = _OSS_URI.fullmatch(text)
    prefix = (match["prefix"] or "").strip("/") if match else ""
    if match is None or not {".", "..", ""}.isdisjoint(prefix.split("/") if prefix else []):
        form = "oss://bucket.oss-cn-hangzhou-internal.aliyuncs.com/prefix/"
        raise InvalidParameterError(f"{field} must look like {form}, not {text!r}.")
    return match["bucket"], f"{prefix}/" if prefix else ""


def check_mount_path(path: str, field: str = "MountPath") -> None:
    """Refuse a mount path that is not a folder below the root of a container.

    :raises InvalidParameterError: naming the field and the value.
    """
    parts = PurePosixPath(path).parts
    if len(parts) < 2 or parts[0] != "/" or ".." in parts:
        raise InvalidParameterError(f"{field} must be an absolute path, not / and without .., not {path!r}.")


def check_mounts(paths: Iterable[str], field: str = "MountPath") -> None:
    """Refuse mount paths that are equal or lie in one another.

    :raises InvalidParameterError: naming both paths.
    """
    taken: list[PurePosixPath] = []
    for path in map(PurePosixPath, paths):
        for other in taken:
            if path.is_relative_to(other) or other.is_relative_to(path):
                raise InvalidParameterError(f"{field} {path} and {other} lie in one another.")
        taken.append(path)


def check_prefixes(mounts: Iterable[Mount], oss: FolderSource) -> None:
    """Refuse to mount a prefix that no object has.

    :raises ApiError: 404, naming it.
    """
    for mount in mounts:
        if oss.is_empty(*parse_oss_uri(mount.uri)):
            raise NotFoundError(f"Nothing lies below {mount.uri}.", "NoSuchKey")


async def mount_all(root: Root, mounts: Sequence[Mount], oss: FolderSource) -> None:
    """Show every data source in a root; copies are made off the event loop.

    :raises ApiError: 404 for a bucket that does not exist.
    """
    sources = [
        (mount, oss.folder(*parse_oss_uri(mount.uri), appends=mount.appends or mount.read_only)) for mount in mounts
    ]
    for mount, source in sources:
        await asyncio.to_thread(root.mount, mount.path, source, read_only=mount.read_only)
