"""Is the candidate as good as production? Counts in, one verdict with its numbers and its reason out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_pai.canary.plan import RolloutPlan


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one service answered in a span of time; `p95_ms` is None where the source cannot tell."""

    requests: int
    errors: int
    p95_ms: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.requests:
            raise ValueError(f"errors: {self.errors}; allowed: from 0 to requests, which is {self.requests}")

    @property
    def error_rate(self) -> float:
        """Return the share of failed requests; 0 without requests."""
        return self.errors / self.requests if self.requests else 0.0

    def __str__(self) -> str:
        latency = "" if self.p95_ms is None else f", p95 {self.p95_ms:.0f} ms"
        return f"{self.requests} requests, {self.errors} errors{latency}"


NOTHING = Sample(requests=0, errors=0)


@dataclass(frozen=True, kw_only=True)
class Window:
    """Candidate and production over the same span; `production` is None where nothing else serves."""

    candidate: Sample
    production: Sample | None = None


class Result(StrEnum):
    """How a look ended."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One look at the candidate."""

    result: Result
    reason: str
    window: Window

    def __str__(self) -> str:
        production = self.window.production
        beside = (
            "" if production is None else f", production {production.requests} requests, {production.errors} errors"
        )
        because = "" if self.result is Result.PASS else f" ({self.reason})"
        return f"{self.window.candidate}{beside} → {self.result.value}{because}"


def source_error(reason: str) -> Verdict:
    """Return the verdict for a look at which the metrics source did not answer."""
    return Verdict(result=Result.ERROR, reason=reason, window=Window(candidate=NOTHING))


def judge(plan: RolloutPlan, window: Window) -> Verdict:
    """Weigh what the candidate answered since the step began.

    Error rates fail only beyond chance, so that one stray error in 20 requests never does and 20 % failures
    do. A rate over its limit that chance could explain is inconclusive: more requests will tell. So are too
    few requests, which never pass, though a failure that is already beyond chance counts at once.
    """
    findings = [*_errors(plan, window), *_latency(plan, window)]
    for result in (Result.FAIL, Result.INCONCLUSIVE):
        reasons = [reason for found, reason in findings if found is result]
        if reasons:
            return Verdict(result=result, reason="; ".join(reasons), window=window)
    return Verdict(result=Result.PASS, reason="within all limits", window=window)


Finding = tuple[Result, str]


def _errors(plan: RolloutPlan, window: Window) -> list[Finding]:
    candidate, production = window.candidate, window.production
    findings: list[Finding] = []
    if candidate.requests < plan.min_requests:
        findings.append((Result.INCONCLUSIVE, f"{candidate.requests} of {plan.min_requests} requests"))
    if plan.max_error_rate is not None:
        chance = binomial_tail(candidate.errors, candidate.requests, plan.max_error_rate)
        limit = f"max_error_rate {plan.max_error_rate:.2%}"
        findings += _over(plan, candidate.error_rate, plan.max_error_rate, chance, limit)
    if plan.max_error_rate_delta is not None and production is not None and production.requests:
        allowed = production.error_rate + plan.max_error_rate_delta
        # Both must speak against chance: worse than production at all, and worse by more than the delta.
        chance = max(
            fisher_tail(candidate.errors, candidate.requests, production.errors, production.requests),
            binomial_tail(candidate.errors, candidate.requests, allowed),
        )
        limit = f"production {production.error_rate:.2%} + max_error_rate_delta {plan.max_error_rate_delta:.2%}"
        findings += _over(plan, candidate.error_rate, allowed, chance, limit)
    return findings


def _over(plan: RolloutPlan, rate: float, allowed: float, chance: float, limit: str) -> list[Finding]:
    if rate <= allowed:
        return []
    if chance < plan.significance:
        return [(Result.FAIL, f"error rate {rate:.2%} is over {limit}")]
    return [(Result.INCONCLUSIVE, f"error rate {rate:.2%} is over {limit}, perhaps by chance")]


def _latency(plan: RolloutPlan, window: Window) -> list[Finding]:
    candidate, production = window.candidate, window.production
    if candidate.requests < plan.min_requests:
        return []
    if candidate.p95_ms is None:
        asked = plan.max_p95_ms is not None or plan.max_p95_ratio is not None
        return [(Result.INCONCLUSIVE, "the metrics source tells no p95")] if asked else []
    findings: list[Finding] = []
    if plan.max_p95_ms is not None and candidate.p95_ms > plan.max_p95_ms:
        findings.append((Result.FAIL, f"p95 {candidate.p95_ms:.0f} ms over max_p95_ms {plan.max_p95_ms:.0f}"))
    if plan.max_p95_ratio is None or production is None or not production.requests or production.p95_ms is None:
        return findings
    allowed = max(production.p95_ms * plan.max_p95_ratio, production.p95_ms + plan.min_p95_effect_ms)
    if candidate.p95_ms > allowed:
        limit = f"{plan.max_p95_ratio:g} times production's {production.p95_ms:.0f} ms"
        findings.append((Result.FAIL, f"p95 {candidate.p95_ms:.0f} ms is over {limit}"))
    return findings


def binomial_tail(successes: int, trials: int, probability: float) -> float:
    """Return P(X >= successes) for X ~ Binomial(trials, probability): the one-sided exact test."""
    if successes <= 0:
        return 1.0
    if probability <= 0:
        return 0.0
    if probability >= 1:
        return 1.0
    log_p, log_q = math.log(probability), math.log1p(-probability)
    terms = (_log_choose(trials, k) + k * log_p + (trials - k) * log_q for k in range(successes, trials + 1))
    return _sum_of_falling(terms, past=trials * probability - successes)


def fisher_tail(errors: int, requests: int, other_errors: int, other_requests: int) -> float:
    """Return the one-sided p-value of Fisher's exact test: the first service errs no more than the other."""
    if errors <= 0 or other_requests <= 0:
        return 1.0
    total_errors, total = errors + other_errors, requests + other_requests
    whole = _log_choose(total, requests)
    terms = (
        _log_choose(total_errors, k) + _log_choose(total - total_errors, requests - k) - whole
        for k in range(errors, min(total_errors, requests) + 1)
    )
    return _sum_of_falling(terms, past=total_errors * requests / total - errors)


def _log_choose(n: int, k: int) -> float:
    if k < 0 or k > n:
        return -math.inf
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _sum_of_falling(log_terms: Iterable[float], past: float) -> float:
    """Add terms given as logarithms; past their peak stop where they no longer count."""
    total = 0.0
    for index, log_term in enumerate(log_terms):
        term = math.exp(log_term)
        total += term
        if index > past and term < total * 1e-12:
            break
    return min(1.0, total)
