"""Samples that a verdict weighs: what candidate and production have answered, and what one check makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from airflow_provider_pai.canary.significance import binomial_tail, fisher_tail

# Of a share that is only told, and decides nothing.
_HARDLY_CHANCE = 0.001


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one service answered in a span of time.

    :param p95_ms: None where the source cannot tell.
    :param quantiles: further percentiles (50, 75, …) in ms: they tell a slow service from a few slow requests.
    :param values: further values of the source by their names, for `RolloutPlan.checks`.
    """

    requests: int
    errors: int
    p95_ms: float | None = None
    quantiles: Mapping[int, float] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.requests:
            raise ValueError(f"errors: {self.errors}; allowed: from 0 to requests, which is {self.requests}")

    @property
    def error_rate(self) -> float:
        """Return the share of failed requests; 0 without requests."""
        return self.errors / self.requests if self.requests else 0.0

    def percentile(self, percent: int) -> float | None:
        """Return a percentile in ms; None where the source does not tell it."""
        return self.p95_ms if percent == 95 else self.quantiles.get(percent)

    def value(self, name: str) -> float | None:
        """Return a value by its name: the source's own, `error_rate`, or a percentile as `p50_ms`."""
        percentiles = {f"p{percent}_ms": ms for percent, ms in self.quantiles.items()}
        known = {"error_rate": self.error_rate, "p95_ms": self.p95_ms, **percentiles, **self.values}
        return known.get(name)

    def without(self, ours: Sample) -> Sample:
        """Return this without our own requests: they tell nothing about people's, and are judged by their answers."""
        errors = max(0, self.errors - ours.errors)
        return replace(self, errors=errors, requests=max(errors, self.requests - ours.requests))

    def plus(self, more: Sample) -> Sample:
        """Return the counts of both, without latencies and values."""
        return Sample(requests=self.requests + more.requests, errors=self.errors + more.errors)

    def part(self, share: float) -> Sample:
        """Return the counts of a share of these."""
        return Sample(requests=round(self.requests * share), errors=round(self.errors * share))

    def chance_beside(self, other: Sample, delta: float) -> float:
        """Return the chance that a service which errs no more than another by so much errs as this one does.

        Both must speak against chance: worse than the other at all, and worse by more than the delta.
        """
        return max(
            fisher_tail(self.errors, self.requests, other.errors, other.requests),
            binomial_tail(self.errors, self.requests, other.error_rate + delta),
        )

    def __str__(self) -> str:
        latency = "" if self.p95_ms is None else f", p95 {self.p95_ms:.0f} ms"
        values = "".join(f", {name} {value:g}" for name, value in self.values.items())
        return f"{self.requests} requests, {self.errors} errors{latency}{values}"


NOTHING = Sample(requests=0, errors=0)


@dataclass(frozen=True, kw_only=True)
class Window:
    """Candidate and production over the same span; `production` is None where nothing else served.

    :param same_span: False: production has no traffic now, its numbers are from before the step.
    :param meanwhile: what production has answered nevertheless.
    :param past: production before the candidate had any traffic, in spans that all end there.
    :param share: share of the group's traffic, 0 to 1, that the candidate should have.
    :param share_before: what it had before, which counts may still show; None: they do no longer.
    :param settled: the share has been set long enough for the counts to show it.
    :param recent: both in the latest part of the span, once it is settled.
    :param wrong: what was wrong with the candidate's answers to golden requests.
    :param doubt: what was wrong with others that are nobody's fault in particular.
    :param golden: which of the candidate's requests were ours.
    """

    candidate: Sample
    production: Sample | None = None
    same_span: bool = True
    meanwhile: Sample | None = None
    past: tuple[Sample, ...] = ()
    share: float = 0.0
    share_before: float | None = None
    settled: bool = False
    recent: tuple[Sample, Sample] | None = None
    wrong: str = ""
    doubt: str = ""
    golden: Sample = NOTHING

    @property
    def other_share(self) -> str:
        """Return the share that the counts show, where chance does not explain that it is not the one which was set.

        How EAS makes shares of weights stands in no document.
        """
        if not (self.settled and self.same_span and self.share and self.production):
            return ""
        mine, theirs = self.candidate.without(self.golden).requests, self.production.requests
        chance = min(
            binomial_tail(mine, mine + theirs, self.share), binomial_tail(theirs, mine + theirs, 1 - self.share)
        )
        if chance >= _HARDLY_CHANCE:
            return ""
        return f"its share by counts is {mine / (mine + theirs):.0%}, not {self.share:.0%}"


class Result(StrEnum):
    """How a look ended."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


class Finding(NamedTuple):
    """What one check found; nothing found is nothing wrong."""

    result: Result
    reason: str
    hard: bool = False
    proven: bool = True
