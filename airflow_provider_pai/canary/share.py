"""Share of the traffic by counts: weights that the gateway does not follow yet, and requests that hang."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.canary.samples import Finding, Result, Window
from airflow_provider_pai.canary.significance import binomial_tail


def late(plan: RolloutPlan, window: Window) -> str:
    """Return that the counts still show the share before; nothing where they don't, or can't tell.

    Of a candidate without an answer of its own nobody knows whether it hangs: a first share that comes late shows none,
    a hang in a later step less than it had.
    """
    mine, before = window.candidate.requests, window.share_before
    beside = window.production if window.same_span else window.meanwhile
    if beside is None or before is None or before >= window.share:
        return ""
    total = mine + beside.requests
    if binomial_tail(beside.requests, total, 1 - window.share) >= plan.significance:
        return ""
    if not (before / 2 <= mine / total < (before + window.share) / 2 if before else not mine):
        return ""
    return f"the gateway does not follow the weights yet: {mine} of {total} requests, not {window.share:.0%}"


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
