"""Requests to an endpoint, one or a file full, each answer checked; a file's answers lie on OSS, part by part."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from airflow_provider_pai.exceptions import PaiConfigError, PaiTransientError
from airflow_provider_pai.hooks.eas.inference import Answer, Asker, GoldenRequest, golden_requests
from airflow_provider_pai.remote import Json
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss import OssHook


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A file of requests and the folder of its answers; what an earlier try has answered rightly is not asked again.

    :param source: object of JSON lines, one request each.
    :param output: folder; `part-00000.jsonl`, … hold the answers in the order of the requests.
    :param part: requests of one part.
    """

    oss: OssHook
    source: OssUri
    output: OssUri
    part: int

    def requests(self) -> Iterator[GoldenRequest]:
        """Return the requests.

        :raises PaiConfigError: naming the line that is none.
        """
        return golden_requests(f"requests, {self.source}", self.oss.lines(self.source))

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

    def run(self, asker: Asker, progress: Callable[[int, list[Json]], None]) -> None:
        """Ask everything that has no right answer yet: which of the wrong ones a gateway gave, no status tells.

        :param progress: hears after each part how many requests are answered and the part's answers.
        :raises PaiTransientError: a whole part went unanswered; a later try goes on there.
        """
        done = {info.uri.key for info in self.oss.list_objects(self.output.join("part-"))}
        answered = 0
        with asker.session, ThreadPoolExecutor(asker.concurrency) as pool:
            requests = self.requests()
            for index, asked in enumerate(iter(lambda: list(islice(requests, self.part)), [])):
                at = self.output.join(f"part-{index:05d}.jsonl")
                lines = self._kept(at) if at.key in done else [{}] * len(asked)
                missing = [place for place, line in enumerate(lines) if not line or line.get("wrong")]
                answers = list(pool.map(asker.ask, (asked[place] for place in missing)))
                if at.key not in done and all(answer.unreached for answer in answers):
                    raise PaiTransientError("eas", "Predict", f"{len(answers)} requests: {answers[0].wrong}")
                for place, answer in zip(missing, answers, strict=True):
                    lines[place] = answer_line(answered + place + 1, answer)
                if missing:
                    self.oss.put(at, "".join(f"{json.dumps(line)}\n" for line in lines))
                answered += len(asked)
                progress(answered, lines)

    def _kept(self, part: OssUri) -> list[Json]:
        return [json.loads(line) for line in self.oss.get(part).splitlines()]


def answer_line(number: int, answer: Answer) -> Json:
    """Return what a line of a part holds.

    :param number: the request's, from 1.
    """
    return {
        "number": number,
        "status": answer.status,
        "answer": answer.body,
        "milliseconds": answer.milliseconds,
        **({"wrong": answer.wrong} if answer.wrong else {}),
    }


def wrong_ones(answers: Iterable[Json]) -> list[Json]:
    """Return the answers that something is wrong with."""
    return [answer for answer in answers if answer.get("wrong")]
