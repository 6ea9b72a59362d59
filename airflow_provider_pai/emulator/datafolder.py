"""Data folder of an emulator, locked while it runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class StartError(Exception):
    """The emulator can't start; the message names the folder or port and what is wrong with it."""


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[Path]:
    """Make a folder ours alone, and lock it until the end: also a killed emulator lets go of it.

    :raises StartError: it can't be written, belongs to another user, or another emulator runs on it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # objects, logs and the account's key; what was made by an earlier release, too
        lock = os.open(folder / "emulator.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(f"The data folder {folder} can't be written: {error.strerror}.") from error
    try:
        _lock(lock, folder)
        yield folder
    finally:
        os.close(lock)


def _lock(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
        raise StartError(f"Another emulator (process {owner}) is running on the data folder {folder}.") from error
    os.truncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
