"""Past of a document: the states that it had, for lists that are behind."""

from __future__ import annotations

import json
from collections import deque

from airflow_provider_pai.emulator.types import Json


class Past:
    """States of one document with the times from which they held; older ones than lists may show are dropped."""

    def __init__(self) -> None:
        self._states: deque[tuple[float, str]] = deque()

    def add(self, moment: float, text: str, lag: float) -> None:
        """Keep a state.

        :param lag: seconds by which lists are behind.
        """
        self._states.append((moment, text))
        while len(self._states) > 1 and self._states[1][0] <= moment - lag:
            self._states.popleft()

    def as_of(self, moment: float) -> Json | None:
        """Return the state of a moment, of one before the first the first; None: it is that of now."""
        if not self._states or self._states[-1][0] <= moment:
            return None
        older = [text for since, text in self._states if since <= moment] or [self._states[0][1]]
        state: Json = json.loads(older[-1])
        return state
