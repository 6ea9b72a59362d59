"""Versions that a group served before, by its own services and the audit ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from airflow_provider_pai.labels import ServedModel
from airflow_provider_pai.ledger import EventKind, Row

if TYPE_CHECKING:
    from airflow_provider_pai.canary.group import Group, Member


def chosen_version(to: str, group: Group, current: Member | None, rows: Sequence[Row]) -> str:
    """Return the version that `previous`, `promoted` or a version's own name means; empty: nothing tells.

    Services that stand are believed before the ledger, which another deployment may not have written, and what their
    labels call bad is never meant, whatever the ledger says.

    :param rows: of the ledger; empty where it is not to be believed.
    """
    bad = _bad_versions(group, rows)
    served = [version for version in served_versions(rows, group.name) if version not in bad]
    kept = [version_of(member) for member in replaced_members(group, current)]
    if to == "previous":
        return next((version for version in [*kept[::-1], *served[::-1]] if version != version_of(current)), "")
    if to == "promoted":
        mine = [version_of(current)] if current is not None and _was_promoted(current) else []
        return next(iter([*mine, *served[::-1], *kept[::-1]]), "")
    return to


def standing_versions(group: Group) -> str:
    """Return in words the versions whose services stand, the latest first, for a person to name one."""
    told = [
        f"{version} ({member.status}{', rolled back before' if _is_bad(group, member) else ''})"
        for member in group.members
        if (version := version_of(member))
    ]
    return ", ".join(sorted(told, reverse=True)) or "none"


def served_versions(rows: Iterable[Row], group: str) -> list[str]:
    """Return the versions of a group in the order in which they began to serve, without those that were bad."""
    served: list[str] = []
    for row in rows:
        if row.subject != group:
            continue
        told = json.loads(row.payload)
        if told.get("service") == group:  # a service by itself may bear the group's name
            continue
        bad = row.version if row.kind == EventKind.ROLLED_BACK else ""
        if row.kind == EventKind.RESTORED:
            bad = told.get("previous_version") or ""
        served = [version for version in served if version != bad]
        if row.kind in (EventKind.DEPLOYED, EventKind.PROMOTED, EventKind.RESTORED):
            served.append(row.version)
    return served


def serving_member(group: Group) -> Member | None:
    """Return the member that is to be replaced: a candidate that nobody takes further, else the heaviest."""
    from airflow_provider_pai.canary.group import UNDER_WAY
    from airflow_provider_pai.canary.weights import carriers

    serving = carriers(group)
    halfway = [member for member in serving if member.progress and member.progress.phase in UNDER_WAY]
    return max(halfway or serving, key=lambda member: member.weight, default=None)


def replaced_members(group: Group, current: Member | None) -> list[Member]:
    """Return the members that served before and were not bad, the latest last."""
    from airflow_provider_pai.canary.group import Phase

    served = (Phase.RETIRING, Phase.RETIRED, Phase.PROMOTED)
    stable = current.progress.stable if current is not None and current.progress else ""
    kept = [
        (member.name == stable, progress.since or 0.0, member)
        for member in group.members
        if member is not current and (progress := member.progress)
        if (progress.phase in served or member.name == stable) and not _is_bad(group, member)
    ]
    # What the current one has replaced is the latest, whatever the labels say of its time.
    return [member for _, _, member in sorted(kept, key=lambda item: item[:2])]


def version_of(member: Member | None) -> str:
    """Return the artifact's version that a service serves, as its labels tell; empty: unknown."""
    return ServedModel.of(member.labels).version if member is not None else ""


def _was_promoted(member: Member) -> bool:
    from airflow_provider_pai.canary.group import Phase

    return member.progress is not None and member.progress.phase is Phase.PROMOTED


def _is_bad(group: Group, member: Member) -> bool:
    """Tell whether labels say of a service that its model was rolled back."""
    from airflow_provider_pai.canary.group import Phase

    progress = member.progress
    if progress is None:
        return False
    rejected = bool(progress.digest) and group.rejects(progress.digest, progress.task, progress.cycle)
    return rejected or progress.phase in (Phase.WITHDRAWN, Phase.ROLLED_BACK)


def _bad_versions(group: Group, rows: Iterable[Row]) -> set[str]:
    """Return the versions that labels call bad: of services that stand, and by the digests that these remember."""
    digests = {entry.partition(".")[0] for entry in group.rejected}
    stand = {version_of(member) for member in group.members if _is_bad(group, member)}
    return stand | {row.version for row in rows if row.digest.rpartition(":")[2][:12] in digests}
