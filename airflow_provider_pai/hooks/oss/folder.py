"""Transfers of whole folders up, down and across: only what differs in size or CRC64 is moved, many files at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.oss.copy import copy_object
from airflow_provider_pai.hooks.oss.crc import crc_of_file
from airflow_provider_pai.hooks.oss.download import download_file
from airflow_provider_pai.hooks.oss.listings import OssListings
from airflow_provider_pai.hooks.oss.local import check_paths, files_below, local_path
from airflow_provider_pai.hooks.oss.objects import ObjectInfo
from airflow_provider_pai.hooks.oss.parallel import in_parallel
from airflow_provider_pai.hooks.oss.patterns import Patterns
from airflow_provider_pai.hooks.oss.progress import TransferProgress
from airflow_provider_pai.hooks.oss.upload import upload_file
from airflow_provider_pai.inputs import object_uri
from airflow_provider_pai.uri import OssUri

THREADS = 16
_THREADS_OF_A_FILE = 2


@dataclass(frozen=True, kw_only=True)
class FolderReport:
    """What was done: numbers of files, and the bytes of those that were moved."""

    moved: int = 0
    unchanged: int = 0
    deleted: int = 0
    size: int = 0


def upload_folder(
    oss: OssListings,
    folder: Path,
    prefix: OssUri,
    *,
    include: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
    delete: bool = False,
    allow_empty: bool = False,
    threads: int = THREADS,
) -> FolderReport:
    """Upload the files below a folder.

    Its options are `FolderOptions`, as those of the two others.

    :raises PaiConfigError: it is no folder, or not all of it can be read or be a key; nothing is written then.
    """
    patterns = Patterns(include, exclude)
    files = dict(files_below(folder, patterns))
    targets = {name: object_uri("folder", prefix.join(name)) for name in files}
    there = _objects(oss, prefix, patterns)
    gone = _surplus(files, there, delete, allow_empty)
    progress = TransferProgress(
        oss.log, f"{folder} to {prefix}", sum(path.stat().st_size for path in files.values()), clock=oss.clock
    )

    def move(name: str) -> int | None:
        path, info = files[name], there.get(name)
        size = path.stat().st_size
        if info is not None and info.size == size and _crc(oss, info) == crc_of_file(path):
            progress.add(size)
            return None
        upload_file(oss, path, targets[name], headers={}, threads=_THREADS_OF_A_FILE, progress=progress)
        return size

    return _report(in_parallel(move, files, threads), lambda: oss.delete_many(there[name].uri for name in gone))


def download_folder(
    oss: OssListings,
    prefix: OssUri,
    folder: Path,
    *,
    include: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
    delete: bool = False,
    allow_empty: bool = False,
    threads: int = THREADS,
) -> FolderReport:
    """Download the objects below a prefix.

    :raises PaiConfigError: a key would lead out of the folder, or can't be a path there; nothing is written then.
    """
    patterns = Patterns(include, exclude)
    there = _objects(oss, prefix, patterns)
    paths = {name: local_path(folder, name) for name in there}
    check_paths(prefix, there)
    here = dict(files_below(folder, patterns, follow=False)) if delete and folder.exists() else {}
    gone = _surplus(there, here, delete, allow_empty)
    progress = TransferProgress(oss.log, f"{prefix} to {folder}", 0, clock=oss.clock)

    def move(name: str) -> int | None:
        path, info = paths[name], there[name]
        if path.is_file() and path.stat().st_size == info.size and _crc(oss, info) == crc_of_file(path):
            return None
        return download_file(oss, info.uri, path, threads=_THREADS_OF_A_FILE, progress=progress)

    def sweep() -> int:
        for name in gone:
            here[name].unlink(missing_ok=True)
        return len(gone)

    folder.mkdir(parents=True, exist_ok=True)
    return _report(in_parallel(move, there, threads), sweep)


def copy_folder(
    oss: OssListings,
    source: OssUri,
    target: OssUri,
    *,
    include: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
    delete: bool = False,
    allow_empty: bool = False,
    threads: int = THREADS,
) -> FolderReport:
    """Copy the objects below a prefix to another one, within OSS.

    :raises PaiConfigError: one prefix lies in the other.
    """
    if source.bucket == target.bucket and (source.key.startswith(target.key) or target.key.startswith(source.key)):
        raise PaiConfigError("target", str(target), f"a prefix that has nothing to do with {source}")
    patterns = Patterns(include, exclude)
    here, there = _objects(oss, source, patterns, markers=True), _objects(oss, target, patterns, markers=True)
    targets = {name: object_uri("target", target.join(name)) for name in here}
    gone = _surplus(here, there, delete, allow_empty)

    def move(name: str) -> int | None:
        info, other = here[name], there.get(name)
        if other is not None and other.size == info.size and _crc(oss, other) == _crc(oss, info):
            return None
        copy_object(oss, info.uri, targets[name], version=None, headers={})
        return info.size

    return _report(in_parallel(move, here, threads), lambda: oss.delete_many(there[name].uri for name in gone))


def _objects(
    oss: OssListings, prefix: OssUri, patterns: Patterns, *, markers: bool = False
) -> Mapping[str, ObjectInfo]:
    """Return the objects below a prefix by what their keys have beyond it.

    :param markers: with those of folders; that of the prefix itself never.
    """
    named = ((info.uri.key[len(prefix.key) :], info) for info in oss.list_objects(prefix))
    return {name: info for name, info in named if name and (markers or not info.is_marker) and patterns.match(name)}


def _surplus(source: Collection[str], target: Collection[str], delete: bool, allow_empty: bool) -> list[str]:
    """Return what a sync deletes: the names at the target that are not at the source.

    :raises PaiConfigError: the source has none at all, so that it would be everything.
    """
    if delete and target and not source and not allow_empty:
        allowed = f"nothing is at the source, so that all {len(target)} at the target would go; allow_empty=True if so"
        raise PaiConfigError("delete", True, allowed)
    return [name for name in target if name not in source] if delete else []


def _crc(oss: OssListings, info: ObjectInfo) -> int | None:
    """Return the CRC of an object; None: it is gone, or has none."""
    head = oss.head(info.uri)
    return int(head.crc64) if head is not None and head.crc64 else None


def _report(sizes: Iterable[int | None], sweep: Callable[[], int]) -> FolderReport:
    """Wait for what is moved, then delete what is to go."""
    results = list(sizes)
    moved = [size for size in results if size is not None]
    return FolderReport(moved=len(moved), unchanged=len(results) - len(moved), deleted=sweep(), size=sum(moved))
