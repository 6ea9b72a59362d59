"""Queries of all APIs: whole numbers, pages, order, fuzzy names, spans of time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from airflow_provider_pai.emulator.errors import InvalidParameterError

MAX_PAGE = 100
"""Largest page; the APIs' own limits are not published."""

KEPT = timedelta(days=7)
"""How far a query without a StartTime looks back."""

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
"""Nothing is older."""

Item = TypeVar("Item")


def whole_number(text: str) -> int | None:
    """Read a whole number; None of any other text, and of one that is longer than any field's."""
    return int(text) if re.fullmatch("-?[0-9]{1,18}", text) else None


def page(items: Sequence[Item], number: int, size: int, most: int = MAX_PAGE) -> Sequence[Item]:
    """Cut one page; the first has number 1.

    :raises InvalidParameterError: for a page number or size out of range.
    """
    if number < 1:
        raise InvalidParameterError(f"PageNumber must be 1 or more, not {number}.")
    if not 1 <= size <= most:
        raise InvalidParameterError(f"PageSize must be between 1 and {most}, not {size}.")
    return items[(number - 1) * size : number * size]


def fuzzy(wanted: str | None, name: str) -> bool:
    """Tell whether a name holds the wanted text, whatever the case."""
    return not wanted or wanted.lower() in name.lower()


def choice(query: dict[str, str], field: str, default: str, allowed: Sequence[str]) -> str:
    """Read one of a few values from a query, whatever its case.

    :raises InvalidParameterError: naming field, value and what is allowed.
    """
    text = query.get(field) or default
    for value in allowed:
        if value.lower() == text.lower():
            return value
    raise InvalidParameterError(f"{field} must be one of {', '.join(allowed)}, not {text!r}.")


def parse_time(text: str, field: str) -> datetime:
    """Read an ISO 8601 time of a query.

    :raises InvalidParameterError: naming the field and the value.
    """
    try:
        moment = datetime.fromisoformat(text)
        return max((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC), _FIRST)
    except (ValueError, OverflowError) as error:
        raise InvalidParameterError(f"{field} must be a time such as 2026-11-22T06:51:18Z, not {text!r}.") from error


def time_range(query: dict[str, str], now: datetime, days: int = 0) -> tuple[datetime, datetime]:
    """Read StartTime (default: seven days before the end) and EndTime (default: now) of a query.

    :param days: how long the time between them may be; 0: any.
    :raises InvalidParameterError: it is longer.
    """
    ended, started = query.get("EndTime"), query.get("StartTime")
    end = parse_time(ended, "EndTime") if ended else now
    start = parse_time(started, "StartTime") if started else end - KEPT
    if days and end - start > timedelta(days=days):
        raise InvalidParameterError(f"StartTime must be at most {days} days before EndTime.")
    return start, end
