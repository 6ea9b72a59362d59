"""Previews: what a rollout would do, in words."""

from __future__ import annotations

import pytest

from airflow_provider_pai.canary.group import Group, Phase
from airflow_provider_pai.canary.preview import preview
from airflow_provider_pai.canary.rollout import Rollout
from tests.fake import PLAN, goal
from tests.situation import FIRST, NOW, SECOND, STABLE, member, progress_of, situation

SERVING = member(STABLE, progress_of(FIRST, Phase.PROMOTED), weight=100, grouping=True)


def lines(aim, *members):
    group = Group(name="digits", customized=True, members=members)
    return preview(Rollout(plan=PLAN, goal=aim, group=group, now=NOW)).splitlines()


def test_says_who_serves_what_is_made_and_the_steps():
    assert lines(goal(SECOND), SERVING) == [
        f"group digits: {STABLE} serves 100%",
        f"would create {goal(SECOND).service} for version {SECOND}",
        "step of 10 %: weights 10 and 90",
        "step of 50 %: weights 50 and 50",
        "step of 100 %: weights 100 and 0",
        "at least 30 s from the first step to the last",
    ]


def test_where_nothing_serves_there_are_no_steps():
    assert lines(goal(SECOND)) == [
        "group digits: nobody serves",
        f"would create {goal(SECOND).service} for version {SECOND}",
    ]


def test_says_why_nothing_would_be_done():
    backfill = lines(goal(SECOND, backfill=True), SERVING)
    assert backfill[1].startswith("would end at once, skipped: a backfill run")


@pytest.mark.parametrize("phase", [Phase.PREPARE, Phase.STEP])
def test_says_what_is_under_way(phase):
    members = situation(phase, candidate={"status": "Creating", "running": 0}).group.members
    assert lines(goal(SECOND), *members)[1].startswith("would go on with what is under way: ")
