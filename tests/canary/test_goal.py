"""Deployments that must not be: a backfill, older data, a digest that was rolled back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_pai.canary.actions import Finish
from airflow_provider_pai.canary.goal import Goal, guard, refused, rejected_before
from airflow_provider_pai.canary.group import Group, Phase, rejection
from tests.fake import goal
from tests.situation import FIRST, SECOND, STABLE, member, progress_of

SERVING = member(STABLE, progress_of(FIRST, Phase.PROMOTED), weight=100, grouping=True)


def group(*members):
    return Group(name="digits", customized=True, members=members or (SERVING,))


def test_comes_back_from_json():
    aim = goal(SECOND, labels={"airflow_dag_id": "train"})
    assert Goal(**aim.to_dict()) == aim


def test_newer_data_may_deploy():
    assert guard(goal(SECOND), [SERVING]) == ""
    assert refused(goal(SECOND), group()) is None


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({"backfill": True}, "allow_backfill"),
        ({"interval_end": "2026-11-20T18:00:00Z"}, "allow_older"),
        ({"interval_end": "2026-11-21T18:30:00+01:00"}, "allow_older"),
    ],
)
def test_a_backfill_and_older_data_must_be_allowed(changes, allowed):
    aim = goal(SECOND, **changes)
    assert f"({allowed})" in guard(aim, [SERVING])
    assert refused(aim, group()) == Finish(outcome="skipped", why=guard(aim, [SERVING]))
    assert guard(replace(aim, **{allowed: True}), [SERVING]) == ""


def test_data_of_unknown_age_is_not_older():
    assert guard(goal(SECOND, interval_end=""), [SERVING]) == ""
    assert guard(goal(SECOND), [member("byhand", weight=100, grouping=True)]) == ""


def test_a_rolled_back_digest_stays_out_until_its_task_is_cleared():
    aim = goal(SECOND, cycle=2)
    entry = rejection(aim.digest, aim.task, 2)
    remembers = member(STABLE, progress_of(FIRST, Phase.PROMOTED, rejected=(entry,)), weight=100, grouping=True)
    assert "was rolled back before" in rejected_before(aim, group(remembers))
    assert refused(aim, group(remembers)).outcome == "skipped"
    assert rejected_before(replace(aim, cycle=3), group(remembers)) == ""
    assert rejected_before(replace(aim, cycle=3, task="f" * 32), group(remembers)) != ""
    assert rejected_before(goal(FIRST), group(remembers)) == ""


def test_several_that_serve_are_nobody_s_canary():
    other = member("other", weight=5, grouping=True)
    assert refused(goal(SECOND), group(SERVING, other)) == Finish(
        outcome="stopped", why=f"several services carry the group's traffic: {STABLE}, other"
    )
    # One that nobody takes further is brought to its end first.
    halfway = member("other", progress_of(FIRST, Phase.STEP), weight=5, grouping=True)
    assert refused(goal(SECOND), group(SERVING, halfway)) is None
