"""Log files of processes, each line `<ISO time> <text>`, read by time."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from pathlib import Path


def read_log(path: Path, start: datetime, end: datetime, limit: int) -> list[str]:
    """Return the newest `limit` lines written between two times, oldest first, without their times."""
    if not path.exists():
        return []
    # Stamps are UTC with a fixed width, so that they sort as text.
    first, last = (moment.astimezone(UTC).isoformat(timespec="microseconds") for moment in (start, end))
    lines: deque[str] = deque(maxlen=max(limit, 0))
    with path.open(encoding="utf-8", errors="replace", newline="\n") as log:
        for line in log:
            stamp, _, text = line.rstrip("\n").partition(" ")
            if first <= stamp <= last:
                lines.append(text)
    return list(lines)
