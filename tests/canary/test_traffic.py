"""The calls from one share to the next, in the one order in which somebody always answers, and another hand's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_pai.canary.actions import Customize
from airflow_provider_pai.canary.group import Group, Phase
from airflow_provider_pai.canary.traffic import changed, drift, toward
from airflow_provider_pai.canary.weights import carriers, shares
from tests.situation import CANDIDATE, STABLE, member, situation, without_stable


def walk(group, percent, loses_weights=False):
    """Do what is asked until nothing is; return each share of the candidate on the way.

    :param loses_weights: a service outside the traffic has no weight.
    """
    seen, answered = [], bool(carriers(group))
    for _ in range(20):
        step = toward(group, group.member(CANDIDATE), group.member(STABLE), percent)
        if step is None:
            return group, seen
        if isinstance(step, Customize):
            group = replace(group, customized=True)
        else:
            weight = step.weight if step.grouping or not loses_weights else 0
            moved = replace(group.member(step.service), weight=weight, grouping=step.grouping)
            others = tuple(moved if one.name == moved.name else one for one in group.members)
            group = replace(group, members=others)
        assert carriers(group) or not answered, step
        seen.append(shares(group)[CANDIDATE])
    raise AssertionError("no end in sight")


@pytest.mark.parametrize("customized", [True, False])
@pytest.mark.parametrize("weight", [100, 0, -1, 7])
@pytest.mark.parametrize("loses_weights", [True, False])
def test_every_share_is_reached_from_below_and_somebody_always_answers(customized, weight, loses_weights):
    old = member(STABLE, weight=weight, grouping=True)
    group = Group(name="digits", customized=customized and weight > 0, members=(old, member(CANDIDATE)))
    for percent in (10, 50, 100):
        group, seen = walk(group, percent, loses_weights)
        assert all(member.weight > 0 for member in group.members if member.grouping), "0 may be served a little"
        assert seen == sorted(seen)
        assert (seen[-1], max(seen)) == (percent / 100, percent / 100)


def test_alone_it_gets_everything():
    group, seen = walk(Group(name="digits", members=(member(CANDIDATE),)), 100)
    assert (group.customized, seen[-1]) == (True, 1.0)


AT_10 = {"stable": {"weight": 90}, "candidate": {"weight": 10, "grouping": True}}
AT_100 = {"stable": {"weight": 0, "grouping": False}, "candidate": {"weight": 100, "grouping": True}}
ON_THE_WAY = {"stable": {"weight": 90}, "candidate": {"weight": 50, "grouping": True}}


def test_what_a_rollout_sets_is_no_drift():
    assert drift(situation(Phase.STEP, **AT_10)) == ""
    assert drift(situation(Phase.STEP, **ON_THE_WAY, step=1, since=None)) == ""
    assert drift(situation(Phase.STEP, customized=False, since=None)) == ""
    assert drift(situation(Phase.STEP, **AT_100, step=2)) == ""
    assert drift(situation(Phase.STEP, **{**AT_100, "stable": {"weight": 50, "grouping": False}}, step=2)) == ""


def test_what_eas_does_not_tell_is_no_drift():
    assert drift(situation(Phase.STEP, **AT_10, customized=None)) == ""
    known = {"own_version": 1, "own_config": 7, "stable_version": 1, "stable_config": 8}
    for untold in ({"version": 0, "config": 9}, {"version": 2, "config": 0}):
        answer = {"stable": {"weight": 90, **untold}, "candidate": {**AT_10["candidate"], "config": 7}}
        assert changed(situation(Phase.STEP, **answer, **known)) == ""


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({**ON_THE_WAY, "step": 1}, f"{STABLE} has weight 90, not 50"),
        (
            {"stable": {"weight": 90}, "candidate": {"weight": 30, "grouping": True}},
            f"{CANDIDATE} has weight 30, not 10",
        ),
        ({**ON_THE_WAY, "step": 2, "since": None}, f"{STABLE} has weight 90, not 0 or 50"),
        ({**AT_100, "stable": {"weight": 5}, "step": 2}, f"{STABLE} has weight 5, not 0"),
        ({**AT_10, "customized": False}, "the traffic mode is no longer customized"),
        ({**AT_10, "stable": {"weight": 90, "grouping": False}}, f"{STABLE} no longer takes group traffic"),
        ({**AT_10, "stable": {"status": "Stopping"}}, f"{STABLE} is Stopping"),
        ({**AT_10, "stable": {"status": "Stopped", "running": 0}}, f"{STABLE} is Stopped"),
    ],
)
def test_another_hand_is_told_from_ours(changes, text):
    assert drift(situation(Phase.STEP, **changes)) == text


def test_strangers_and_the_loss_of_production_are_drift():
    other = member("other", weight=5, grouping=True)
    assert drift(situation(Phase.STEP, other, **AT_10)) == "other carries group traffic"
    assert drift(without_stable(situation(Phase.STEP, **AT_10))) == "the service that served is gone"


def test_what_is_deployed_anew_is_no_longer_compared():
    versions = {"own_version": 1, "stable_version": 1}
    assert changed(situation(Phase.STEP, **AT_10, **versions)) == ""
    newer = {"stable": {"weight": 90, "version": 2}, "candidate": AT_10["candidate"]}
    assert changed(situation(Phase.STEP, **newer, **versions)) == f"{STABLE} runs version 2, not 1"
    assert changed(situation(Phase.STEP, **newer)) == ""


def test_a_new_version_that_only_scales_is_no_deployment():
    known = {"own_version": 1, "own_config": 7, "stable_version": 1, "stable_config": 8}
    scaled = {"stable": {"weight": 90, "version": 4, "config": 8}, "candidate": {**AT_10["candidate"], "config": 7}}
    assert changed(situation(Phase.STEP, **scaled, **known)) == ""
    newer = {**scaled, "stable": {"weight": 90, "version": 4, "config": 9}}
    assert changed(situation(Phase.STEP, **newer, **known)) == f"{STABLE} runs version 4, not 1"
