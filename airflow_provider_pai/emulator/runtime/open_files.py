"""Files that processes of the emulator have open for writing (Linux; elsewhere none is known of)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from airflow_provider_pai.emulator.runtime.guard import descendants

_OWNER_WRITES = 0o200


def being_written(device: int) -> frozenset[int]:
    """Return the inodes on a device that descendants of this process have open for writing.

    Not their paths: a process may see the same file at another one.
    """
    return frozenset(inode for pid in descendants(os.getpid()) for inode in _written_by(pid, device))


def _written_by(pid: int, device: int) -> Iterator[int]:
    """Yield what one process has open for writing: the link of a descriptor says so by its mode."""
    with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as descriptors:
        for descriptor in descriptors:
            with suppress(OSError):
                if descriptor.stat(follow_symlinks=False).st_mode & _OWNER_WRITES:
                    status = descriptor.stat()
                    if status.st_dev == device:
                        yield status.st_ino
