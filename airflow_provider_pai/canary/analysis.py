"""Judgement of a candidate: the counts of it and of production in, one verdict with its reason out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from airflow_provider_pai.canary.harm import harm
from airflow_provider_pai.canary.plan import CHECK_LIMITS, RolloutPlan
from airflow_provider_pai.canary.samples import NOTHING, Finding, Result, Sample, Window
from airflow_provider_pai.canary.share import follows, late, lost
from airflow_provider_pai.canary.significance import binomial_tail

# So many times production's requests the candidate has had when all that is uncertain is production's rate.
_SAID_ALL = 4


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One look at the candidate.

    :param hard: a hard limit was passed: no patience.
    :param proven: it is the candidate that is bad; False: production is, since the candidate has traffic.
    :param late: the gateway does not follow the weights yet.
    :param shown: the counts show that it follows them now.
    """

    result: Result
    reason: str
    window: Window
    hard: bool = False
    proven: bool = True
    late: bool = False
    shown: bool = False

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


def judge(plan: RolloutPlan, window: Window) -> Judgement:
    """Weigh what the candidate answered since the step began.

    Error rates fail only beyond chance, so that one stray error in 20 requests never does and 20 % failures
    do. A rate over its limit that chance could explain is inconclusive: more requests will tell. So are too
    few requests, which never pass, though a failure that is already beyond chance counts at once.
    """
    counted, window = window, replace(window, candidate=window.candidate.without(window.golden))
    waits, shown = late(plan, counted), follows(plan, counted)
    findings = [
        *_golden(window),
        *_traffic(plan, window),
        *(() if waits else lost(plan, counted)),
        *_errors(plan, window),
        *_latency(plan, window),
        *_checks(plan, window),
        *harm(plan, window),
    ]
    for result in (Result.FAIL, Result.INCONCLUSIVE):
        found = [finding for finding in findings if finding.result is result]
        if result is Result.INCONCLUSIVE and waits:
            return Judgement(result=result, reason=waits, window=window, late=True)
        if found:
            hard, proven = any(one.hard for one in found), any(one.proven for one in found)
            reason = "; ".join(one.reason for one in found)
            return Judgement(result=result, reason=reason, window=window, hard=hard, proven=proven, shown=shown)
    return Judgement(result=Result.PASS, reason="within all limits", window=window, shown=shown)


def _golden(window: Window) -> Iterator[Finding]:
    for result, what in ((Result.FAIL, window.wrong), (Result.INCONCLUSIVE, window.doubt)):
        if what:
            yield Finding(result, f"golden requests: {what}")


def _traffic(plan: RolloutPlan, window: Window) -> Iterator[Finding]:
    """Ask for enough requests."""
    if window.candidate.requests < plan.min_requests:
        yield Finding(Result.INCONCLUSIVE, f"{window.candidate.requests} of {plan.min_requests} requests")


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
        chance = candidate.chance_beside(production, plan.max_error_rate_delta)
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
    if value is None:
        yield Finding(Result.INCONCLUSIVE, f"the metrics source tells no p{percent}")
        return
    if value <= allowed:
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
