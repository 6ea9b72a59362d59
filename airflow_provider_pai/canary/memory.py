"""Memory of a group's services: what their labels said at the last look, should someone change, lose or delete them.

It lies in the group's lease, which hands it from each holder to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from airflow_provider_pai.canary.group import UNDER_WAY, Group, Member, Progress
from airflow_provider_pai.labels import Key, check_schema, is_ours
from airflow_provider_pai.schemas import LABELS
from airflow_provider_pai.states import EAS_GONE

# A clock may be wrong; a label that says more was not written by a rollout.
_AHEAD = 86400.0
_MOST_GONE = 3


class Kept(NamedTuple):
    """What is kept of one service."""

    created: str
    """When EAS has made it: another one of its name has another past."""
    labels: Mapping[str, str]


Memory = Mapping[str, Kept]
"""Services by their names."""


def check_labels(group: Group) -> None:
    """Refuse to work on a group on whose services a later version has written.

    :raises PaiVersionError: it has.
    """
    for member in group.members:
        check_schema(member.labels)
        LABELS.check(member.labels.get(Key.COUNTS, "").rpartition("/")[0])


def read_memory(value: Any) -> dict[str, Kept]:
    """Read what was written as JSON; nothing where it can't be read."""
    try:
        return {str(name): Kept(str(created), dict(labels)) for name, (created, labels) in value.items()}
    except (AttributeError, TypeError, ValueError):
        return {}


def remember(group: Group, memory: Memory, now: float) -> dict[str, Kept]:
    """Return what is to be kept of a group that was recalled; what can't be read does not replace what could."""
    known = {member.name: _kept(member, now) or memory.get(member.name) for member in group.members}
    gone = sorted(member.name for member in group.members if member.status == EAS_GONE)
    return {name: kept for name, kept in known.items() if kept is not None and name not in gone[:-_MOST_GONE]}


def recall(group: Group, memory: Memory, now: float) -> Group:
    """Return a group as it would look if nobody had touched its labels.

    :param now: Unix time.
    """
    return replace(group, members=tuple(_recalled(each, memory.get(each.name), now) for each in group.members))


def with_deleted(group: Group, memory: Memory) -> Group:
    """Return a group with the services, too, that somebody has deleted in the middle of their rollout."""
    gone = [_gone(name, kept) for name, kept in memory.items() if group.member(name) is None and _under_way(kept)]
    return replace(group, members=(*group.members, *gone))


def _kept(member: Member, now: float) -> Kept | None:
    ours = {key: value for key, value in member.labels.items() if is_ours(key)}
    return Kept(member.created, ours) if _legible(ours, now) else None


def _recalled(member: Member, kept: Kept | None, now: float) -> Member:
    if kept is None or kept.created != member.created:
        return member
    labels = {**kept.labels, **member.labels}
    if not _legible(labels, now):
        labels |= kept.labels
    return member if labels == member.labels else replace(member, labels=labels)


def _legible(labels: Mapping[str, str], now: float) -> bool:
    progress = Progress.of(labels)
    return progress is not None and max(progress.since or 0.0, progress.settling or 0.0) <= now + _AHEAD


def _under_way(kept: Kept) -> bool:
    progress = Progress.of(kept.labels)
    return progress is not None and progress.phase in UNDER_WAY


def _gone(name: str, kept: Kept) -> Member:
    return Member(name=name, status=EAS_GONE, running=0, total=0, created=kept.created, labels=kept.labels)
