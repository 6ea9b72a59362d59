"""Calls to OSS on whole buckets."""

from __future__ import annotations

from functools import partial
from typing import Any

from airflow_provider_pai.exceptions import PaiNotFoundError
from airflow_provider_pai.hooks.oss.calls import OssCalls
from airflow_provider_pai.hooks.oss.client import sdk
from airflow_provider_pai.hooks.oss.headers import STORAGE_CLASSES
from airflow_provider_pai.inputs import one_of
from airflow_provider_pai.uri import OssUri


class OssBuckets(OssCalls):
    """Buckets."""

    def ping(self) -> None:
        """Ask for one bucket's name."""
        self.bucket_names(limit=1)

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
        """
        self.call_for("DeleteBucket", OssUri(name), lambda: self.bucket(name).delete_bucket())

    def bucket_names(self, limit: int = 100) -> list[str]:
        """Return the names of the account's buckets."""
        list_buckets = partial(self.client.list_buckets, max_keys=limit)
        return self.call("ListBuckets", lambda: [bucket.name for bucket in list_buckets().buckets])

    def bucket_exists(self, name: str) -> bool:
        """Tell whether a bucket exists.

        :raises PaiPermissionError: it is somebody else's.
        """
        try:
            self._info(name)
        except PaiNotFoundError:
            return False
        return True

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
