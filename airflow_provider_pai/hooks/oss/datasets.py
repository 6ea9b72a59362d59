"""Inputs of jobs as they were: the list of their objects, and what became of these since."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple

from airflow_provider_pai.artifact import RECORDS_FOLDER, DatasetChange, DatasetRef, is_record
from airflow_provider_pai.exceptions import (
    PaiArtifactError,
    PaiConfigError,
    PaiError,
    PaiNotFoundError,
    PaiPermissionError,
)
from airflow_provider_pai.hooks.oss.folder import paired
from airflow_provider_pai.hooks.oss.hook import OssHook
from airflow_provider_pai.hooks.oss.listings import prefix_uri
from airflow_provider_pai.hooks.oss.objects import Fingerprint, ObjectInfo, VersionInfo
from airflow_provider_pai.uri import OssUri

MOST_KEYS = 100
"""Keys of each kind that an artifact names of what differs."""

_NOT_KEPT = ("", "null")
"""What stands for the version of an object that the next write replaces for good."""


class Listed(NamedTuple):
    """An object of an input.

    :param key: what it has beyond the input's prefix.
    :param version: in a bucket that keeps them.
    """

    key: str
    size: int
    etag: str
    version: str = ""


def describe_dataset(oss: OssHook, name: str, uri: str | OssUri, keep: OssUri | None = None) -> DatasetRef:
    """Return what lies below a prefix at this moment; no more of it is held than a page.

    :param keep: address for the list of the objects.
    :raises PaiNotFoundError: there is not one yet.
    """
    prefix, total, versioned, records = prefix_uri(uri).folder, Fingerprint(), True, 0
    with oss.writer(keep) if keep else nullcontext() as file:
        for item in _all_objects(oss, prefix, versions=True):
            if is_record(item.key):
                records += 1
                continue
            total.add(item.key, item.size, item.etag)
            versioned = versioned and item.version not in _NOT_KEPT
            if file is not None:
                file.write(json.dumps(item._asdict()).encode() + b"\n")
        if not total.files:
            field, needed = f"inputs[{name!r}]", "a prefix with at least one object"
            raise PaiNotFoundError.of("oss", "ListObjects", field, str(uri), needed)
    if records:
        text = "Input %s: %d objects below %s are records of runs (%s): a mount shows them, but they are not counted"
        oss.log.warning(text, name, records, prefix, RECORDS_FOLDER)
    return DatasetRef(
        name=name, uri=str(prefix), digest=total.digest, size=total.size, files=total.files, versioned=versioned
    )


def current_objects(oss: OssHook, prefix: OssUri, *, versions: bool = False) -> Iterator[Listed]:
    """Yield the objects below a prefix in the order of their keys, but for records of runs and what stands for folders.

    :param versions: with their versions, in a bucket that keeps them and lets us list them.
    """
    return (item for item in _all_objects(oss, prefix, versions=versions) if not is_record(item.key))


def _all_objects(oss: OssHook, prefix: OssUri, *, versions: bool) -> Iterator[Listed]:
    for info in _with_versions(oss, prefix) if versions else oss.list_objects(prefix):
        key, size = info.uri.key[len(prefix.key) :], info.size or 0
        if key and (size or not key.endswith("/")):
            yield Listed(key, size, info.etag or "", info.version or "")


def _with_versions(oss: OssHook, prefix: OssUri) -> Iterator[ObjectInfo | VersionInfo]:
    told = False
    try:
        if oss.bucket_versioning(prefix.bucket):
            for info in oss.versions(prefix):
                told = True
                if info.is_latest and not info.is_delete_marker:
                    yield info
            return
    except PaiPermissionError as error:
        if told:
            raise
        oss.log.warning("The versions of what lies at %s are not kept in mind: %s", prefix, error)
    yield from oss.list_objects(prefix)


def kept_list(oss: OssHook, at: OssUri, digest: str) -> Iterator[Listed]:
    """Yield the objects of a list that was kept.

    :param digest: of the input.
    :raises PaiNotFoundError: it is gone.
    :raises PaiArtifactError: it is not the list that was kept.
    """
    total = Fingerprint()
    try:
        for line in oss.lines(at):
            item = Listed(**json.loads(line))
            total.add(item.key, item.size, item.etag)
            yield item
    except (PaiConfigError, ValueError, TypeError) as error:
        raise PaiArtifactError(f"{at} is no list of an input's objects: {error}") from None
    if total.digest != digest:
        raise PaiArtifactError(f"{at} has digest {total.digest}, and the input had {digest}")


def read_again(oss: OssHook, ref: DatasetRef, kept: OssUri) -> DatasetRef:
    """Return an input with what became of its objects since they were listed; where nobody can tell, it says so.

    :param kept: address of the list.
    """
    at = OssUri.parse(ref.pinned or ref.uri)
    try:
        before, now = kept_list(oss, kept, ref.digest), current_objects(oss, at)
        return replace(ref, change=difference(before, now, copies=bool(ref.pinned)))
    except PaiError as error:
        return replace(ref, change=DatasetChange(unread=str(error)))


def difference(before: Iterable[Listed], now: Iterable[Listed], *, copies: bool = False) -> DatasetChange:
    """Return what was replaced, removed and added; both come in the order of their keys.

    :param copies: what is there now are copies, of which names and sizes count: an object that came in parts has
        another ETag there (page "Data consistency validation").
    :raises PaiAnswerError: they are out of order, so that nobody knows what one of them lacks.
    """
    replaced: list[str] = []
    removed: list[str] = []
    added: list[str] = []
    further = 0
    sides = (((item.key, item) for item in each) for each in (before, now))
    for key, old, new in paired(*sides):
        if old and new and old.size == new.size and (copies or old.etag == new.etag):
            continue
        keys = added if old is None else removed if new is None else replaced
        if len(keys) < MOST_KEYS:
            keys.append(key)
        else:
            further += 1
    return DatasetChange(replaced=tuple(replaced), removed=tuple(removed), added=tuple(added), further=further)
