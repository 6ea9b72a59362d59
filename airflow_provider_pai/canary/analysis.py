"""Judgement of a candidate: the counts of it and of production in, one verdict with its reason out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from airflow_provider_pai.canary.plan import CHECK_LIMITS, RolloutPlan
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

    def without(self, golden: int) -> Sample:
        """Return this without our own requests, which were answered well: they tell nothing about people's."""
        return replace(self, requests=max(self.errors, self.requests - golden))

    def __str__(self) -> str:
        latency = "" if self.p95_ms is None else f", p95 {self.p95_ms:.0f} ms"
        values = "".join(f", {name} {value:g}" for name, value in self.values.items())
        return f"{self.requests} requests, {self.errors} errors{latency}{values}"


NOTHING = Sample(requests=0, errors=0)


@dataclass(frozen=True, kw_only=True)
class Window:
    """Candidate and production over the same span; `production` is None where nothing else served.

    :param same_span: False: production has no traffic now, its numbers are from before the step.
    :param share: share of the group's traffic, 0 to 1, that the candidate should have.
    :param settled: the share has been set long enough for the counts to show it.
    :param wrong: what was wrong with the candidate's answers to golden requests.
    :param doubt: what was wrong with others that are nobody's fault in particular.
    :param golden: how many of the candidate's requests were ours.
    """

    candidate: Sample
    production: Sample | None = None
    same_span: bool = True
    share: float = 0.0
    settled: bool = False
    wrong: str = ""
    doubt: str = ""
    golden: int = 0

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


# So many times production's requests the candidate has had when all that is uncertain is production's rate.
_SAID_ALL = 4


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One look at the candidate.

    :param hard: a hard limit was passed: no patience.
    """

    result: Result
    reason: str
    window: Window
    hard: bool = False

    def __str__(self) -> str:
        production = self.window.production
        beside = (
            "" if production is None else f", production {production.requests} requests, {production.errors} errors"
        )
        because = "" if self.result is Result.PASS else f" ({self.reason})"
        share = f"; {self.window.other_share}" if self.window.other_share else ""
        return f"{self.window.candidate}{beside} → {self.result.value}{because}{share}"


def source_error(reason: str) -> Judgement:
    """Return the judgement of a look at which the metrics source did not answer."""
    return Judgement(result=Result.ERROR, reason=reason, window=Window(candidate=NOTHING))


class Finding(NamedTuple):
    """What one check found; nothing found is nothing wrong."""

    result: Result
    reason: str
    hard: bool = False


def judge(plan: RolloutPlan, window: Window) -> Judgement:
    """Weigh what the candidate answered since the step began.

    Error rates fail only beyond chance, so that one stray error in 20 requests never does and 20 % failures
    do. A rate over its limit that chance could explain is inconclusive: more requests will tell. So are too
    few requests, which never pass, though a failure that is already beyond chance counts at once.
    """
    counted, window = window, replace(window, candidate=window.candidate.without(window.golden))
    findings = [
        *_golden(window),
        *_traffic(plan, window),
        *_lost(plan, counted),
        *_errors(plan, window),
        *_latency(plan, window),
        *_checks(plan, window),
    ]
    hard = any(finding.hard for finding in findings)
    for result in (Result.FAIL, Result.INCONCLUSIVE):
        reasons = [finding.reason for finding in findings if finding.result is result]
        if reasons:
            return Judgement(result=result, reason="; ".join(reasons), window=window, hard=hard)
    return Judgement(result=Result.PASS, reason="within all limits", window=window)


def _golden(window: Window) -> Iterator[Finding]:
    for result, what in ((Result.FAIL, window.wrong), (Result.INCONCLUSIVE, window.doubt)):
        if what:
            yield Finding(result, f"golden requests: {what}")


def _traffic(plan: RolloutPlan, window: Window) -> Iterator[Finding]:
    """Ask for enough requests."""
    if window.candidate.requests < plan.min_requests:
        yield Finding(Result.INCONCLUSIVE, f"{window.candidate.requests} of {plan.min_requests} requests")


def _lost(plan: RolloutPlan, window: Window) -> Iterator[Finding]:
    """Ask for the answers that the share must have brought, whoever asked: what hangs is not counted."""
    candidate, production = window.candidate, window.production
    if not window.settled or production is None:
        return
    if not window.same_span:
        lost = not candidate.requests and production.requests >= plan.min_requests
        expected = float(production.requests)
    else:
        total = candidate.requests + production.requests
        expected = total * window.share
        chance = binomial_tail(production.requests, total, 1 - window.share)
        lost = candidate.requests < expected / 2 and chance < plan.significance
    if lost:
        reason = f"{candidate.requests} answers where its share should bring about {expected:.0f}: requests hang"
        yield Finding(Result.FAIL, reason)


def _errors(plan: RolloutPlan, window: Window) -> Iterator[Finding]:
    candidate, production = window.candidate, window.production
    if plan.hard_error_rate is not None:
        chance = binomial_tail(candidate.errors, candidate.requests, plan.hard_error_rate)
        if chance < plan.significance:
            reason = f"error rate {candidate.error_rate:.2%} is over hard_error_rate {plan.hard_error_rate:.2%}"
            yield Finding(Result.FAIL, reason, hard=True)
    if plan.max_error_rate is not None:
        chance = binomial_tail(candidate.errors, candidate.requests, plan.max_error_rate)
        limit = f"max_error_rate {plan.max_error_rate:.2%}"
        yield from _rate(plan, window, plan.max_error_rate, 2 * plan.max_error_rate, chance, limit)
    if plan.max_error_rate_delta is not None and production is not None and production.requests:
        allowed = production.error_rate + plan.max_error_rate_delta
        # Both must speak against chance: worse than production at all, and worse by more than the delta.
        chance = max(
            fisher_tail(candidate.errors, candidate.requests, production.errors, production.requests),
            binomial_tail(candidate.errors, candidate.requests, allowed),
        )
        limit = f"production {production.error_rate:.2%} + max_error_rate_delta {plan.max_error_rate_delta:.2%}"
        said_all = not window.same_span and candidate.requests >= _SAID_ALL * production.requests
        if candidate.error_rate > allowed and chance >= plan.significance and said_all:
            # Production has no traffic any more, and more of the candidate's tells hardly more of the two.
            return
        yield from _rate(plan, window, allowed, allowed + plan.max_error_rate_delta, chance, limit)


def _rate(
    plan: RolloutPlan, window: Window, allowed: float, bad: float, chance: float, limit: str
) -> Iterator[Finding]:
    """Judge an error rate.

    :param bad: rate that must have been noticed before the candidate is promoted: at its full share.
    :param chance: that a candidate within the limit errs as much.
    """
    errors, requests, rate = window.candidate.errors, window.candidate.requests, window.candidate.error_rate
    if rate > allowed:
        by_chance = chance >= plan.significance
        result = Result.INCONCLUSIVE if by_chance else Result.FAIL
        yield Finding(result, f"error rate {rate:.2%} is over {limit}{', perhaps by chance' if by_chance else ''}")
    elif window.share == 1 and allowed < bad < 1:
        missed = 1 - binomial_tail(errors + 1, requests, bad)
        if missed > 1 - plan.power:
            reason = f"{errors} errors in {requests} requests may yet be a rate of {bad:.2%}"
            yield Finding(Result.INCONCLUSIVE, reason)


def _latency(plan: RolloutPlan, window: Window) -> Iterator[Finding]:
    candidate, production = window.candidate, window.production
    if candidate.requests < plan.min_requests:
        return
    if candidate.p95_ms is None:
        if plan.max_p95_ms is not None or plan.hard_p95_ms is not None:
            yield Finding(Result.INCONCLUSIVE, "the metrics source tells no p95")
        return
    if plan.hard_p95_ms is not None:
        yield from _slow(plan, candidate, 95, plan.hard_p95_ms, f"hard_p95_ms {plan.hard_p95_ms:.0f}", hard=True)
    if plan.max_p95_ms is not None:
        yield from _slow(plan, candidate, 95, plan.max_p95_ms, f"max_p95_ms {plan.max_p95_ms:.0f}")
    if production is not None and production.requests:
        yield from _slower(plan, window, production)


def _slower(plan: RolloutPlan, window: Window, production: Sample) -> Iterator[Finding]:
    """Compare percentiles with production's."""
    for percent, ratio in ((95, plan.max_p95_ratio), (50, plan.max_p50_ratio)):
        beside = production.percentile(percent)
        if ratio is None or beside is None:
            continue
        allowed = max(beside * ratio, beside + plan.min_latency_effect_ms)
        for item in _slow(plan, window.candidate, percent, allowed, f"{ratio:g} times production's {beside:.0f} ms"):
            # Load and machines are not the same at another time: that it got slower there is no proof.
            yield item if window.same_span else Finding(Result.INCONCLUSIVE, f"{item.reason} before")


