"""Times in UTC, as Python has them and as the PAI APIs write them."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the machine's time."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """Write a time as the PAI APIs do: `2026-11-22T06:51:18Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
