"""Versions that sort by time, and times as UTC text; standard library only."""

from __future__ import annotations

from datetime import UTC, datetime


def make_version(moment: datetime, key: str) -> str:
    """Return a version that sorts by time: `20261121T1800Z-<first 8 of key>`."""
    return f"{moment.astimezone(UTC):%Y%m%dT%H%MZ}-{key[:8]}"


def version_time(version: str) -> datetime:
    """Return the time in a version.

    :raises ValueError: when it has none.
    """
    return datetime.strptime(version.partition("-")[0], "%Y%m%dT%H%MZ").replace(tzinfo=UTC)


def utc_text(moment: datetime) -> str:
    """Return ISO 8601 in UTC with seconds: `2026-11-21T18:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
