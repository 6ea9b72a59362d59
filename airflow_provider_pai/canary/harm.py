"""Harm to production since the candidate has traffic: what both depend on may suffer from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.canary.samples import Finding, Result, Sample, Window


def harm(plan: RolloutPlan, window: Window) -> Iterator[Finding]:
    """Compare production with itself before the candidate had traffic: it may harm what both depend on.

    Whatever else may be the cause, it is safe to take the candidate back.
    """
    production, past = window.production, [sample for sample in window.past if sample.requests >= plan.min_requests]
    if production is None or not window.same_span or production.requests < plan.min_requests or not past:
        return
    delta, since = plan.max_error_rate_delta, "since the candidate has traffic"
    if delta is not None and max(production.chance_beside(before, delta) for before in past) < plan.significance:
        worst = max(before.error_rate for before in past)
        reason = f"production went from {worst:.1%} to {production.error_rate:.1%} errors {since}"
        yield Finding(Result.FAIL, reason, hard=True, proven=False)
    slower = [percent for percent in (50, 80, 90, 95) if production.percentile(percent) is not None]
    if plan.max_p95_ratio is not None and slower and all(_far_slower(plan, production, past, each) for each in slower):
        was, is_now = max(before.percentile(slower[-1]) or 0 for before in past), production.percentile(slower[-1])
        reason = f"production went from {was:.0f} ms to {is_now:.0f} ms (p{slower[-1]}) {since}"
        # Load and machines are not the same at another time: it holds the rise, and is no proof.
        yield Finding(Result.INCONCLUSIVE, reason)


def _far_slower(plan: RolloutPlan, production: Sample, past: Sequence[Sample], percent: int) -> bool:
    value, known = production.percentile(percent) or 0.0, [before.percentile(percent) for before in past]
    ratio, effect = plan.max_p95_ratio or 1.0, plan.min_latency_effect_ms
    return all(ms is not None and value > max(ms * ratio, ms + effect) for ms in known)
