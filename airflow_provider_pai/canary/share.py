"""Share of the traffic by counts: weights that the gateway does not follow yet, and requests that hang."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.canary.samples import Finding, Result, Window
from airflow_provider_pai.canary.significance import binomial_tail


def late(plan: RolloutPlan, window: Window) -> str:
    """Return that the counts still show the share before; nothing where they don't, or can't tell.

    A first share that comes late shows hardly an answer, and so does a hang from its first request on; a hang in a
    later step shows less than the candidate had before.
    """
    mine, total, before = *_counts(window), window.share_before
    if before is None or before >= window.share:
        return ""
    if binomial_tail(total - mine, total, 1 - window.share) >= plan.significance:
        return ""
    if not before / 2 <= mine / total < _between(window):
        return ""
    return f"the gateway does not follow the weights yet: {mine} of {total} requests, not {window.share:.0%}"


def follows(plan: RolloutPlan, window: Window) -> bool:
    """Tell whether the counts show the share that was set for the first time."""
    mine, total = _counts(window)
    return window.share_before is not None and total >= plan.min_requests and mine / total >= _between(window)


def _between(window: Window) -> float:
    return ((window.share_before or 0.0) + window.share) / 2


def _counts(window: Window) -> tuple[int, int]:
    """Return the candidate's requests, and both services' in the same span."""
    beside = window.production if window.same_span else window.meanwhile
    return window.candidate.requests, window.candidate.requests + (beside.requests if beside else 0)


def lost(plan: RolloutPlan, window: Window) -> Iterator[Finding]:
    """Ask for the answers that the share must have brought, whoever asked: what hangs is not counted."""
    if not window.settled or window.production is None:
        return
    candidate, production = window.recent or (window.candidate, window.production)
    if not window.same_span:
        production = window.production
        hangs = not candidate.requests and production.requests >= plan.min_requests
        expected = float(production.requests)
    else:
        total = candidate.requests + production.requests
        expected = total * window.share
        chance = binomial_tail(production.requests, total, 1 - window.share)
        hangs = candidate.requests < expected / 2 and chance < plan.significance
    if hangs:
        reason = f"{candidate.requests} answers where its share should bring about {expected:.0f}: requests hang"
        yield Finding(Result.FAIL, reason)
