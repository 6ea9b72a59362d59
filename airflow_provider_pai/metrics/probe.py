"""Golden requests: known questions to a service, and the answers expected of it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.eas.hook import Endpoint
from airflow_provider_pai.hooks.oss import OssHook

# A gateway may not know a service yet that has just become ready.
# Nor does one error in a hundred say that answers are wrong: errors are for the counts to judge.
_PASSING_STATUSES = frozenset({404, 500, 502, 503, 504})
_ATTEMPTS = 3
_ANY = object()
_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class GoldenRequest:
    """One line of a probe file.

    `expect` is JSON that the answer must contain: objects may have more keys, numbers may differ by the tolerance.
    """

    path: str = ""
    method: str = "POST"
    json: Any = None
    body: str | None = None
    headers: Mapping[str, str] | None = None
    status: int = 200
    expect: Any = _ANY

    def __str__(self) -> str:
        """Return the request line."""
        return f"{self.method} {self.path or '/'}"


class Answers(NamedTuple):
    """What was wrong with answers, or nothing; `silent`: there were none, or only errors."""

    wrong: str = ""
    silent: bool = False


@dataclass(frozen=True, kw_only=True)
class EndpointProbe:
    """Golden requests to one endpoint.

    :param requests: what to ask.
    :param min_correct: share of answers that must be as expected.
    :param timeout: seconds for each answer.
    :param tolerance: relative difference that numbers may have.
    :param path: path of requests that name none.
    """

    requests: tuple[GoldenRequest, ...]
    min_correct: float = 1.0
    timeout: float = 10.0
    tolerance: float = 1e-6
    path: str = ""

    def run(self, endpoint: Endpoint) -> str:
        """Ask until too many answers are wrong; return what was wrong, or nothing."""
        return self.ask(endpoint).wrong

    def ask(self, endpoint: Endpoint) -> Answers:
        """Do the same, and tell wrong answers from none."""
        import requests

        wrong: list[Answers] = []
        with requests.Session() as session:
            session.headers["Authorization"] = endpoint.token
            for asked, golden in enumerate(self.requests, 1):
                answer = self._ask(session, endpoint.url, golden)
                if answer.wrong:
                    wrong.append(answer)
                if 1 - len(wrong) / len(self.requests) < self.min_correct - 1e-9:
                    text = f"{len(wrong)} of {asked} answers are wrong; the first: {wrong[0].wrong}"
                    return Answers(text, silent=all(one.silent for one in wrong))
        return Answers()

    def _ask(self, session: Any, url: str, golden: GoldenRequest) -> Answers:
        """Return what is wrong with the answer; asked again where the gateway may not be ready."""
        wrong, passing = "", False
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(attempt - 0.5)
            wrong, passing = self._once(session, url, golden)
            if not passing:
                break
        return Answers(f"{golden}: {wrong}", silent=passing) if wrong else Answers()

    def _once(self, session: Any, url: str, golden: GoldenRequest) -> tuple[str, bool]:
        from requests import RequestException

        try:
            answer = session.request(
                golden.method,
                url.rstrip("/") + (golden.path or self.path),
                json=golden.json,
                data=golden.body,
                headers=golden.headers,
                timeout=self.timeout,
            )
        except RequestException as error:
            return f"no answer: {type(error).__name__}", True
        if answer.status_code != golden.status:
            wrong = f"status {answer.status_code}, not {golden.status}: {answer.text[:_SHOWN]}"
            return wrong, answer.status_code in _PASSING_STATUSES
        if golden.expect is _ANY:
            return "", False
        try:
            given = answer.json()
        except ValueError:
            given = answer.text
        if contains(given, golden.expect, self.tolerance):
            return "", False
        return f"{json.dumps(given)[:_SHOWN]} instead of {json.dumps(golden.expect)[:_SHOWN]}", False


def make_probe(config: Mapping[str, Any], oss: OssHook) -> EndpointProbe:
    """Build a probe from its declaration: `{"requests": <oss:// address of JSON lines, or a list>, …}`.

    :raises PaiConfigError: naming the option, or the line that is not a request.
    """
    allowed = [item.name for item in fields(EndpointProbe)]
    for name in config:
        if name not in allowed:
            raise PaiConfigError("probe", name, f"options: {', '.join(allowed)}")
    given = config.get("requests")
    lines: Sequence[Any] = _read(given, oss) if isinstance(given, str) else given or []
    golden = tuple(_golden(number, line) for number, line in enumerate(lines, 1))
    if not golden:
        raise PaiConfigError("probe['requests']", given, "at least one request")
    numbers = {name: _number(name, value) for name, value in config.items() if name not in ("requests", "path")}
    return EndpointProbe(requests=golden, path=str(config.get("path") or ""), **numbers)


def contains(given: Any, expected: Any, tolerance: float) -> bool:
    """Tell whether an answer holds what is expected of it."""
    if isinstance(expected, Mapping):
        return isinstance(given, Mapping) and all(
            name in given and contains(given[name], value, tolerance) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(given, list)
            and len(given) == len(expected)
            and all(contains(*pair, tolerance) for pair in zip(given, expected, strict=True))
        )
    numbers = (int, float)
    if isinstance(expected, numbers) and isinstance(given, numbers) and not isinstance(expected, bool):
        return math.isclose(given, expected, rel_tol=tolerance, abs_tol=tolerance)
    return bool(given == expected)


def _read(uri: str, oss: OssHook) -> list[Any]:
    lines = []
    for number, line in enumerate(oss.get(uri).decode(errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            lines.append(json.loads(line))
        except ValueError:
            shown = line[:_SHOWN]
            raise PaiConfigError(f"probe['requests'], {uri} line {number}", shown, "one JSON object a line") from None
    return lines


def _golden(number: int, line: Any) -> GoldenRequest:
    known = [item.name for item in fields(GoldenRequest)]
    if not isinstance(line, Mapping) or not set(line) <= set(known):
        raise PaiConfigError(f"probe['requests'], number {number}", line, f"an object of {', '.join(known)}")
    return GoldenRequest(**line)


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise PaiConfigError(f"probe[{name!r}]", value, "a number") from None
