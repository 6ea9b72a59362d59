"""Options that several verbs of OSS take alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypedDict

from airflow_provider_pai.hooks.oss.progress import TransferProgress


class WriteOptions(TypedDict, total=False):
    """Options of a write."""

    overwrite: bool
    """False: an object that exists stays as it is."""
    storage_class: str | None
    """None: the bucket's."""
    tags: Mapping[str, str] | None
    headers: Mapping[str, str] | None
    """Further ones, e.g. `Content-Type` and `x-oss-meta-…`."""


class TransferOptions(TypedDict, total=False):
    """Options of a file's way up or down."""

    threads: int
    """Parts side by side."""
    part_size: int | None
    """Bytes; None: what fits the size."""
    checkpoint: Path | None
    """File that remembers which parts are there, for the next process to go on; its name says nothing. None: a
    transfer that fails leaves nothing behind."""
    progress: TransferProgress | None
    """Counts the bytes; None: one of its own, in the task's log."""


class FolderOptions(TypedDict, total=False):
    """Options of a whole folder's way up, down or across."""

    include: Iterable[str] | str | None
    """Patterns of the paths below the folder, e.g. `*.csv`; None: all, an empty list: none."""
    exclude: Iterable[str] | str | None
    delete: bool
    """Delete what fits the patterns at the target and is not at the source: a sync."""
    allow_empty: bool
    """A sync deletes all of it where nothing is at the source; else that is refused: it may be so by mistake."""
    threads: int
    """Files side by side."""
