"""Rest of a prefix on OSS: one pure rule, so that sensor and trigger judge alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss.objects import ObjectInfo


class Quiet:
    """Judges looks at one prefix.

    :param seconds: for so long nothing may have come, changed or gone.
    :param least: objects that there must be.
    """

    def __init__(self, seconds: float, least: int) -> None:
        self._seconds = seconds
        self._least = least
        self._before: frozenset[tuple[str, int, str]] | None = None
        self._changed = 0.0

    def restless(self, infos: Sequence[ObjectInfo], now: datetime | None = None) -> str:
        """Return why the prefix is not at rest yet; empty: it is.

        What came or changed shows in the objects' own times, also to a process that has just begun to look; what was
        deleted shows only to one that has looked before.

        :param now: OSS's clock; None: ours.
        """
        current = frozenset((info.uri.key, info.size, info.etag) for info in infos)
        if self._before is not None and current != self._before:
            self._changed = time.monotonic()
        self._before = current
        if len(infos) < self._least:
            return f"{len(infos)} objects of at least {self._least}"
        newest = max((info.last_modified for info in infos), default=None)
        ages = [(now or datetime.now(UTC)) - newest] if newest else []
        if self._changed:
            ages.append(timedelta(seconds=time.monotonic() - self._changed))
        age = min((each.total_seconds() for each in ages), default=self._seconds)
        return "" if age >= self._seconds else f"the last change is {max(0.0, age):.0f} of {self._seconds:.0f} s ago"
