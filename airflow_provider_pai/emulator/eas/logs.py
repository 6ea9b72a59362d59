"""Log lines and events of a service in a window of time, page by page: DescribeServiceLog, DescribeServiceEvent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_provider_pai.emulator.errors import InvalidParameterError
from airflow_provider_pai.emulator.types import Json

# What one log file contributes at most: the newest part.
_READ_AT_MOST = 4 << 20


def moment(text: str, field: str) -> datetime:
    """Read a time as EAS takes it: UTC as `2026-11-22 06:51:18`.

    :raises InvalidParameterError: naming the field; ISO 8601 with `T` and `Z` is refused, as the cloud does.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidParameterError(f"{field} must look like 2026-11-22 06:51:18, not {text!r}.") from error


def read_lines(folder: Path, instance: str) -> list[tuple[datetime, str]]:
    """Return the lines of all instances, or of one, in the order of their times."""
    files = sorted(file for file in folder.glob("*.log") if instance in ("", file.stem))
    return sorted((line for file in files for line in _lines(file)), key=lambda line: line[0])


def _lines(file: Path) -> Iterator[tuple[datetime, str]]:
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - _READ_AT_MOST))
        text = log.read().decode(errors="replace")
    for line in text.splitlines():
        stamp, _, rest = line.partition(" ")
        try:
            yield datetime.fromisoformat(stamp), rest
        except ValueError:
            continue


def numbered_page(key: str, items: list[Any], number: int, size: int) -> Json:
    """Cut one page as these two actions number them: `PageNum` from 1, with a count of pages.

    :raises InvalidParameterError: for a page number or size below 1.
    """
    if number < 1 or size < 1:
        raise InvalidParameterError(f"PageNum {number} and PageSize {size} must be 1 or more.")
    return {
        key: items[(number - 1) * size : number * size],
        "PageNum": number,
        "TotalCount": len(items),
        "TotalPageNum": math.ceil(len(items) / size),
    }
