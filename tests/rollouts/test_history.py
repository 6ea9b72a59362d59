"""Versions that served before, by the services that stand and by the ledger."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.canary.group import Group, Phase, Progress, rejection
from airflow_provider_pai.ledger import EventKind
from airflow_provider_pai.rollouts.history import (
    chosen_version,
    replaced_members,
    served_versions,
    serving_member,
)
from tests.fake import goal
from tests.situation import NOW, member, progress_of

V1, V2, V3 = (f"202611{day}T1800Z-aaaaaaaa" for day in (20, 21, 22))


def row(kind, version, subject="digits", digest="", **payload):
    return SimpleNamespace(kind=kind, version=version, digest=digest, subject=subject, payload=json.dumps(payload))


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
        row(EventKind.DEPLOYED, "1", service="digits"),
        row(EventKind.PROMOTED, V2),
        row(EventKind.SKIPPED, "y"),
        row(EventKind.PROMOTED, V3),
    ]
    assert served_versions(rows, "digits") == [V1, V2, V3]
    assert served_versions([*rows, row(EventKind.RESTORED, V2, previous_version=V3)], "digits") == [V1, V2, V2]


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


def test_what_was_bad_is_not_gone_back_to_though_it_is_named_as_the_one_before():
    current = service(V3, Phase.PROMOTED, stable="s_21", **SERVES)
    services = group(service(V1, Phase.RETIRED), service(V2, Phase.ROLLED_BACK), current)
    assert chosen_version("previous", services, current, []) == V1
    assert chosen_version("previous", group(*services.members[1:]), current, []) == ""


@pytest.mark.parametrize("to", ["previous", "promoted"])
def test_a_ledger_that_lacks_the_rollback_brings_nothing_back_that_the_labels_call_bad(to):
    entry = rejection(goal(V2).digest, goal(V2).task, 0)
    current = member("s_20", progress_of(V1, Phase.FROZEN, rejected=(entry,)), **SERVES)
    rows = [row(EventKind.PROMOTED, V1), row(EventKind.PROMOTED, V2, digest=goal(V2).digest)]
    assert chosen_version(to, group(current), current, rows) in ("", V1)
    stands = service(V2, Phase.ROLLED_BACK)
    rows = [row(EventKind.PROMOTED, V3), row(EventKind.PROMOTED, V2)]
    assert chosen_version(to, group(current, stands), current, rows) == V3


def test_a_version_that_was_judged_anew_after_a_clear_is_good_again():
    entry = rejection(goal(V2).digest, goal(V2).task, 0)
    again = member("s_21", progress_of(V2, Phase.RETIRED, cycle=1, rejected=(entry,)))
    current = service(V3, Phase.PROMOTED, **SERVES)
    assert chosen_version("previous", group(again, current), current, []) == V2
    first = member("s_21", progress_of(V2, Phase.RETIRED, rejected=(entry,)))
    assert chosen_version("previous", group(first, current), current, []) == ""


class Nights:
    """A group over many nights: what its labels say, and which versions' last word was that they are bad."""

    def __init__(self):
        self.members, self.current, self.bad, self.night = {}, "", set(), 0

    def promote(self):
        self.night += 1
        version = f"2026{1000 + self.night}T1800Z-aaaaaaaa"
        remembered = tuple({entry for one in self.members.values() for entry in one.rejected})
        if self.current:
            self.members[self.current] = replace(self.members[self.current], phase=Phase.RETIRED, since=self.night)
        stable = f"s_{self.current}" if self.current else ""
        self.members[version] = progress_of(
            version, Phase.PROMOTED, since=self.night, stable=stable, rejected=remembered
        )
        self.current = version

    def go_back(self, to):
        """As `Takeover.settle` leaves the labels."""
        if not to or to == self.current:
            return
        bad = self.members[self.current]
        entry = rejection(bad.digest, bad.task, bad.cycle)
        self.members[self.current] = replace(bad.reject(entry), phase=Phase.ROLLED_BACK)
        self.members[to] = replace(self.members[to], phase=Phase.PROMOTED, since=self.night).reject(entry)
        self.bad = (self.bad | {self.current}) - {to}
        self.current = to

    def delete(self, number):
        others = [version for version in self.members if version != self.current]
        if others:
            del self.members[others[number % len(others)]]

    def group(self):
        return group(
            *(
                member(f"s_{version}", Progress.of(progress.labels()), **(SERVES if version == self.current else {}))
                for version, progress in self.members.items()
            )
        )

    def previous(self):
        services = self.group()
        return chosen_version("previous", services, services.member(f"s_{self.current}"), [])


@given(st.lists(st.tuples(st.sampled_from(["promote", "previous", "named", "delete"]), st.integers(0, 9)), max_size=14))
def test_previous_by_the_services_alone_is_never_a_version_whose_last_word_was_that_it_is_bad(steps):
    nights = Nights()
    nights.promote()
    nights.promote()
    for step, number in steps:
        if step == "promote":
            nights.promote()
        elif step == "delete":
            nights.delete(number)
        else:
            versions = list(nights.members)
            nights.go_back(nights.previous() if step == "previous" else versions[number % len(versions)])
        assert nights.previous() not in nights.bad
