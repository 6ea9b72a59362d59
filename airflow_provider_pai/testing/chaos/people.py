"""People who use every service group all night long, and what they were answered."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import requests

from airflow_provider_pai.testing.chaos.account import EmulatedAccount
from airflow_provider_pai.testing.pace import Pace

Json = dict[str, Any]

BAD = "The model failed on this request."
"""What a model that was made bad answers."""

_RATE, _THREADS = 100.0, 4
_LOOK_EVERY = 0.5
_TIMEOUT = 10.0


class LiveTraffic(Pace):
    """A hundred requests a second to each group, in threads of their own.

    A group counts from its first good answer on: before that nobody serves.

    :param gateway: URL of the emulated gateway.
    :param asks: the request: `method`, `path`, `json`.
    """

    def __init__(self, account: EmulatedAccount, gateway: str, asks: Json | None) -> None:
        super().__init__(self._run, _RATE, _THREADS)
        self.asks = asks
        self.requests: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self.failed: list[str] = []
        """Each request without an answer, or with one that a bad model is no reason for."""
        self._account, self._gateway = account, gateway
        self._up: set[str] = set()

    def _run(self) -> None:
        tokens: dict[str, str] = {}
        looked = 0.0
        with requests.Session() as session:
            session.trust_env = False
            for _ in self.turns():
                if time.monotonic() > looked + _LOOK_EVERY:
                    tokens, looked = self._account.group_tokens(), time.monotonic()
                for group, token in tokens.items():
                    self._ask(session, group, token)

    def _ask(self, session: requests.Session, group: str, token: str) -> None:
        asks = {"method": "GET", "path": "/", **(self.asks or {})}
        url = f"{self._gateway}/api/predict/{group}/{asks['path'].lstrip('/')}"
        try:
            answer = session.request(
                asks["method"], url, json=asks.get("json"), headers={"Authorization": token}, timeout=_TIMEOUT
            )
            failure = f"{answer.status_code} {answer.text[:200]}" if answer.status_code >= 500 else ""
        except requests.RequestException as error:
            failure = f"no answer: {error!r}"
        if not failure:
            self._up.add(group)
        if group not in self._up:
            return
        self.requests[group] += 1
        if BAD in failure:
            self.bad[group] += 1
        elif failure:
            self.failed.append(f"{group}: {failure}")
