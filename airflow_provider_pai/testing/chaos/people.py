"""People who use every service group all night long, and what they were answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import requests

from airflow_provider_pai.testing.chaos.account import EmulatedAccount

Json = dict[str, Any]

BAD = "The model failed on this request."
"""What a model that was made bad answers."""

_RATE, _THREADS = 100.0, 4
_LOOK_EVERY = 0.5
_TIMEOUT = 10.0


class LiveTraffic:
    """A hundred requests a second to each group, in threads of their own.

    A group counts from its first good answer on: before that nobody serves.

    :param gateway: URL of the emulated gateway.
    :param asks: the request: `method`, `path`, `json`.
    """

    def __init__(self, account: EmulatedAccount, gateway: str, asks: Json | None) -> None:
        self.asks = asks
        self.requests: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self.failed: list[str] = []
        """Each request without an answer, or with one that a bad model is no reason for."""
        self._account, self._gateway = account, gateway
        self._up: set[str] = set()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, name="people", daemon=True) for _ in range(_THREADS)]

    def __enter__(self) -> LiveTraffic:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        tokens: dict[str, str] = {}
        looked, due = 0.0, time.monotonic()
        with requests.Session() as session:
            session.trust_env = False
            while not self._stopped.wait(max(0.0, due - time.monotonic())):
                # After a pause of the machine go on at the same rate, do not catch up.
                due = max(due, time.monotonic() - 0.1) + _THREADS / _RATE
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
