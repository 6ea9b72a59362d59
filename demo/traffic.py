"""Live traffic of the demo: requests to the group endpoint, whatever is being deployed behind it."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from demo.material import Sample

RATE = 30.0
_TIMEOUT = 10.0


@dataclass(frozen=True)
class Failure:
    """A request that got no digit.

    :param at: Unix time.
    :param version: model version that answered, empty where none did.
    """

    at: float
    version: str
    what: str


class Client:
    """One keep-alive connection to an endpoint."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._headers = {"Authorization": token, "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT)

    def ask(self, pixels: list[int]) -> tuple[int, dict[str, Any]]:
        """Return status and JSON of one prediction; no answer at all is status 0."""
        try:
            self._connection.request("POST", self._path, json.dumps({"pixels": pixels}), self._headers)
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            return 0, {"error": f"{type(error).__name__}: {error}"}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def is_digit(answer: dict[str, Any]) -> bool:
    """Tell whether an answer has the right shape."""
    return answer.get("digit") in range(10) and isinstance(answer.get("version"), str)


class Traffic:
    """About 30 requests a second in a thread of its own, from `start` to `stop`."""

    def __init__(self, url: str, token: str, samples: list[Sample]) -> None:
        self._client = Client(url, token)
        self._samples = itertools.cycle(samples)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self.failures: list[Failure] = []
        self.by_version: Counter[str] = Counter()

    @property
    def requests(self) -> int:
        """Return how many requests were sent."""
        return self.by_version.total()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; the last request is answered or given up."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._client.close()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            # After a pause of the machine go on at the same rate, do not catch up.
            due = max(due, time.monotonic() - 0.1) + 1 / RATE
            self._send(next(self._samples))

    def _send(self, sample: Sample) -> None:
        status, answer = self._client.ask(sample.pixels)
        version = str(answer.get("version", ""))
        if status != 200 or not is_digit(answer):
            self.failures.append(Failure(time.time(), version, f"{status} {answer}"))
        self.by_version[version] += 1
