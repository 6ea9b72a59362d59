"""Golden requests: known questions to a service, and the answers expected of it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.eas.traffic import Endpoint
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.inputs import (
    json_list,
    json_value,
    mapping,
    number,
    one_of,
    parse_uri,
    seconds,
    share,
    text,
    whole_number,
)
from airflow_provider_pai.uri import OssUri

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


def make_probe(probe: Mapping[str, Any] | str, oss: OssHook) -> EndpointProbe:
    """Build a probe from its declaration: `{"requests": <oss:// address of JSON lines, or a list>, …}`.

    :raises PaiConfigError: naming the option, or the line that is not a request.
    """
    config = mapping("probe", probe)
    for name in config:
        if name not in _READERS:
            raise PaiConfigError("probe", name, f"options: {', '.join(_READERS)}")
    options = {name: _READERS[name](f"probe[{name!r}]", value) for name, value in config.items()}
    asked = options.get("requests") or []
    lines = _read(asked, oss) if isinstance(asked, OssUri) else asked
    golden = tuple(golden_request(f"probe['requests'], number {index}", line) for index, line in enumerate(lines, 1))
    if not golden:
        raise PaiConfigError("probe['requests']", config.get("requests"), "at least one request")
    return EndpointProbe(**{**options, "requests": golden})


def golden_request(field: str, value: Mapping[str, Any] | str) -> GoldenRequest:
    """Read a request: an object of GoldenRequest's fields, or its JSON.

    :raises PaiConfigError: naming the field.
    """
    allowed = f"one JSON object of {', '.join(_REQUEST_READERS)}"
    items = mapping(field, value, allowed)
    if not set(items) <= set(_REQUEST_READERS):
        raise PaiConfigError(field, value, allowed)
    return GoldenRequest(**{name: _REQUEST_READERS[name](f"{field}[{name!r}]", item) for name, item in items.items()})


def service_path(field: str, value: object) -> str:
    """Read the path of a request below a service's endpoint.

    :raises PaiConfigError: it would lead elsewhere.
    """
    path = text(field, "" if value is None else value)
    if path and (path[0] not in "/?" or not path.isascii() or any(character.isspace() for character in path)):
        raise PaiConfigError(field, value, "a path that begins with / or ?, in ASCII and without spaces")
    return path


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


def _read(uri: OssUri, oss: OssHook) -> list[Any]:
    lines = []
    for index, line in enumerate(oss.get(uri).decode(errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            lines.append(json.loads(line))
        except ValueError:
            shown = line[:_SHOWN]
            raise PaiConfigError(f"probe['requests'], {uri} line {index}", shown, "one JSON object a line") from None
    return lines


def _requests(field: str, value: object) -> OssUri | list[Any]:
    if isinstance(value, str) and value.startswith("oss:"):
        return parse_uri(field, value)
    return json_list(field, value, "a list of requests, or the oss:// address of JSON lines")


def _headers(field: str, value: object) -> dict[str, str] | None:
    headers = {name: text(f"{field}[{name!r}]", item) for name, item in mapping(field, value).items()}
    for name, item in headers.items():
        if not name or not (name + item).isascii() or not (name + item).isprintable():
            raise PaiConfigError(field, {name: item}, "names to texts of printable ASCII characters")
    return headers or None


_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_REQUEST_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "path": service_path,
    "method": partial(one_of, allowed=_METHODS),
    "json": json_value,
    "body": lambda field, value: None if value is None else text(field, value),
    "headers": _headers,
    "status": partial(whole_number, least=100, most=599),
    "expect": json_value,
}
_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "requests": _requests,
    "min_correct": share,
    "timeout": seconds,
    "tolerance": partial(number, least=0),
    "path": service_path,
}
