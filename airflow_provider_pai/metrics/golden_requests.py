"""Probes of an endpoint: golden requests, and how many of their answers must be right."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from airflow_provider_pai.canary.samples import Sample
from airflow_provider_pai.clock import SYSTEM_CLOCK, Clock
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.eas.inference import (
    Answer,
    Asker,
    GoldenRequest,
    golden_request,
    golden_requests,
    service_path,
)
from airflow_provider_pai.hooks.eas.traffic import Endpoint
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.inputs import json_list, known, mapping, number, parse_uri, seconds, share
from airflow_provider_pai.uri import OssUri

_ATTEMPTS = 3


class Answers(NamedTuple):
    """What was wrong with answers, or nothing.

    :param silent: there were none, or only errors.
    :param unreached: none was the service's own; a gateway's says nothing of the model.
    :param sent: requests, each attempt counted.
    :param errors: which of them were answered with 5xx.
    """

    wrong: str = ""
    silent: bool = False
    unreached: bool = False
    sent: int = 0
    errors: int = 0

    def counted(self, share: float = 1.0) -> Sample:
        """Return them as they are counted for a service that has a share of them."""
        return Sample(requests=math.ceil(self.sent * share), errors=int(self.errors * share))


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

    def ask(self, endpoint: Endpoint, gateway_timeout: float | None = 0.0, clock: Clock = SYSTEM_CLOCK) -> Answers:
        """Ask until too many answers are wrong; tell what was wrong.

        :param gateway_timeout: as `Asker` has it; None: the first request that does not reach the service is the last.
        """
        asker = Asker(
            endpoint=endpoint,
            attempts=_ATTEMPTS,
            timeout=self.timeout,
            tolerance=self.tolerance,
            path=self.path,
            gateway_timeout=gateway_timeout,
            clock=clock,
        )
        asked: list[Answer] = []
        wrong: list[tuple[GoldenRequest, Answer]] = []
        with asker.session:
            for request in self.requests:
                answer = asker.ask(request)
                asked.append(answer)
                if answer.wrong:
                    wrong.append((request, answer))
                leaves_off = answer.unreached and gateway_timeout is None
                if leaves_off or 1 - len(wrong) / len(self.requests) < self.min_correct - 1e-9:
                    return _summed_up(asked, wrong)
        return _summed_up(asked, ())


KNOCK = EndpointProbe(requests=(GoldenRequest(method="OPTIONS"),))
"""Tells whether a service is reached at all, whatever it answers; by HTTP's own rule the request changes nothing."""


def _summed_up(asked: Sequence[Answer], wrong: Sequence[tuple[GoldenRequest, Answer]]) -> Answers:
    """Sum up what was asked; a few wrong answers among as many as are allowed are none."""
    errors = sum(answer.errors for answer in asked)
    counted = Answers(sent=errors + sum(not answer.is_error for answer in asked), errors=errors)
    if not wrong:
        return counted
    request, first = wrong[0]
    return counted._replace(
        wrong=f"{len(wrong)} of {len(asked)} answers are wrong; the first: {request}: {first.wrong}",
        # Nor does one error in a hundred say that answers are wrong: errors are for the counts to judge.
        silent=all(answer.silent for _, answer in wrong),
        unreached=all(answer.unreached for _, answer in wrong),
    )


def make_probe(probe: Mapping[str, Any] | str, oss: OssHook) -> EndpointProbe:
    """Build a probe from its declaration: `{"requests": <oss:// address of JSON lines, or a list>, …}`.

    :raises PaiConfigError: naming the option, or the line that is not a request.
    """
    config = mapping("probe", probe)
    known("probe", config, _READERS, "options:")
    options = {name: _READERS[name](f"probe[{name!r}]", value) for name, value in config.items()}
    asked = options.get("requests") or []
    if isinstance(asked, OssUri):
        golden = tuple(golden_requests(f"probe['requests'], {asked}", oss.lines(asked)))
    else:
        golden = tuple(golden_request(f"probe['requests'], number {index}", one) for index, one in enumerate(asked, 1))
    if not golden:
        raise PaiConfigError("probe['requests']", config.get("requests"), "at least one request")
    return EndpointProbe(**{**options, "requests": golden})


def _requests(field: str, value: object) -> OssUri | list[Any]:
    if isinstance(value, str) and value.startswith("oss:"):
        return parse_uri(field, value)
    return json_list(field, value, "a list of requests, or the oss:// address of JSON lines")


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "requests": _requests,
    "min_correct": share,
    "timeout": seconds,
    "tolerance": partial(number, least=0),
    "path": service_path,
}
