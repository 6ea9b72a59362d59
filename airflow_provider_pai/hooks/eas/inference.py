"""Golden requests, and the asker that sends them to an endpoint over HTTP and compares the answers."""

from __future__ import annotations

import base64
import json
import math
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from functools import partial
from typing import Any

from airflow_provider_pai.clock import SYSTEM_CLOCK, Clock
from airflow_provider_pai.exceptions import PaiConfigError, PaiTransientError
from airflow_provider_pai.hooks.eas.traffic import Endpoint
from airflow_provider_pai.hooks.errors import translated
from airflow_provider_pai.hooks.lines import shortened
from airflow_provider_pai.inputs import json_value, mapping, one_of, text, whole_number
from airflow_provider_pai.lazy import cached_property

# EAS's own answers in a service's place: a request that took too long, too many of them, a full queue, nobody behind
# the gateway ("Service status codes and common errors"). With them a 404 without a body: the gateway does not know the
# service yet, though it is Running: Alibaba's own pai-python-sdk asks for 120 s (pai/predictor.py).
_IN_ITS_PLACE = frozenset({408, 429, 450, 502, 503, 504})
_NOT_KNOWN_YET = 404
_IN_TROUBLE = 500
_FIRST_PAUSE, _DOUBLINGS = 0.5, 4
_ANY = object()
_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class GoldenRequest:
    """A request, and what a right answer has.

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

    def fault(self, status: int, body: Any, tolerance: float) -> str:
        """Return what is wrong with an answer, or nothing."""
        shown = shortened(body if isinstance(body, str) else json.dumps(body), _SHOWN)
        if status != self.status:
            return f"status {status}, not {self.status}: {shown}"
        if self.expect is _ANY or contains(body, self.expect, tolerance):
            return ""
        return f"{shown} instead of {shortened(json.dumps(self.expect), _SHOWN)}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back for one request.

    :param status: HTTP status; None where no answer came.
    :param body: as `read_body` reads it.
    :param wrong: what is wrong with it; empty: nothing.
    :param silent: nothing answered but, at most, something before the model.
    :param unreached: nor did anything of the service itself: there was no answer, or a gateway's.
    :param errors: answers with 5xx in all attempts, this one included.
    """

    status: int | None
    body: Any
    milliseconds: float
    wrong: str = ""
    silent: bool = False
    unreached: bool = False
    errors: int = 0

    @property
    def is_error(self) -> bool:
        """Tell whether whoever counts answers takes it for an error."""
        return self.status is not None and self.status >= _IN_TROUBLE


@dataclass(kw_only=True)
class Asker:
    """Sends requests to one endpoint, from several threads if need be, within `with asker.session:`.

    A request that nothing answers is sent again, with growing pauses, also a POST: a prediction changes nothing.

    :param attempts: how often a request is sent at most, the wait for the gateway aside.
    :param timeout: seconds for each answer.
    :param tolerance: relative difference that numbers may have to what is expected.
    :param path: path of requests that name none.
    :param concurrency: threads that ask.
    :param gateway_timeout: seconds from the first request on in which one that does not reach the service is sent
        again, unless one has reached it before; None: it is sent once, and whoever asks waits.
    """

    endpoint: Endpoint
    attempts: int
    timeout: float
    tolerance: float
    path: str
    concurrency: int = 1
    gateway_timeout: float | None = 0.0
    clock: Clock = SYSTEM_CLOCK
    _known: bool = field(default=False, init=False)
    """A request has been answered, or was not in all its attempts: from now on a 404 is the service's own."""

    @cached_property
    def session(self) -> Any:
        """Return the HTTP session, which keeps a connection for each thread."""
        from airflow_provider_pai.hooks.network import EnvironmentSession

        session = EnvironmentSession(self.concurrency)
        session.headers["Authorization"] = self.endpoint.token
        return session

    @cached_property
    def _began(self) -> float:
        return self.clock.monotonic()

    def ask(self, request: GoldenRequest) -> Answer:
        """Send one request and compare its answer.

        :raises PaiApiError: there is no such address, or its certificate does not verify.
        """
        waited_until = self._began + (self.gateway_timeout or 0.0)
        answers = [self._once(request)]
        while self._again(answers[-1], len(answers), waited_until):
            pause = _FIRST_PAUSE * 2 ** min(len(answers) - 1, _DOUBLINGS)
            self.clock.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            answers.append(self._once(request))
        self._known = self._known or answers[-1].status is not None
        return replace(answers[-1], errors=sum(answer.is_error for answer in answers))

    def _again(self, answer: Answer, attempt: int, waited_until: float) -> bool:
        """Tell whether a request is to be sent once more."""
        if not answer.silent or (answer.status == _NOT_KNOWN_YET and self._known):
            return False
        if answer.unreached and self.gateway_timeout is None:
            return False
        waits = answer.unreached and not self._known and self.clock.monotonic() < waited_until
        return attempt < self.attempts or waits

    def _once(self, request: GoldenRequest) -> Answer:
        began = self.clock.monotonic()
        try:
            with translated("eas", "Predict"):
                response = self.session.request(
                    request.method,
                    self.endpoint.url.rstrip("/") + (request.path or self.path),
                    json=request.json,
                    data=None if request.body is None else request.body.encode(),
                    headers=request.headers,
                    timeout=self.timeout,
                    allow_redirects=False,
                )
                content = response.content
        except PaiTransientError as error:
            wrong = error.message.partition(" → ")[0]
            return Answer(
                status=None, body=None, milliseconds=self._since(began), wrong=wrong, silent=True, unreached=True
            )
        body = read_body(content, response.headers.get("Content-Type", ""))
        status = response.status_code
        wrong = request.fault(status, body, self.tolerance)
        unexpected, empty = status != request.status, not content
        unreached = unexpected and (status in _IN_ITS_PLACE or (status == _NOT_KNOWN_YET and empty))
        silent = unreached or (unexpected and status in (_NOT_KNOWN_YET, _IN_TROUBLE))
        return Answer(
            status=status,
            body=body,
            milliseconds=self._since(began),
            wrong=wrong,
            silent=silent,
            unreached=unreached,
        )

    def _since(self, began: float) -> float:
        return round(1000 * (self.clock.monotonic() - began), 1)


