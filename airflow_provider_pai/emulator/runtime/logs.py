"""Log files of processes, each line `<ISO time> <text>`, read by time."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow_provider_pai.emulator.account import now
from airflow_provider_pai.emulator.errors import InvalidParameterError

KEPT = timedelta(days=7)
"""How far a query without a StartTime looks back."""


def parse_time(text: str | None, field: str, default: datetime) -> datetime:
    """Read an ISO 8601 time of a query.

    :raises InvalidParameterError: naming the field and the value.
    """
    if not text:
        return default
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidParameterError(f"{field} must be a time such as 2026-11-22T06:51:18Z, not {text!r}.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def time_range(query: dict[str, str]) -> tuple[datetime, datetime]:
    """Read StartTime (default: seven days ago) and EndTime (default: now) of a query."""
    end = parse_time(query.get("EndTime"), "EndTime", now())
    return parse_time(query.get("StartTime"), "StartTime", end - KEPT), end


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
