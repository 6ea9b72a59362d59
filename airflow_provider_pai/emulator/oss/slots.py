"""Slots: the parts of an upload, written where they will be in the object, so that nothing is copied at its end.

Clients cut files into parts of one size: part 3 then begins at twice that size. A part that does not fit into this, or
comes a second time, gets a file of its own, and the object is copied together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from airflow_provider_pai.emulator.oss.staging import Hash, Staged


class Slot(Staged):
    """A part's place in the object that is to be."""

    def __init__(self, path: Path, offset: int, release: Callable[[], None]) -> None:
        self.path = path
        self.hash = Hash()
        self.size = 0
        self.offset = offset
        self.kept = False
        """Whether the part was taken in: nothing may write here any more."""
        self._release = release
        path.touch()
        self._file = path.open("r+b", buffering=0)
        self._file.seek(offset)

    def discard(self) -> None:
        """Let go of the place, for others if the part was not taken in."""
        self._file.close()
        self._release()


class Slots:
    """The places of one upload's parts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = 0
        self._taken: set[int] = set()
        self._open: set[int] = set()
        self._lock = threading.Lock()

    def take(self, number: int, length: int | None) -> Slot | None:
        """Return the place of a part, None if it needs a file of its own."""
        with self._lock:
            if not length or number in self._taken or (self._size and length > self._size):
                return None
            self._size = self._size or length
            self._taken.add(number)
            self._open.add(number)
            slot = Slot(self.path, (number - 1) * self._size, lambda: self._release(number, slot))
            return slot

    def _release(self, number: int, slot: Slot) -> None:
        with self._lock:
            self._open.discard(number)
            if not slot.kept:
                self._taken.discard(number)

    def close(self, parts: Sequence[tuple[int, int]]) -> bool:
        """Tell whether these parts (number, size) are the object as they lie; then nobody may write any more."""
        with self._lock:
            numbers, sizes = [number for number, _ in parts], [size for _, size in parts]
            whole = not self._open and numbers == list(range(1, len(parts) + 1))
            whole = whole and all(size == self._size for size in sizes[:-1])
            if whole:
                self._taken.update(range(1, 10_001))
            return whole
