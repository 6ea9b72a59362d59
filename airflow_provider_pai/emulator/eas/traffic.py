"""Weighted round-robin for a group's requests: smooth, and exact over each full round."""

from __future__ import annotations

from collections.abc import Mapping


class Split:
    """Chooses one name per request so that every name gets its share, evenly spread.

    Of 10 requests at weights 9 to 1, nine go to the first and one to the second, in every ten.
    """

    def __init__(self) -> None:
        self._weights: dict[str, int] = {}
        self._current: dict[str, int] = {}

    def choose(self, weights: Mapping[str, int]) -> str | None:
        """Return the next name; None when no name has a weight above 0."""
        if weights != self._weights:
            self._weights = dict(weights)
            self._current = {name: 0 for name, weight in weights.items() if weight > 0}
        if not self._current:
            return None
        for name in self._current:
            self._current[name] += self._weights[name]
        chosen = max(self._current, key=self._current.__getitem__)
        self._current[chosen] -= sum(self._weights[name] for name in self._current)
        return chosen
