"""Transfers of whole folders up, down and across: only what differs is moved, many files at a time.

Source and target are walked side by side in the order of their keys, so that of a million files no more is held than
the names in one folder. Every name is looked at before the first file is moved, and what is to go goes last.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar, Unpack

from airflow_provider_pai.exceptions import PaiAnswerError, PaiConfigError
from airflow_provider_pai.hooks.oss.copy import copy_object
from airflow_provider_pai.hooks.oss.crc import crc_of_file
from airflow_provider_pai.hooks.oss.download import download_file
from airflow_provider_pai.hooks.oss.listings import OssListings
from airflow_provider_pai.hooks.oss.local import check_paths, files_below, local_path
from airflow_provider_pai.hooks.oss.objects import ObjectInfo
from airflow_provider_pai.hooks.oss.options import FolderOptions
from airflow_provider_pai.hooks.oss.parallel import in_parallel
from airflow_provider_pai.hooks.oss.patterns import Patterns
from airflow_provider_pai.hooks.oss.progress import TransferProgress
from airflow_provider_pai.hooks.oss.upload import upload_file
from airflow_provider_pai.inputs import flag, object_uri, whole_number
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.uri import OssUri

THREADS = 16
_THREADS_OF_A_FILE = 2
_SMALL = 1 << 20
"""Bytes whose MD5 costs no more than a HEAD."""

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class FolderReport:
    """What was done: numbers of files, and the bytes of those that were moved."""

    moved: int = 0
    unchanged: int = 0
    deleted: int = 0
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class _Sync:
    """`FolderOptions` with their defaults."""

    include: Iterable[str] | str | None = None
    exclude: Iterable[str] | str | None = None
    delete: bool = False
    allow_empty: bool = False
    threads: int = THREADS

    def __post_init__(self) -> None:
        read: dict[str, Any] = {name: flag(name, getattr(self, name)) for name in ("delete", "allow_empty")}
        for name, value in {**read, "threads": whole_number("threads", self.threads, least=1)}.items():
            object.__setattr__(self, name, value)

    @cached_property
    def patterns(self) -> Patterns:
        """Return which names are meant."""
        return Patterns(self.include, self.exclude)


def upload_folder(oss: OssListings, folder: Path, prefix: OssUri, **options: Unpack[FolderOptions]) -> FolderReport:
    """Upload the files below a folder.

    :raises PaiConfigError: it is no folder, or not all of it can be read or be a key; nothing is written then.
    """
    sync = _Sync(**options)
    size = 0
    for name, path in files_below(folder, sync.patterns):
        object_uri("folder", prefix.join(name))
        size += path.stat().st_size
    progress = TransferProgress(oss.log, f"{folder} to {prefix}", size, clock=oss.clock)

    def move(name: str, path: Path, info: ObjectInfo | None) -> int | None:
        size = path.stat().st_size
        if info is not None and _is_copy(oss, path, info):
            progress.add(size)
            return None
        upload_file(oss, path, prefix.join(name), headers={}, threads=_THREADS_OF_A_FILE, progress=progress)
        return size

    pairs = paired(files_below(folder, sync.patterns), _objects(oss, prefix, sync.patterns))
    return _transfer(pairs, move, partial(_delete, oss), sync)


def download_folder(oss: OssListings, prefix: OssUri, folder: Path, **options: Unpack[FolderOptions]) -> FolderReport:
    """Download the objects below a prefix.

    :raises PaiConfigError: a key would lead out of the folder, or can't be a path there; nothing is written then.
    """
    sync = _Sync(**options)
    check_paths(prefix, folder, (name for name, _ in _objects(oss, prefix, sync.patterns)))
    progress = TransferProgress(oss.log, f"{prefix} to {folder}", 0, clock=oss.clock)

    def move(name: str, info: ObjectInfo, _: Path | None) -> int | None:
        path = local_path(folder, name)
        if path.is_file() and _is_copy(oss, path, info):
            return None
        return download_file(oss, info.uri, path, threads=_THREADS_OF_A_FILE, progress=progress)

    folder.mkdir(parents=True, exist_ok=True)
    here = files_below(folder, sync.patterns, follow=False) if sync.delete else ()
    return _transfer(paired(_objects(oss, prefix, sync.patterns), here), move, _unlink, sync)


def copy_folder(oss: OssListings, source: OssUri, target: OssUri, **options: Unpack[FolderOptions]) -> FolderReport:
    """Copy the objects below a prefix to another one, within OSS.

    :raises PaiConfigError: one prefix lies in the other, or a key would be too long; nothing is written then.
    """
    if source.bucket == target.bucket and (source.key.startswith(target.key) or target.key.startswith(source.key)):
        raise PaiConfigError("target", str(target), f"a prefix that has nothing to do with {source}")
    sync = _Sync(**options)
    objects = partial(_objects, oss, patterns=sync.patterns, markers=True)
    for name, _ in objects(source):
        object_uri("target", target.join(name))

    def move(name: str, info: ObjectInfo, other: ObjectInfo | None) -> int | None:
        if other is not None and _are_alike(oss, info, other):
            return None
        copy_object(oss, info.uri, target.join(name), version=None, headers={})
        return info.size

    return _transfer(paired(objects(source), objects(target)), move, partial(_delete, oss), sync)


def paired(
    source: Iterable[tuple[str, S]], target: Iterable[tuple[str, T]]
) -> Iterator[tuple[str, S | None, T | None]]:
    """Yield each name that source or target has, with what they have of it; both come in the order of their names.

    :raises PaiAnswerError: they do not, so that nobody knows what one of them lacks.
    """
    last = ""
    both = heapq.merge(((name, 0, item) for name, item in source), ((name, 1, item) for name, item in target))
    for name, found in groupby(both, key=itemgetter(0)):
        if name < last:
            raise PaiAnswerError("oss", "ListObjectsV2", f"{name!r} is listed behind {last!r}, out of order")
        last = name
        sides: dict[int, Any] = {side: item for _, side, item in found}
        yield name, sides.get(0), sides.get(1)


def _transfer(
    pairs: Iterable[tuple[str, S | None, T | None]],
    move: Callable[[str, S, T | None], int | None],
    delete: Callable[[Sequence[T]], None],
    sync: _Sync,
) -> FolderReport:
    """Move what is at the source, then delete what a sync finds at the target alone.

    :param move: returns the bytes that it moved; None: it is there.
    :raises PaiConfigError: a sync whose source has nothing at all.
    """
    gone: list[T] = []

    def wanted() -> Iterator[tuple[str, S, T | None]]:
        for name, here, there in pairs:
            if here is not None:
                yield name, here, there
            elif there is not None and sync.delete:
                gone.append(there)

    moved = unchanged = size = 0
    for bytes_moved in in_parallel(lambda each: move(*each), wanted(), sync.threads):
        moved, unchanged = moved + (bytes_moved is not None), unchanged + (bytes_moved is None)
        size += bytes_moved or 0
    if gone and not moved + unchanged and not sync.allow_empty:
        allowed = f"nothing is at the source, so that all {len(gone)} at the target would go; allow_empty=True if so"
        raise PaiConfigError("delete", True, allowed)
    delete(gone)
    return FolderReport(moved=moved, unchanged=unchanged, deleted=len(gone), size=size)


def _objects(
    oss: OssListings, prefix: OssUri, patterns: Patterns, *, markers: bool = False
) -> Iterator[tuple[str, ObjectInfo]]:
    """Yield the objects below a prefix with what their keys have beyond it.

    :param markers: with those of folders; that of the prefix itself never.
    """
    for info in oss.list_objects(prefix):
        name = info.uri.key[len(prefix.key) :]
        if name and (markers or not info.is_marker) and patterns.match(name):
            yield name, info


def _delete(oss: OssListings, infos: Sequence[ObjectInfo]) -> None:
    oss.delete_many(info.uri for info in infos)


def _unlink(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _is_copy(oss: OssListings, path: Path, info: ObjectInfo) -> bool:
    """Tell whether a file has an object's bytes.

    The ETag of an object that was put is the MD5 of its bytes; any other one is a value of its own (page "Data
    consistency validation"), and the CRC64 tells.
    """
    if path.stat().st_size != info.size:
        return False
    return (info.size <= _SMALL and _md5_of_file(path) == info.etag) or _crc(oss, info) == crc_of_file(path)


def _are_alike(oss: OssListings, one: ObjectInfo, other: ObjectInfo) -> bool:
    """Tell whether two objects have the same bytes, for all that is known."""
    if one.size != other.size or one.etag == other.etag:
        return one.size == other.size
    crc = _crc(oss, one)
    return crc is not None and crc == _crc(oss, other)


def _md5_of_file(path: Path) -> str:
    """Return the MD5 of a file as an ETag has it."""
    with path.open("rb") as file:
        digest: Any = hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False))
    return str(digest.hexdigest()).upper()


def _crc(oss: OssListings, info: ObjectInfo) -> int | None:
    """Return the CRC of an object; None: it is gone, or has none."""
    head = oss.head(info.uri)
    return int(head.crc64) if head is not None and head.crc64 else None
