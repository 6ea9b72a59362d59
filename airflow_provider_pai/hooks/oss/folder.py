"""Transfers of whole folders up, down and across: only what differs in size or CRC64 is moved, many files at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.oss.copy import copy_object
from airflow_provider_pai.hooks.oss.crc import crc_of_file
from airflow_provider_pai.hooks.oss.download import download_file
from airflow_provider_pai.hooks.oss.listings import OssListings
from airflow_provider_pai.hooks.oss.objects import ObjectInfo
from airflow_provider_pai.hooks.oss.parallel import in_parallel
from airflow_provider_pai.hooks.oss.patterns import Patterns
from airflow_provider_pai.hooks.oss.progress import TransferProgress
from airflow_provider_pai.hooks.oss.upload import upload_file
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
    threads: int = THREADS,
) -> FolderReport:
    """Upload the files below a folder.

    Its options are `FolderOptions`, as those of the two others.

    :raises PaiConfigError: it is no folder, or a name is not UTF-8.
    """
    patterns = Patterns(include, exclude)
    files = dict(_files(folder, patterns))
    there = _objects(oss, prefix, patterns)
    progress = TransferProgress(
        oss.log, f"{folder} to {prefix}", sum(path.stat().st_size for path in files.values()), clock=oss.clock
    )

    def move(name: str) -> int | None:
        path, info = files[name], there.get(name)
        size = path.stat().st_size
        if info is not None and info.size == size and _crc(oss, info) == crc_of_file(path):
            progress.add(size)
            return None
        upload_file(oss, path, prefix.join(name), headers={}, threads=_THREADS_OF_A_FILE, progress=progress)
        return size

    gone = [there[name].uri for name in there if name not in files] if delete else []
    return _report(in_parallel(move, files, threads), lambda: oss.delete_many(gone))


def download_folder(
    oss: OssListings,
    prefix: OssUri,
    folder: Path,
    *,
    include: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
    delete: bool = False,
    threads: int = THREADS,
) -> FolderReport:
    """Download the objects below a prefix.

    :raises PaiConfigError: a key would lead out of the folder, or can't be a path there; nothing is written then.
    """
    patterns = Patterns(include, exclude)
    there = _objects(oss, prefix, patterns)
    paths = {name: local_path(folder, name) for name in there}
    _check_paths(prefix, there)
    progress = TransferProgress(oss.log, f"{prefix} to {folder}", 0, clock=oss.clock)

    def move(name: str) -> int | None:
        path, info = paths[name], there[name]
        if path.is_file() and path.stat().st_size == info.size and _crc(oss, info) == crc_of_file(path):
            return None
        return download_file(oss, info.uri, path, threads=_THREADS_OF_A_FILE, progress=progress)

    def sweep() -> int:
        gone = [path for name, path in _files(folder, patterns) if name not in there] if delete else []
        for path in gone:
            path.unlink()
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
    threads: int = THREADS,
) -> FolderReport:
    """Copy the objects below a prefix to another one, within OSS.

    :raises PaiConfigError: one prefix lies in the other.
    """
    if source.bucket == target.bucket and (source.key.startswith(target.key) or target.key.startswith(source.key)):
        raise PaiConfigError("target", str(target), f"a prefix that has nothing to do with {source}")
    patterns = Patterns(include, exclude)
    here, there = _objects(oss, source, patterns), _objects(oss, target, patterns)

    def move(name: str) -> int | None:
        info, other = here[name], there.get(name)
        if other is not None and other.size == info.size and _crc(oss, other) == _crc(oss, info):
            return None
        copy_object(oss, info.uri, target.join(name), version=None, headers={})
        return info.size

    gone = [there[name].uri for name in there if name not in here] if delete else []
    return _report(in_parallel(move, here, threads), lambda: oss.delete_many(gone))


def local_path(folder: Path, name: str) -> Path:
    """Return the path of a key below a folder.

    :raises PaiConfigError: it would lead out of the folder, or is no path.
    """
    parts = name.split("/")
    path = folder.joinpath(*parts)
    inside = not any(part in ("", ".", "..") or "\0" in part for part in parts)
    if not inside or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise PaiConfigError("key", name, f"a path that stays below {folder}")
    return path


def _check_paths(prefix: OssUri, names: Iterable[str]) -> None:
    """Refuse keys of which one would have to be a folder of the other."""
    known = set(names)
    for name in known:
        for parent in PurePosixPath(name).parents:
            if str(parent) in known:
                raise PaiConfigError("key", f"{prefix}{name}", f"no key below {prefix}{parent}, which is a file")


def _files(folder: Path, patterns: Patterns) -> Iterator[tuple[str, Path]]:
    """Yield the files below a folder by their paths with `/`."""
    if not folder.is_dir():
        raise PaiConfigError("folder", str(folder), "a folder")
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            key = path.relative_to(folder).as_posix()
            if not _is_utf8(key):
                raise PaiConfigError("folder", str(folder), f"names in UTF-8, which {os.fsencode(key)!r} is not")
            if patterns.match(key) and path.is_file():
                yield key, path


def _is_utf8(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _objects(oss: OssListings, prefix: OssUri, patterns: Patterns) -> Mapping[str, ObjectInfo]:
    """Return the objects below a prefix by what their keys have beyond it, without markers of folders."""
    named = ((info.uri.key[len(prefix.key) :], info) for info in oss.list_objects(prefix))
    return {name: info for name, info in named if name and not name.endswith("/") and patterns.match(name)}


def _crc(oss: OssListings, info: ObjectInfo) -> int | None:
    """Return the CRC of an object; None: it is gone, or has none."""
    head = oss.head(info.uri)
    return int(head.crc64) if head is not None and head.crc64 else None


def _report(sizes: Iterable[int | None], sweep: Callable[[], int]) -> FolderReport:
    """Wait for what is moved, then delete what is to go."""
    results = list(sizes)
    moved = [size for size in results if size is not None]
    return FolderReport(moved=len(moved), unchanged=len(results) - len(moved), deleted=sweep(), size=sum(moved))
