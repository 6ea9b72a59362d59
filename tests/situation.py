"""Situations of a rollout, made up: production and a candidate that are well, but for what a test changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_pai.canary.group import Group, Member, Phase, Progress
from airflow_provider_pai.canary.situation import Situation
from tests.fake import PLAN, goal

FIRST, SECOND = "20261121T1800Z-aaaaaaaa", "20261122T1800Z-bbbbbbbb"
STABLE, CANDIDATE = goal(FIRST).service, goal(SECOND).service
NOW = 1_800_000_000.0


def progress_of(version: str, phase: Phase, **changes: Any) -> Progress:
    """Return how far a version's rollout is."""
    aim = goal(version)
    return Progress(
        phase=phase,
        version=version,
        digest=aim.digest,
        interval_end=aim.interval_end,
        task=aim.task,
        **{"since": NOW, **changes},
    )


def member(name: str, progress: Progress | None = None, **changes: Any) -> Member:
    """Return a service that runs, without traffic."""
    labels = progress.labels() if progress else {}
    given = {"status": "Running", "running": 1, "total": 1, "version": 1, "labels": labels, **changes}
    return Member(name=name, **given)


def situation(
    phase: Phase,
    *others: Member,
    stable: dict[str, Any] | None = None,
    candidate: dict[str, Any] | None = None,
    customized: bool = True,
    **changes: Any,
) -> Situation:
    """Return a situation in which the first night's model serves and the second's is rolled out.

    :param others: further members.
    :param stable: changes of the service that serves.
    :param candidate: changes of the candidate.
    :param changes: fields of `Situation`, or of the candidate's progress, whose `stable` is called `stable_name`.
    """
    changes = {"stable": changes.pop("stable_name", STABLE), **changes}
    fields = {name: changes.pop(name) for name in ("plan", "goal", "now", "stop", "gate") if name in changes}
    progress = progress_of(SECOND, phase, **changes)
    old = member(STABLE, progress_of(FIRST, Phase.PROMOTED), **{"weight": 100, "grouping": True, **(stable or {})})
    new = member(CANDIDATE, progress, **(candidate or {}))
    group = Group(name="digits", customized=customized, members=(old, new, *others))
    given = {"plan": PLAN, "goal": goal(SECOND), "now": NOW, **fields}
    return Situation(group=group, candidate=new, progress=progress, **given)


def without_stable(one: Situation) -> Situation:
    """Return the situation when the service that served is gone."""
    members = tuple(member for member in one.group.members if member.name != STABLE)
    return replace(one, group=replace(one.group, members=members))
