"""Files that processes of the emulator have open for writing (Linux; elsewhere none is known of)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from airflow_provider_pai.emulator.runtime.guard import descendants

_OWNER_WRITES = 0o200


def being_written() -> frozenset[str]:
    """Return the paths that descendants of this process have open for writing."""
    return frozenset(path for pid in descendants(os.getpid()) for path in _written_by(pid))


def _written_by(pid: int) -> Iterator[str]:
    """Yield what one process has open for writing: the link of a descriptor says so by its mode."""
    with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as descriptors:
        for descriptor in descriptors:
            with suppress(OSError):
                if descriptor.stat(follow_symlinks=False).st_mode & _OWNER_WRITES:
                    yield os.readlink(descriptor.path)  # noqa: PTH115 - text
