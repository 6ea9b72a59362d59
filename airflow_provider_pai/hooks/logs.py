"""A job's own log in the task's log while it runs: each line once, bounded, with a note where lines were left out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiError

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.base import WatchedHook

MAX_LINES = 500
"""Lines that one look copies at most, for each pod."""

# The last lines of a log, by which the place is found again: no API has a cursor.
_REMEMBERED = 50

Cursor = dict[str, Any]


class LogCopy:
    """Copies what a job has written since the last look; what goes wrong is a warning and never fails a task.

    :param interval: seconds between two looks; 0: the log is not copied.
    :param taken_over: another process has copied the beginning; the first look only finds the place.
    """

    def __init__(self, hook: WatchedHook, job_id: str, interval: float, *, taken_over: bool = False) -> None:
        self._hook = hook
        self._job_id = job_id
        self._interval = interval
        self._cursor: Cursor = {}
        self._next = 0.0
        self._taken_over = taken_over

    def due(self, *, final: bool = False) -> bool:
        """Tell whether it is time for a look; the last one is always due."""
        return self._interval > 0 and (final or time.monotonic() >= self._next)

    def look(self) -> None:
        """Copy what is new."""
        self._next = time.monotonic() + self._interval
        try:
            lines = self._hook.new_log_lines(self._job_id, self._cursor)
            if self._taken_over:
                lines, self._taken_over = [f"… lines are left out here: {self._hook.console_url(self._job_id)}"], False
            for line in lines:
                self._hook.log.info("%s", line)
        except PaiError as error:
            self._hook.log.warning("The log of %s could not be read, trying again: %s", self._job_id, error)


def unseen(lines: Sequence[str], seen: Sequence[str]) -> int:
    """Return where in `lines` those begin that follow the ones seen last.

    :param seen: `marks` of the lines seen last; may begin before `lines` does.
    """
    marked = marks(lines)
    for end in range(len(marked), 0, -1):
        length = min(end, len(seen))
        if length and marked[end - length : end] == list(seen[-length:]):
            return end
    return 0


def marks(lines: Sequence[str]) -> list[str]:
    """Return a short hash of each line."""
    return [hashlib.blake2b(line.encode(), digest_size=4).hexdigest() for line in lines]


def advance(cursor: Cursor, name: str, lines: Sequence[str], *, full: bool) -> list[str]:
    """Return the new lines of one source, prefixed with its name, and remember them in the cursor.

    :param lines: what the source holds since some time that the last look covered, too.
    :param full: there may be lines before these that the answer had no room for.
    """
    seen = cursor.get(name, [])
    start = unseen(lines, seen)
    missed = full and not start
    new = list(lines[start:])
    left_out = max(0, len(new) - MAX_LINES)
    cursor[name] = (seen + marks(new))[-_REMEMBERED:]
    notes = [f"[{name}] … lines are left out here"] if missed else []
    notes += [f"[{name}] … {left_out} lines are left out here"] if left_out else []
    return notes + [f"[{name}] {line}" for line in new[left_out:]]
