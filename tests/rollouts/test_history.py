"""Versions that served before, by the services that stand and by the ledger."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from airflow_provider_pai.canary.group import Group, Phase
from airflow_provider_pai.ledger import EventKind
from airflow_provider_pai.rollouts.history import (
    artifact_uri,
    chosen_version,
    replaced_members,
    served_versions,
    serving_member,
)
from tests.situation import NOW, member, progress_of

V1, V2, V3 = (f"202611{day}T1800Z-aaaaaaaa" for day in (20, 21, 22))


def row(kind, version, subject="digits", **payload):
    return SimpleNamespace(kind=kind, version=version, subject=subject, payload=json.dumps(payload))


def service(version, phase, *, since=NOW, **changes):
    stable = changes.pop("stable", "")
    return member(f"s_{version[6:8]}", progress_of(version, phase, since=since, stable=stable), **changes)


SERVES = {"weight": 100, "grouping": True}


def group(*members):
    return Group(name="digits", customized=True, members=members)


def test_versions_in_the_order_in_which_they_began_to_serve():
    rows = [
        row(EventKind.DEPLOYED, V1),
        row(EventKind.PROMOTED, "x", subject="another"),
        row(EventKind.PROMOTED, V2),
        row(EventKind.SKIPPED, "y"),
        row(EventKind.PROMOTED, V3),
    ]
    assert served_versions(rows, "digits") == [V1, V2, V3]
    assert served_versions([*rows, row(EventKind.ROLLED_BACK, V3, serving_version=V2)], "digits") == [V1, V2, V2]


def test_an_artifact_lies_where_its_training_has_recorded_it():
    rows = [row(EventKind.PROMOTED, V1), row(EventKind.ARTIFACT_PRODUCED, V1, uri="oss://b/m/")]
    assert artifact_uri(rows, V1) == "oss://b/m/"
    assert artifact_uri(rows, V2) is None


def test_what_is_replaced_is_the_candidate_that_nobody_takes_further_or_the_heaviest():
    old, halfway = (
        service(V1, Phase.PROMOTED, weight=90, grouping=True),
        service(V2, Phase.STEP, weight=10, grouping=True),
    )
    assert serving_member(group(old, halfway)) is halfway
    assert serving_member(group(old, service(V2, Phase.FROZEN, weight=10, grouping=True))) is old
    assert serving_member(group(service(V1, Phase.RETIRED))) is None


def test_members_that_served_before_the_latest_last():
    current = service(V3, Phase.PROMOTED, stable="s_21", **SERVES)
    oldest, before = service(V1, Phase.RETIRED, since=NOW + 5), service(V2, Phase.RETIRING, since=NOW)
    bad = service("20261119T1800Z-aaaaaaaa", Phase.ROLLED_BACK)
    assert replaced_members(group(bad, before, current, oldest), current) == [oldest, before]


@pytest.mark.parametrize(("to", "version"), [("previous", V2), ("promoted", V3), (V1, V1)])
def test_services_that_stand_are_believed_before_the_ledger(to, version):
    current = service(V3, Phase.PROMOTED, **SERVES)
    services = group(service(V2, Phase.RETIRED), current)
    rows = [row(EventKind.PROMOTED, V1)]
    assert chosen_version(to, services, current, rows) == version


def test_the_ledger_knows_what_no_service_tells():
    rows = [row(EventKind.DEPLOYED, V1), row(EventKind.PROMOTED, V2)]
    frozen = service(V3, Phase.FROZEN, **SERVES)
    assert chosen_version("previous", group(frozen), frozen, rows) == V2
    assert chosen_version("promoted", group(frozen), frozen, rows) == V2
    byhand = member("byhand", **SERVES)
    assert chosen_version("previous", group(byhand), byhand, []) == ""
