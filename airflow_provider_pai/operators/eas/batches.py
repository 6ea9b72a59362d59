"""Requests to an endpoint, one or a file full, each answer checked; a file's answers lie on OSS, part by part."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiConfigError, PaiTransientError
from airflow_provider_pai.metrics.probe import GoldenRequest, contains, golden_request
from airflow_provider_pai.remote import Json
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas.traffic import Endpoint
    from airflow_provider_pai.hooks.oss import OssHook

# Too many requests, a full queue (450 is EAS's own), a server that does not know better: ask again.
_AGAIN = (408, 429, 450, 500, 502, 503, 504)
_UNSET = GoldenRequest().expect
_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back for one request.

    :param number: the request's, from 1.
    :param status: HTTP status; None where no answer came.
    :param answer: the body, as JSON where it is.
    :param wrong: what is wrong with it; empty: nothing.
    """

    number: int
    status: int | None
    answer: Any
    milliseconds: float
    wrong: str = ""

    def to_line(self) -> str:
        """Return one JSON line."""
        return json.dumps({name: value for name, value in vars(self).items() if name != "wrong" or value})


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Asks an endpoint, again and with growing pauses where it does not answer.

    :param attempts: how often a request is sent at most.
    :param timeout: seconds for each answer.
    :param tolerance: relative difference that numbers may have to what is expected.
    :param path: path of requests that name none.
    """

    endpoint: Endpoint
    attempts: int
    timeout: float
    tolerance: float
    path: str
    concurrency: int

    @cached_property
    def session(self) -> Any:
        """Return the HTTP session, which keeps a connection for each thread."""
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        retry = Retry(
            total=self.attempts - 1,
            redirect=0,
            status_forcelist=_AGAIN,
            allowed_methods=None,  # a prediction changes nothing, so POST may be sent again
            backoff_factor=0.2,
            backoff_jitter=0.2,
            backoff_max=10,
            raise_on_status=False,
            raise_on_redirect=False,
        )
        session = requests.Session()
        session.headers["Authorization"] = self.endpoint.token
        session.mount(self.endpoint.url, HTTPAdapter(max_retries=retry, pool_maxsize=self.concurrency))
        return session

    def ask(self, number: int, asked: GoldenRequest) -> Answer:
        """Send one request and check its answer."""
        from requests import RequestException

        began = time.monotonic()
        try:
            response = self.session.request(
                asked.method,
                self.endpoint.url.rstrip("/") + (asked.path or self.path),
                json=asked.json,
                data=asked.body,
                headers=asked.headers,
                timeout=self.timeout,
                allow_redirects=False,
            )
        except RequestException as error:
            wrong = f"no answer: {type(error).__name__}"
            return Answer(number=number, status=None, answer=None, milliseconds=_since(began), wrong=wrong)
        try:
            body = response.json()
        except ValueError:
            body = response.text
        wrong = self._wrong(asked, response.status_code, body)
        return Answer(number=number, status=response.status_code, answer=body, milliseconds=_since(began), wrong=wrong)

    def _wrong(self, asked: GoldenRequest, status: int, body: Any) -> str:
        shown = (body if isinstance(body, str) else json.dumps(body))[:_SHOWN]
        if status != asked.status:
            return f"status {status}, not {asked.status}: {shown}"
        if asked.expect is _UNSET or contains(body, asked.expect, self.tolerance):
            return ""
        return f"{shown} instead of {json.dumps(asked.expect)[:_SHOWN]}"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A file of requests and the folder of its answers; what an earlier try has answered is not asked again.

    :param source: object of JSON lines, one request each.
    :param output: folder; `part-00000.jsonl`, … hold the answers in the order of the requests.
    :param part: requests of one part.
    """

    oss: OssHook
    source: OssUri
    output: OssUri
    part: int

    def requests(self) -> Iterator[GoldenRequest]:
        """Yield the requests.

        :raises PaiConfigError: naming the line that is none.
        """
        for number, line in enumerate(self.oss.lines(self.source), 1):
            if line.strip():
                yield golden_request(f"requests, {self.source} line {number}", line)

    def check(self) -> int:
        """Read the whole file, tie the folder to it and return how many requests it holds.

        :raises PaiConfigError: a line that is no request, no request, or a file that is another than before.
        """
        count = sum(1 for _ in self.requests())
        info = self.oss.head(self.source)
        if not count or info is None:
            raise PaiConfigError("requests", str(self.source), "an object with at least one request")
        tied = json.dumps({"requests": str(self.source), "etag": info.etag, "part": self.part})
        at = self.output.join("_batch.json")
        if not self.oss.put_once(at, tied) and self.oss.get(at) != tied.encode():
            raise PaiConfigError("requests", str(self.source), f"what it was when {self.output} was begun")
        return count

    def run(self, caller: Caller, told: Callable[[int, list[Json]], None]) -> None:
        """Ask everything that has no answer yet.

        :param told: hears after each part how many requests are answered and the part's answers.
        :raises PaiTransientError: a whole part went unanswered; a later try goes on there.
        """
        done = {info.uri.key for info in self.oss.list_objects(self.output.join("part-"))}
        answered = 0
        with ThreadPoolExecutor(caller.concurrency) as pool:
            requests = self.requests()
            for index, asked in enumerate(iter(lambda: list(islice(requests, self.part)), [])):
                at = self.output.join(f"part-{index:05d}.jsonl")
                if at.key not in done:
                    numbers = range(answered + 1, answered + len(asked) + 1)
                    answers = list(pool.map(caller.ask, numbers, asked))
                    if all(answer.status is None for answer in answers):
                        raise PaiTransientError("eas", "Predict", f"{len(answers)} requests: {answers[0].wrong}")
                    self.oss.put(at, "".join(f"{answer.to_line()}\n" for answer in answers))
                answered += len(asked)
                told(answered, [json.loads(line) for line in self.oss.get(at).splitlines()])


def wrong_ones(answers: Iterable[Json]) -> list[Json]:
    """Return the answers that something is wrong with."""
    return [answer for answer in answers if answer.get("wrong")]


def _since(began: float) -> float:
    return round(1000 * (time.monotonic() - began), 1)
