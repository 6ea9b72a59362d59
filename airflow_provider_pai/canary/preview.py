"""Preview of a rollout in words, for a person who wants to know before anything is created."""

from __future__ import annotations

from airflow_provider_pai.canary.actions import Create, Finish
from airflow_provider_pai.canary.rollout import Rollout
from airflow_provider_pai.canary.weights import carriers, shares, weights_for


def preview(rollout: Rollout) -> str:
    """Return who serves now, what would be done first, and the steps with their weights, a line each."""
    group, plan, share = rollout.group, rollout.plan, shares(rollout.group)
    serving = [f"{member.name} serves {share[member.name]:.0%}" for member in carriers(group)]
    steps = []
    if serving:
        weights = {percent: weights_for(percent) for percent in plan.steps}
        steps = [f"step of {n} %: weights {both.candidate} and {both.stable}" for n, both in weights.items()]
        steps.append(f"at least {len(steps) * plan.min_duration + plan.bake:g} s from the first step to the last")
    return "\n".join([f"group {group.name}: {', '.join(serving) or 'nobody serves'}", _first(rollout), *steps])


def _first(rollout: Rollout) -> str:
    action = rollout.next()
    match action:
        case Finish(outcome=outcome, why=why):
            return f"would end at once, {outcome}: {why}"
        case Create(service=service):
            return f"would create {service} for version {rollout.goal.version}"
    return f"would go on with what is under way: {action}"
