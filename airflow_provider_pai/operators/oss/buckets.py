"""Operators on OSS buckets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import flag, parse_uri, required
from airflow_provider_pai.operators.oss.base import OssOperator
from airflow_provider_pai.uri import OssUri


class OssCreateBucketOperator(OssOperator):
    """Create a bucket; one of ours that exists is no error.

    :param bucket: its name. (templated)
    :param storage_class: Standard, IA, Archive, ColdArchive or DeepColdArchive.
    :param redundancy: LRS or ZRS.
    """

    about = "Make bucket {bucket}"
    came = "Bucket {bucket} is there"

    template_fields: Sequence[str] = ("bucket",)

    def __init__(self, *, bucket: str, storage_class: str = "Standard", redundancy: str = "LRS", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bucket = bucket
        self.storage_class = storage_class
        self.redundancy = redundancy

    def carry_out(self, context: Any) -> None:
        """Create it."""
        name = _bucket(self.bucket).bucket
        self.hook.create_bucket(name, storage_class=self.storage_class, redundancy=self.redundancy)


class OssDeleteBucketOperator(OssOperator):
    """Delete a bucket; one that does not exist is no error.

    :param bucket: its name. (templated)
    :param force: delete its objects first, all their versions too.
    """

    about = "Delete bucket {bucket}"
    came = "Bucket {bucket} is gone"

    template_fields: Sequence[str] = ("bucket",)

    def __init__(self, *, bucket: str, force: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bucket = bucket
        self.force = flag("force", force)

    def carry_out(self, context: Any) -> None:
        """Delete it.

        :raises PaiConflictError: it is not empty.
        """
        whole = _bucket(self.bucket)
        if not self.hook.bucket_exists(whole.bucket):
            return
        if self.force:
            for each in self.hook.versions(whole):
                self.hook.delete(each.uri, version=each.version)
            self.hook.delete_many(info.uri for info in self.hook.list_objects(whole))
        self.hook.delete_bucket(whole.bucket)


def _bucket(name: str) -> OssUri:
    """Read the name of a bucket.

    :raises PaiConfigError: it is none.
    """
    read = required("bucket", name, "a bucket's name alone")
    if "/" in read or "." in read:
        raise PaiConfigError("bucket", name, "a bucket's name alone")
    return parse_uri("bucket", f"oss://{read}")
