"""Facts of objects and of their versions, as OSS lists them."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import NamedTuple

from airflow_provider_pai.uri import OssUri


class ObjectInfo(NamedTuple):
    """An object's facts; `crc64` (unsigned decimal) is known from HEAD, not from lists."""

    uri: OssUri
    size: int
    etag: str
    last_modified: datetime
    crc64: str | None = None
    storage_class: str = "Standard"
    version: str | None = None
    """Its version, in a bucket that has versioning."""
    server_time: datetime | None = None
    """OSS's own clock when it answered a HEAD."""

    @property
    def is_marker(self) -> bool:
        """Tell whether it stands for a folder: the console makes such an object, empty and with `/` at its end."""
        return self.uri.key.endswith("/") and not self.size


class VersionInfo(NamedTuple):
    """One version of an object, or a delete marker, which has no size."""

    uri: OssUri
    version: str
    is_latest: bool
    last_modified: datetime
    size: int | None
    etag: str | None

    @property
    def is_delete_marker(self) -> bool:
        """Tell whether this hides the object."""
        return self.size is None


class Fingerprint:
    """Digest over the keys, sizes and ETags of objects as they come, their bytes and their number."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0
        self.files = 0

    def add(self, key: str, size: int, etag: str) -> None:
        """Count an object.

        :param key: relative to what is described.
        """
        self._hash.update(f"{key}\0{size}\0{etag}\n".encode())
        self.size += size
        self.files += 1

    @property
    def digest(self) -> str:
        """Return `sha256:` of what was counted."""
        return f"sha256:{self._hash.hexdigest()}"
