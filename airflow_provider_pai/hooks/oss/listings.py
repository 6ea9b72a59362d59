"""Listings: the objects and versions below a prefix, and what is done with all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import groupby, islice
from typing import Any, NamedTuple, TypeVar

from airflow_provider_pai.hooks.answers import AnswerError, present
from airflow_provider_pai.hooks.oss.calls import OssCalls
from airflow_provider_pai.hooks.oss.objects import Fingerprint, ObjectInfo, VersionInfo
from airflow_provider_pai.hooks.oss.patterns import Patterns, fixed_prefix
from airflow_provider_pai.hooks.paging import chained_pages
from airflow_provider_pai.inputs import object_uri, parse_uri
from airflow_provider_pai.uri import OssUri

PAGE = 1000
"""Objects in a page of a listing, and in a deletion."""

# What XML can't bear, or changes on the way: a carriage return comes out of it as a line feed, another object's name.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")

T = TypeVar("T")


class _Page(NamedTuple):
    """A page of a listing, and the token of the next one."""

    objects: list[ObjectInfo]
    prefixes: list[OssUri]
    following: str | None


class OssListings(OssCalls):
    """Objects below a prefix."""

    def list_objects(self, uri: str | OssUri, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose keys begin with the address's key, in key order, page by page."""
        address = prefix_uri(uri)
        for page in self._pages(address, start_after=start_after):
            yield from page.objects

    def list_folder(self, uri: str | OssUri) -> tuple[list[ObjectInfo], list[OssUri]]:
        """Return one level below a prefix: its objects and, each ending in `/`, the prefixes below it."""
        address = prefix_uri(uri).folder
        objects: list[ObjectInfo] = []
        prefixes: list[OssUri] = []
        for page in self._pages(address, delimiter="/"):
            objects += page.objects
            prefixes += page.prefixes
        return objects, prefixes

    def find(self, uri: str | OssUri) -> Iterator[ObjectInfo]:
        """Yield the object of this name, else those whose keys fit it as a pattern; `*` stands for `/` too."""
        address = object_uri("uri", uri)
        first = next(self.list_objects(address), None)
        if first is not None and first.uri == address:
            yield first
            return
        patterns = Patterns((address.key,))
        objects = self.list_objects(OssUri(address.bucket, fixed_prefix(address.key)))
        yield from (info for info in objects if patterns.match(info.uri.key))

    def versions(self, uri: str | OssUri) -> Iterator[VersionInfo]:
        """Yield every version of the objects whose keys begin with the address's key; of one page newest first."""
        address = prefix_uri(uri)
        bucket = self.bucket(address.bucket)

        def page(markers: tuple[str, str] | None) -> tuple[list[VersionInfo], tuple[str, str] | None]:
            key, version = markers or ("", "")

            def read() -> tuple[list[VersionInfo], tuple[str, str] | None]:
                listed = bucket.list_object_versions(
                    address.key, key_marker=key, versionid_marker=version, max_keys=PAGE
                )
                items = [_version(address.bucket, item) for item in [*listed.versions, *listed.delete_marker]]
                return items, _following(listed, (listed.next_key_marker, listed.next_versionid_marker), markers)

            return self.call_for("ListObjectVersions", address, read)

        return chained_pages(page)

    def digest(self, prefix: OssUri) -> tuple[str, int, int]:
        """Return a digest over the keys, sizes and ETags below a prefix, their bytes and their number."""
        total = Fingerprint()
        for item in self.list_objects(prefix):
            if not item.is_marker:
                total.add(item.uri.key[len(prefix.key) :], item.size, item.etag)
        return total.digest, total.size, total.files

    def delete_many(self, uris: Iterable[str | OssUri] | str | OssUri) -> int:
        """Delete objects, or one, 1,000 at a time, and return their number; missing ones are no error.

        What XML can't name, and what the answer (page DeleteMultipleObjects) does not name as deleted, goes alone.
        """
        count = 0
        uris = [uris] if isinstance(uris, str | OssUri) else uris
        for bucket, group in groupby((object_uri("uris", uri) for uri in uris), lambda uri: uri.bucket):
            while batch := list(islice(group, PAGE)):
                deleted = self._delete_together(bucket, [uri.key for uri in batch if not _NOT_IN_XML.search(uri.key)])
                for uri in batch:
                    if uri.key not in deleted:
                        self.delete(uri)
                count += len(batch)
        return count

    def _delete_together(self, bucket: str, keys: list[str]) -> set[str]:
        """Delete objects in one call; return the keys that its answer names."""
        if not keys:
            return set()
        delete = partial(self.bucket(bucket).batch_delete_objects, keys)
        return set(self.call_for("DeleteMultipleObjects", OssUri(bucket), lambda: delete().deleted_keys))

    def delete_folder(
        self,
        uri: str | OssUri,
        *,
        include: Iterable[str] | str | None = None,
        exclude: Iterable[str] | str | None = None,
    ) -> int:
        """Delete what lies below a prefix and return the number of objects.

        :raises PaiConfigError: the prefix is the whole bucket.
        """
        prefix = object_uri("uri", uri).folder
        patterns = Patterns(include, exclude)
        uris = (info.uri for info in self.list_objects(prefix) if patterns.match(info.uri.key[len(prefix.key) :]))
        return self.delete_many(uris)

    def _pages(self, address: OssUri, *, delimiter: str = "", start_after: str = "") -> Iterator[_Page]:
        """Yield pages; the next one is asked for while one is read."""
        bucket = self.bucket(address.bucket)

        def read(token: str) -> _Page:
            listed = bucket.list_objects_v2(
                address.key, delimiter, continuation_token=token, start_after=start_after, max_keys=PAGE
            )
            return _Page(
                [_info(address.bucket, item) for item in listed.object_list],
                [OssUri(address.bucket, present(prefix, "Prefix")) for prefix in listed.prefix_list],
                _following(listed, listed.next_continuation_token, token),
            )

        def fetch(token: str) -> _Page:
            return self.call_for("ListObjectsV2", address, lambda: read(token))

        page = fetch("")
        if not page.following:
            yield page
            return
        with ThreadPoolExecutor(1) as ahead:
            while page.following:
                following = ahead.submit(fetch, page.following)
                yield page
                page = following.result()
            yield page


def prefix_uri(uri: str | OssUri) -> OssUri:
    """Read the address of a prefix, which may be a whole bucket.

    :raises PaiConfigError: it is none.
    """
    return uri if isinstance(uri, OssUri) else parse_uri("uri", uri)


def _following(listed: Any, marker: T, before: T | None) -> T | None:
    """Return where the next page begins; None: there is none.

    :raises AnswerError: there is one, and nothing, or the page before, is said to be it.
    """
    if not listed.is_truncated:
        return None
    if not marker or marker in (before, ("", "")):
        raise AnswerError("IsTruncated is true, and no next marker is given")
    return marker


def _info(bucket: str, item: Any) -> ObjectInfo:
    return ObjectInfo(
        uri=OssUri(bucket, present(item.key, "Key")),
        size=present(item.size, "Size"),
        etag=present(item.etag, "ETag"),
        last_modified=datetime.fromtimestamp(item.last_modified, UTC),
        storage_class=item.storage_class,
    )


def _version(bucket: str, item: Any) -> VersionInfo:
    return VersionInfo(
        uri=OssUri(bucket, present(item.key, "Key")),
        version=item.versionid,
        is_latest=item.is_latest,
        last_modified=datetime.fromtimestamp(item.last_modified, UTC),
        size=getattr(item, "size", None),
        etag=getattr(item, "etag", None),
    )
