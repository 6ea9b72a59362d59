"""Earlier versions of objects, and delete markers, of buckets with versioning.

The newest version is the object's own file, so that a mount shows it. What was replaced lies below
`.pai-emulator/aside`, and comes back when everything newer is deleted. Rules followed: "Versioning" of OSS.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from airflow_provider_pai.emulator.oss.errors import OssError, invalid_argument, no_such_version
from airflow_provider_pai.emulator.oss.files import Files
from airflow_provider_pai.emulator.oss.index import Index, Record, Version
from airflow_provider_pai.emulator.oss.listing import Cursor, take_page
from airflow_provider_pai.emulator.oss.stored import StoredObject

_ID = re.compile(r"CAE[\w-]{17,}")
_STATUS = re.compile(rb"<Status>(Enabled|Suspended)</Status>")


@dataclass(frozen=True)
class Deleted:
    """The effect of a delete: `marker` tells whether one was made, or was what is gone."""

    version: str = ""
    marker: bool = False


@dataclass(frozen=True)
class Listed:
    """One entry of a listing of versions; a delete marker has no object."""

    key: str
    version: str
    mtime_ns: int
    stored: StoredObject | None
    latest: bool


@dataclass(frozen=True)
class VersionPage:
    """One page of a listing of versions."""

    entries: list[Listed]
    prefixes: list[str]
    truncated: bool
    next_key: str
    next_version: str


class Versions:
    """The earlier versions of every bucket's objects; whoever changes something holds the files' lock."""

    def __init__(self, files: Files, index: Index) -> None:
        self._files = files
        self._index = index
        self._sweep()

    def _sweep(self) -> None:
        """Forget what a killed emulator began to put away, or had brought back."""
        for bucket, _ in self._index.buckets():
            for key in self._index.versioned_keys(bucket, "", ""):
                current = self._files.find(bucket, key)
                for each in self._earlier(bucket, key):
                    if each.record is None:
                        continue
                    file = self._files.aside / each.record.aside
                    if not file.exists() or (current and file.samefile(current.path)):
                        self._drop(each)

    def status(self, bucket: str) -> str:
        """Return `Enabled`, `Suspended`, or nothing for a bucket that never had versioning."""
        match = _STATUS.search(self._index.config(bucket, "versioning") or b"")
        return match[1].decode() if match else ""

    def make_room(self, bucket: str, key: str) -> str:
        """Keep the newest version if versioning asks for it, and return the id of the one that follows."""
        status = self.status(bucket)
        if not status:
            return ""
        self._put_away(bucket, key, status)
        return _new_id() if status == "Enabled" else ""

    def get(self, bucket: str, key: str, version: str) -> StoredObject:
        """Return one version.

        :raises OssError: InvalidArgument, NoSuchVersion, MethodNotAllowed (a delete marker).
        """
        wanted = _checked(version)
        current = self._files.find(bucket, key)
        if current is not None and current.record.version == wanted:
            return current
        earlier = self._find(bucket, key, wanted)
        if earlier is None:
            raise no_such_version()
        if earlier.record is None:
            headers = {"x-oss-delete-marker": "true", "x-oss-version-id": version_id(earlier.id)}
            raise OssError(405, "MethodNotAllowed", "The specified method is not allowed.", headers=headers)
        return StoredObject(key, self._files.aside / earlier.record.aside, earlier.record)

    def update(self, bucket: str, stored: StoredObject, record: Record) -> None:
        """Replace the record of an earlier version.

        :raises OssError: NoSuchVersion.
        """
        earlier = self._find(bucket, stored.key, stored.record.version)
        if earlier is None:
            raise no_such_version()
        self._index.put_version(earlier, record)

    def marker_headers(self, bucket: str, key: str) -> dict[str, str]:
        """Return what the refusal of a deleted object tells: whether a delete marker hides it."""
        newest = next(iter(self._earlier(bucket, key)), None)
        if newest is None or newest.record is not None:
            return {}
        return {"x-oss-delete-marker": "true", "x-oss-version-id": version_id(newest.id)}

    def delete(self, bucket: str, key: str, version: str | None = None) -> Deleted:
        """Delete one version for good, or (None) the object, which leaves a delete marker where versions are kept."""
        with self._files.lock:
            if version is not None:
                return self._delete_version(bucket, key, _checked(version))
            status = self.status(bucket)
            if not status:
                self._files.remove(bucket, key)
                return Deleted()
            self._put_away(bucket, key, status)
            marker = _new_id() if status == "Enabled" else ""
            self._index.add_version(bucket, key, marker, time.time_ns())
            self._files.remove(bucket, key)
            return Deleted(version_id(marker), marker=True)

    def keys(self, bucket: str, cursor: Cursor) -> Iterator[bytes]:
        """Yield the keys that have earlier versions, in order."""
        after, prefix = cursor.after.decode(errors="ignore"), cursor.prefix.decode(errors="ignore")
        return (key.encode() for key in self._index.versioned_keys(bucket, after, prefix))

    def page(self, bucket: str, prefix: str, delimiter: str, limit: int, after: tuple[str, str]) -> VersionPage:
        """Return one page of all versions, those of a key from the newest to the oldest.

        :param after: key and version after which the page begins; no version: after all of the key's.
        """
        key_marker, version_marker = after
        rest: list[Listed] = []
        if version_marker:
            entries = self._all(bucket, [key_marker]).get(key_marker, [])
            known = [each.version for each in entries]
            rest = entries[known.index(version_marker) + 1 :] if version_marker in known else []
        cursor = Cursor(prefix.encode(), key_marker.encode())
        sources = [*self._files.sources(bucket, cursor), self.keys(bucket, cursor)]
        page = take_page(sources, cursor, delimiter, limit)
        listed = rest + [each for entries in self._all(bucket, page.keys).values() for each in entries]
        shown, prefixes = listed[:limit], page.prefixes
        truncated = page.truncated or len(listed) > limit
        if len(listed) > limit or len(listed) + len(prefixes) > limit:
            last = shown[-1]
            prefixes = [each for each in prefixes if each <= last.key]
            return VersionPage(shown, prefixes, truncated=True, next_key=last.key, next_version=last.version)
        return VersionPage(listed, prefixes, truncated, page.last if truncated else "", "")

    def _all(self, bucket: str, keys: list[str]) -> dict[str, list[Listed]]:
        current = {each.key: each for each in self._files.describe_all(bucket, keys)}
        earlier = self._index.versions(bucket, keys)
        entries_of: dict[str, list[Listed]] = {}
        for key in keys:
            entries: list[Listed] = []
            if newest := current.get(key):
                entries.append(
                    Listed(key, version_id(newest.record.version), newest.record.mtime_ns, newest, latest=True)
                )
            for each in earlier.get(key, []):
                stored = StoredObject(key, self._files.aside / each.record.aside, each.record) if each.record else None
                entries.append(Listed(key, version_id(each.id), each.mtime_ns, stored, latest=not entries))
            entries_of[key] = entries
        return entries_of

    def _earlier(self, bucket: str, key: str) -> list[Version]:
        return self._index.versions(bucket, [key]).get(key, [])

    def _find(self, bucket: str, key: str, version: str) -> Version | None:
        return next((each for each in self._earlier(bucket, key) if each.id == version), None)

    def _put_away(self, bucket: str, key: str, status: str) -> None:
        """Keep the newest version; where versioning is suspended, there is but one null version."""
        if status == "Suspended" and (null := self._find(bucket, key, "")):
            self._drop(null)
        current = self._files.find(bucket, key)
        if current is None or (status == "Suspended" and not current.record.version):
            return
        name = secrets.token_hex(16)
        os.link(current.path, self._files.aside / name)
        record = replace(current.record, aside=name)
        self._index.add_version(bucket, key, record.version, record.mtime_ns, record)

    def _delete_version(self, bucket: str, key: str, version: str) -> Deleted:
        current = self._files.find(bucket, key)
        if current is not None and current.record.version == version:
            self._files.remove(bucket, key)
            self._bring_back(bucket, key)
            return Deleted(version_id(version))
        earlier = self._find(bucket, key, version)
        if earlier is None:
            return Deleted(version_id(version))
        self._drop(earlier)
        if current is None:
            self._bring_back(bucket, key)
        return Deleted(version_id(version), marker=earlier.record is None)

    def _bring_back(self, bucket: str, key: str) -> None:
        """Make the newest of the earlier versions the object, unless it is a delete marker."""
        newest = next(iter(self._earlier(bucket, key)), None)
        if newest is not None and newest.record is not None:
            file = self._files.aside / newest.record.aside
            self._files.place(bucket, key, file, replace(newest.record, aside=""))
            self._index.drop_version(newest)

    def _drop(self, version: Version) -> None:
        self._index.drop_version(version)
        if version.record is not None:
            (self._files.aside / version.record.aside).unlink(missing_ok=True)


def version_id(version: str) -> str:
    """Write a version's id as OSS does."""
    return version or "null"


def _checked(version: str) -> str:
    if version == "null":
        return ""
    if not _ID.fullmatch(version):
        raise invalid_argument("Invalid version id specified", "versionId", version)
    return version


def _new_id() -> str:
    return f"CAEQ{secrets.token_urlsafe(45)}"
