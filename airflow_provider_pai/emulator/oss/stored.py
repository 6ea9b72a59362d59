"""Stored object: its key, its file and what is known of it, as the backend hands it out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_pai.emulator.oss.index import Attributes, Record


@dataclass(frozen=True)
class StoredObject:
    """An object, its file and what is known about this state of the file."""

    key: str
    path: Path
    record: Record

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return self.record.size

    @property
    def etag(self) -> str:
        """Return the ETag without its quotes."""
        return self.record.etag

    @property
    def attributes(self) -> Attributes:
        """Return headers, tags and kind."""
        return self.record.attributes

    def storage_class(self, default: str) -> str:
        """Return the storage class: its own, else its bucket's."""
        return self.attributes.headers.get("x-oss-storage-class", default)

    @property
    def modified(self) -> datetime:
        """Return the time of the last change, in whole seconds as OSS keeps it."""
        return datetime.fromtimestamp(self.record.mtime_ns // 1_000_000_000, UTC)
