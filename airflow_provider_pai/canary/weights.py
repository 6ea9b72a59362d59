"""Percent of a group's traffic ⇄ EAS weights.

In customized mode a member's share is its weight over the sum of all, each 0 to 1000 (ReleaseService).
In auto mode shares follow instance counts and weights count for nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from airflow_provider_pai.canary.group import UNDER_WAY, Group, Member


class Weights(NamedTuple):
    """Weights of the two members of a rollout."""

    candidate: int
    stable: int


def weights_for(percent: int) -> Weights:
    """Return the weights that give the candidate this share."""
    return Weights(candidate=percent, stable=100 - percent)


def shares(group: Group) -> dict[str, float]:
    """Return each member's share of the group's traffic, 0 to 1, as EAS would split it now."""
    counts = {member.name: _count(group, member) for member in group.members}
    total = sum(counts.values())
    return {name: count / total if total else 0.0 for name, count in counts.items()}


def carriers(group: Group) -> list[Member]:
    """Return the members that answer group requests now."""
    return [member for member in group.members if _count(group, member) and member.running]


def incumbents(group: Group) -> list[Member]:
    """Return those that answer group requests and that no rollout is bringing in or taking out."""
    return [member for member in carriers(group) if not (member.progress and member.progress.phase in UNDER_WAY)]


def _count(group: Group, member: Member) -> int:
    if not member.grouping:
        return 0
    return member.running if group.customized is False else max(0, member.weight)
