"""CPU time of a process and all that it has started (Linux)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from airflow_provider_pai.emulator.runtime.guard import descendants

_TICKS = os.sysconf("SC_CLK_TCK")
# Fields of /proc/<pid>/stat after the name, which may hold anything: proc_pid_stat(5).
_OWN, _ENDED_CHILDREN = slice(11, 13), slice(13, 15)


def cpu_seconds(guard: int) -> float:
    """Return the seconds that all processes below a guard have computed, those that have ended with them.

    A process that ends hands its time on to its parent, in the end to the guard, whose own does not count.
    """
    below = (ticks for pid in descendants(guard) for fields in (_OWN, _ENDED_CHILDREN) for ticks in _ticks(pid, fields))
    return (sum(below) + sum(_ticks(guard, _ENDED_CHILDREN))) / _TICKS


def _ticks(pid: int, fields: slice) -> list[int]:
    with suppress(OSError):
        return [int(field) for field in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[fields]]
    return []
