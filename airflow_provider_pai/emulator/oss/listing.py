"""Listings of a bucket: its keys in their order, page by page.

Keys are compared as UTF-8 bytes. A folder is sorted as if its name ended in "/", so a walk meets the keys in exactly
the order in which OSS lists them, and need not look into a folder that lies before the marker or beside the prefix.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from airflow_provider_pai.emulator.oss.names import MAX_KEY_BYTES

# Greater than every continuation of a key: no UTF-8 text holds this byte.
_AFTER_ALL = b"\xff"


@dataclass
class Cursor:
    """The keys that are wanted: greater than `after`, beginning with `prefix`. It may be moved on during a walk."""

    prefix: bytes = b""
    after: bytes = b""

    def skip(self, prefix: bytes) -> None:
        """Pass over every key that begins with this."""
        self.after = prefix + _AFTER_ALL

    def wants(self, key: bytes) -> bool:
        """Tell whether a key is wanted."""
        return key > self.after and key.startswith(self.prefix)

    def may_want(self, folder: bytes) -> bool:
        """Tell whether a key below a folder (it ends in "/") can be wanted."""
        beyond = folder > self.after or self.after.startswith(folder)
        return beyond and (folder.startswith(self.prefix) or self.prefix.startswith(folder))


def walk(root: bytes, cursor: Cursor, is_object: Callable[[os.DirEntry[bytes]], bool]) -> Iterator[bytes]:
    """Yield the wanted keys of the files below a folder, in order."""
    stack = [iter([b""])]
    while stack:
        name = next(stack[-1], None)
        if name is None:
            stack.pop()
        elif name and not name.endswith(b"/"):
            if cursor.wants(name):
                yield name
        elif not name or cursor.may_want(name):
            stack.append(iter(_entries(root, name, cursor, is_object)))


def _entries(
    root: bytes, folder: bytes, cursor: Cursor, is_object: Callable[[os.DirEntry[bytes]], bool]
) -> list[bytes]:
    """Return the keys of a folder's files and (ending in "/") folders in order, without those not wanted."""
    names = []
    try:
        with os.scandir(os.path.join(root, folder)) as entries:  # noqa: PTH118 - bytes
            for entry in entries:
                key = folder + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if cursor.may_want(key + b"/"):
                        names.append(key + b"/")
                elif cursor.wants(key) and _is_key(key) and is_object(entry):
                    names.append(key)
    except (FileNotFoundError, NotADirectoryError):
        return []  # deleted while we walked
    return sorted(names)


def _is_key(name: bytes) -> bool:
    if len(name) > MAX_KEY_BYTES:
        return False
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


@dataclass
class Page:
    """One page of a listing."""

    keys: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    truncated: bool = False
    last: str = ""
    """The key or prefix after which the next page begins."""

    def __len__(self) -> int:
        return len(self.keys) + len(self.prefixes)


def take_page(sources: list[Iterator[bytes]], cursor: Cursor, delimiter: str, limit: int) -> Page:
    """Take one page off sorted sources, folding what has the delimiter after the prefix into prefixes."""
    result = Page()
    marker, folded = cursor.after, delimiter.encode()
    for key in _unique(sources):
        if not cursor.wants(key):
            continue
        cut = key.find(folded, len(cursor.prefix)) if folded else -1
        prefix = key[: cut + len(folded)] if cut >= 0 else b""
        if prefix and prefix <= marker:
            cursor.skip(prefix)  # the page before ended with it
            continue
        if len(result) == limit:
            result.truncated = True
            break
        result.last = (prefix or key).decode()
        (result.prefixes if prefix else result.keys).append(result.last)
        if prefix:
            cursor.skip(prefix)
    return result


def _unique(sources: list[Iterator[bytes]]) -> Iterator[bytes]:
    previous = None
    for key in heapq.merge(*sources):
        if key != previous:
            yield key
        previous = key