def _slow(
    plan: RolloutPlan, candidate: Sample, percent: int, allowed: float, limit: str, *, hard: bool = False
) -> Iterator[Finding]:
    """Judge a percentile: of a service within the limit no more than the rest of the requests are slower than it.

    The highest share that the known percentiles put over the limit is what was counted. A source that tells this one
    alone is taken at its word.
    """
    value, rest = candidate.percentile(percent), 1 - percent / 100
    if value is None or value <= allowed:
        return
    over = max([rest, *(1 - known / 100 for known, ms in candidate.quantiles.items() if ms > allowed)])
    chance = binomial_tail(round(over * candidate.requests), candidate.requests, rest)
    reason = f"p{percent} {value:.0f} ms is over {limit}"
    if candidate.quantiles and chance >= plan.significance:
        yield Finding(Result.INCONCLUSIVE, f"{reason}, perhaps by chance")
    else:
        yield Finding(Result.FAIL, reason, hard)


def _checks(plan: RolloutPlan, window: Window) -> Iterator[Finding]:
    """Compare further values with their limits."""
    if window.candidate.requests < plan.min_requests:
        return
    for name, limits in plan.checks.items():
        value = window.candidate.value(name)
        if value is None:
            yield Finding(Result.INCONCLUSIVE, f"the metrics source tells no {name}")
            continue
        beside = window.production.value(name) if window.production is not None else None
        for key, limit in limits.items():
            edge = _BOUNDS[key](limit, beside)
            if edge is not None and (value < edge if key in _LOWER else value > edge):
                reason = f"{name} {value:g} is {'under' if key in _LOWER else 'over'} {edge:g} ({key})"
                yield Finding(Result.FAIL, reason, hard=key.startswith("hard_"))


_LOWER = frozenset({"min", "hard_min", "max_below"})


def _own(limit: float, _beside: float | None) -> float:
    return limit


# A limit and production's value to the edge of what is allowed; None: there is nothing to compare with.
_BOUNDS: dict[str, Callable[[float, float | None], float | None]] = {
    **dict.fromkeys(("min", "max", "hard_min", "hard_max"), _own),
    "max_above": lambda limit, beside: None if beside is None else beside + limit,
    "max_below": lambda limit, beside: None if beside is None else beside - limit,
    "max_ratio": lambda limit, beside: None if beside is None else beside * limit,
}
assert set(_BOUNDS) == set(CHECK_LIMITS)
