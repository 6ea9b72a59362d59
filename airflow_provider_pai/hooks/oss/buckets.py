"""Calls to OSS on whole buckets."""

from __future__ import annotations

from functools import partial
from typing import Any

from airflow_provider_pai.exceptions import PaiNotFoundError
from airflow_provider_pai.hooks.answers import AnswerError
from airflow_provider_pai.hooks.oss.calls import OssCalls
from airflow_provider_pai.hooks.oss.client import sdk
from airflow_provider_pai.hooks.oss.headers import STORAGE_CLASSES
from airflow_provider_pai.inputs import one_of
from airflow_provider_pai.uri import OssUri

_PAGE = 1000


class OssBuckets(OssCalls):
    """Buckets."""

    def ping(self) -> None:
        """Ask for one bucket's name."""
        self.call("ListBuckets", lambda: self.client.list_buckets(max_keys=1))

    def create_bucket(self, name: str, *, storage_class: str = "Standard", redundancy: str = "LRS") -> None:
        """Create a bucket; one that is ours already is no error.

        :param redundancy: LRS or ZRS.
        """
        one_of("storage_class", storage_class, STORAGE_CLASSES)
        one_of("redundancy", redundancy, ("LRS", "ZRS"))
        config = sdk().models.BucketCreateConfig(storage_class, redundancy)
        self.call_for("PutBucket", OssUri(name), lambda: self.bucket(name).create_bucket(input=config))

    def delete_bucket(self, name: str) -> None:
        """Delete an empty bucket.

        :raises PaiConflictError: it is not empty.
        :raises PaiNotFoundError: there is none; one that is gone since an answer was lost is deleted.
        """
        sent = 0

        def once() -> Any:
            nonlocal sent
            sent += 1
            return self.bucket(name).delete_bucket()

        try:
            self.call_for("DeleteBucket", OssUri(name), once)
        except PaiNotFoundError:
            if sent == 1:
                raise

    def bucket_names(self) -> list[str]:
        """Return the names of all the account's buckets."""
        names: list[str] = []
        marker = ""
        while True:
            page = self.call("ListBuckets", partial(self._bucket_page, marker))
            names += [bucket.name for bucket in page.buckets]
            if not page.is_truncated:
                return names
            marker = page.next_marker

    def _bucket_page(self, marker: str) -> Any:
        page = self.client.list_buckets(marker=marker, max_keys=_PAGE)
        if page.is_truncated and not page.next_marker > marker:
            raise AnswerError(f"IsTruncated is true, and the next marker is {page.next_marker!r}")
        return page

    def bucket_exists(self, name: str) -> bool:
        """Tell whether a bucket exists.

        :raises PaiPermissionError: it is somebody else's.
        """
        try:
            self._info(name)
        except PaiNotFoundError:
            return False
        return True

    def need_bucket(self, field: str, uri: OssUri) -> None:
        """Make sure that the bucket of an address exists.

        :param field: the argument that has it.
        :raises PaiNotFoundError: it does not.
        :raises PaiPermissionError: it is somebody else's.
        """
        if not self.bucket_exists(uri.bucket):
            raise PaiNotFoundError.of("oss", "GetBucketInfo", field, str(uri), "a prefix in a bucket that exists")

    def bucket_region(self, name: str) -> str:
        """Return the region that a bucket lies in, e.g. `cn-hangzhou`.

        :raises PaiNotFoundError: there is no such bucket.
        """
        return str(self._info(name).location).removeprefix("oss-")

    def bucket_versioning(self, name: str) -> str:
        """Return `Enabled`, `Suspended`, or nothing for a bucket that never had versioning.

        :raises PaiNotFoundError: there is no such bucket.
        """
        return self._info(name).versioning_status or ""

    def _info(self, name: str) -> Any:
        return self.call_for("GetBucketInfo", OssUri(name), lambda: self.bucket(name).get_bucket_info())
