"""Chance of counts: exact one-sided tests."""

from __future__ import annotations

import math
from collections.abc import Iterable


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
