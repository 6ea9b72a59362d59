"""Nonces of signed requests, remembered for as long as their signatures live."""

from __future__ import annotations

import time
from collections import OrderedDict


class Nonces:
    """A set whose members leave after `lifetime` seconds, so that its size follows the rate of requests."""

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._seen: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def use(self, nonce: str) -> bool:
        """Remember a nonce; False if it was used before."""
        moment = time.monotonic()
        self._forget(moment - self._lifetime)
        if nonce in self._seen:
            return False
        self._seen[nonce] = moment
        return True

    def _forget(self, before: float) -> None:
        while self._seen and next(iter(self._seen.values())) < before:
            self._seen.popitem(last=False)
