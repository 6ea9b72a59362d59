"""Buckets, objects and uploads of the account: state and rules of OSS."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.oss.configs import encryption_of
from airflow_provider_pai.emulator.oss.errors import (
    OssError,
    another_region,
    invalid_argument,
    no_such_bucket,
    position_not_equal_to_length,
)
from airflow_provider_pai.emulator.oss.files import Files
from airflow_provider_pai.emulator.oss.index import Index
from airflow_provider_pai.emulator.oss.listing import Cursor
from airflow_provider_pai.emulator.oss.names import check_bucket, check_key, path_of
from airflow_provider_pai.emulator.oss.objects import Objects
from airflow_provider_pai.emulator.oss.staging import Staged
from airflow_provider_pai.emulator.oss.stored import StoredObject
from airflow_provider_pai.emulator.oss.uploads import Uploads
from airflow_provider_pai.emulator.oss.versions import Versions

STORAGE_CLASSES = ("Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive")


@dataclass(frozen=True)
class Bucket:
    """A bucket of the account."""

    name: str
    created: str
    """`2026-11-22T06:51:18.000Z`."""
    storage_class: str
    redundancy: str
    acl: str = "private"
    group: str = "rg-default"
    """Its resource group."""
    region: str = ""
    """Where it is; empty: in the emulator's own region."""


def unique_etag(staged: Staged) -> str:
    """Return an ETag that is not the MD5 of the bytes."""
    return f"{staged.hash.etag}-0"


class OssBackend:
    """OSS of one account; objects are files below `<data>/oss`. Methods block on the disk; call them from threads."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.root = account.data / "oss"
        private = self.root / ".pai-emulator"
        private.mkdir(parents=True, exist_ok=True)
        self._index = Index(private / "index.sqlite")
        self.files = Files(self.root, self._index)
        self.versions = Versions(self.files, self._index)
        self.objects = Objects(self.files, self.versions, self._index)
        self.uploads = Uploads(private / "parts", self._index, self.files, self.objects)

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def folder(self, bucket: str, prefix: str, *, appends: bool = True) -> Path:
        """Return the folder that holds the objects below a prefix, to be mounted; it need not exist.

        :param appends: False: from now on a file in it is an object only when no process has it open for writing.
        :raises OssError: NoSuchBucket, InvalidObjectName (a prefix that can't be a path, or that a job made a link).
        """
        self.bucket(bucket)
        relative = path_of(prefix.strip("/")) if prefix.strip("/") else ""
        folder = self.root / bucket / (relative or "")
        if relative is None or os.path.realpath(folder) != str(folder):
            raise OssError(400, "InvalidObjectName", f"The prefix {prefix!r} can't be mounted: it is no path.")
        return self.files.pin(folder, appends=appends)

    def is_empty(self, bucket: str, prefix: str) -> bool:
        """Tell whether no object has a prefix."""
        self.bucket(bucket)
        page, _ = self.objects.page(bucket, Cursor(prefix=prefix.encode()), "", 1)
        return not page.keys

    def bucket(self, name: str) -> Bucket:
        """Return a bucket.

        :raises OssError: InvalidBucketName, NoSuchBucket, AccessDenied (it is in another region).
        """
        body = self._index.bucket(check_bucket(name))
        if body is None:
            raise no_such_bucket()
        bucket = Bucket(name, **body)
        if bucket.region and bucket.region != self.account.settings.region:
            raise another_region(bucket.region)
        return bucket

    def buckets(self) -> list[Bucket]:
        """Return the account's buckets in the order of their names."""
        return [Bucket(name, **body) for name, body in self._index.buckets()]

    def create_bucket(
        self,
        name: str,
        storage_class: str = "Standard",
        redundancy: str = "LRS",
        acl: str = "private",
        region: str = "",
    ) -> None:
        """Create a bucket; one that exists already is left as it is.

        :param region: another one than the emulator's: then every call is refused as OSS refuses it.
        :raises OssError: InvalidBucketName, InvalidStorageClass.
        """
        check_bucket(name)
        if storage_class not in STORAGE_CLASSES:
            raise OssError(400, "InvalidStorageClass", f"The storage class {storage_class!r} is not valid.")
        with self.files.lock:
            if self._index.bucket(name) is None:
                (self.root / name).mkdir(exist_ok=True)
                created = self.account.now().strftime("%Y-%m-%dT%H:%M:%S.000Z")
                bucket = Bucket(name, created, storage_class, redundancy, acl, region=region)
                self._put(bucket)

    def set_acl(self, name: str, acl: str) -> None:
        """Change who may do what without a signature.

        :raises OssError: NoSuchBucket.
        """
        self._put(replace(self.bucket(name), acl=acl))

    def _put(self, bucket: Bucket) -> None:
        body = asdict(bucket)
        self._index.put_bucket(body.pop("name"), body)

    def config(self, bucket: str, name: str) -> bytes | None:
        """Return a configuration of a bucket, None if none was put.

        :raises OssError: NoSuchBucket.
        """
        self.bucket(bucket)
        return self._index.config(bucket, name)

    def put_config(self, bucket: str, name: str, body: bytes | None) -> None:
        """Keep a configuration of a bucket, or (None) forget it.

        :raises OssError: NoSuchBucket.
        """
        self.bucket(bucket)
        self._index.put_config(bucket, name, body)

    def delete_bucket(self, name: str) -> None:
        """Delete a bucket without objects and uploads; empty folders in it go with it.

        :raises OssError: NoSuchBucket, BucketNotEmpty.
        """
        self.bucket(name)
        with self.files.lock:
            if not self.objects.is_empty(name) or self.uploads.all(name):
                raise OssError(409, "BucketNotEmpty", "The bucket you tried to delete is not empty.")
            self._index.drop_bucket(name)
            shutil.rmtree(self.root / name, ignore_errors=True)

    def check_append(self, bucket: str) -> None:
        """Refuse an append where the bucket encrypts by a key of its user's own.

        Page AppendObject: such a key can't be given for appendable objects. Whether a bucket's rule does is not told.

        :raises OssError: NoSuchBucket, InvalidArgument.
        """
        key = encryption_of(self.config(bucket, "encryption")).get("KMSMasterKeyID")
        if key and self.account.world.oss_kms_append == "refused":
            raise invalid_argument("A KMS key can't be specified for an appendable object.", "KMSMasterKeyID", key)

    def copy_etag(self, staged: Staged) -> str | None:
        """Return the ETag of a copy; None: the MD5.

        Page "Data consistency validation": the MD5 is that of PutObject; other methods make "a unique value". Whether
        CopyObject is one of these is not told.
        """
        return unique_etag(staged) if self.account.world.oss_copy_etag == "own" else None

    def append_base(self, bucket: str, key: str, position: int) -> StoredObject | None:
        """Return the object that an append goes on from, None for a new one.

        :raises OssError: ObjectNotAppendable, PositionNotEqualToLength.
        """
        current = self.files.find(bucket, key)
        if current is not None and current.attributes.kind != "Appendable":
            raise OssError(409, "ObjectNotAppendable", "The object is not appendable")
        length = current.size if current else 0
        if position != length:
            raise position_not_equal_to_length(length)
        return current

    def check_names(self, bucket: str, key: str) -> None:
        """Refuse names that OSS refuses, and buckets that don't exist.

        :raises OssError: InvalidBucketName, NoSuchBucket, InvalidObjectName.
        """
        self.bucket(bucket)
        if key:
            check_key(key)