def read_body(content: bytes, content_type: str) -> Any:
    """Return the body of an answer: JSON, else a text, else `{"base64": …}`, so that no byte is lost or guessed at.

    Services send JSON as `text/plain`, which names no charset; RFC 8259: JSON is UTF-8 whatever a header says.
    """
    header = Message()
    header["Content-Type"] = content_type
    text = None
    for charset in ("utf-8-sig", header.get_content_charset() or "utf-8-sig"):
        try:
            text = content.decode(charset)
            return json.loads(text, parse_constant=_no_json)
        except (ValueError, LookupError, RecursionError):  # another charset, one that nobody knows, or no JSON
            continue
    return {"base64": base64.b64encode(content).decode()} if text is None else text


def golden_request(field: str, value: Mapping[str, Any] | str) -> GoldenRequest:
    """Read a request: an object of GoldenRequest's fields, or its JSON.

    :raises PaiConfigError: naming the field.
    """
    allowed = f"one JSON object of {', '.join(_REQUEST_READERS)}"
    items = mapping(field, value, allowed)
    if not set(items) <= set(_REQUEST_READERS):
        raise PaiConfigError(field, value, allowed)
    return GoldenRequest(**{name: _REQUEST_READERS[name](f"{field}[{name!r}]", item) for name, item in items.items()})


def golden_requests(field: str, lines: Iterable[str]) -> Iterator[GoldenRequest]:
    """Read the lines of a file of requests; empty ones are passed over.

    :raises PaiConfigError: naming the line that is none.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield golden_request(f"{field} line {number}", line)


def service_path(field: str, value: object) -> str:
    """Read the path of a request below a service's endpoint.

    :raises PaiConfigError: it would lead elsewhere.
    """
    path = text(field, "" if value is None else value)
    if path and (path[0] not in "/?" or not path.isascii() or any(character.isspace() for character in path)):
        raise PaiConfigError(field, value, "a path that begins with / or ?, in ASCII and without spaces")
    return path


def contains(answer: Any, expected: Any, tolerance: float) -> bool:
    """Tell whether an answer holds what is expected of it."""
    if isinstance(expected, Mapping):
        return isinstance(answer, Mapping) and all(
            name in answer and contains(answer[name], value, tolerance) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(answer, list)
            and len(answer) == len(expected)
            and all(contains(*pair, tolerance) for pair in zip(answer, expected, strict=True))
        )
    numbers = (int, float)
    if isinstance(expected, numbers) and isinstance(answer, numbers) and not isinstance(expected, bool):
        is_finite = abs(answer) <= sys.float_info.max
        return is_finite and math.isclose(answer, expected, rel_tol=tolerance, abs_tol=tolerance)
    return bool(answer == expected)


def _no_json(constant: str) -> None:
    """Refuse what Python writes for NaN and infinity: neither an XCom nor a ledger can keep it."""
    raise ValueError(constant)


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
