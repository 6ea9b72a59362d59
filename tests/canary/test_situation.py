"""Situations: what the next action follows from."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_pai.canary.actions import Label, Wait
from airflow_provider_pai.canary.group import Phase
from tests.fake import PLAN
from tests.situation import CANDIDATE, NOW, STABLE, situation, without_stable


def test_knows_who_served_and_who_serves_beside():
    one = situation(Phase.STEP, candidate={"weight": 10, "grouping": True})
    assert (one.stable.name, [member.name for member in one.others]) == (STABLE, [STABLE])
    assert without_stable(one).stable is None
    assert situation(Phase.PREPARE, stable={"running": 0}).others == []


def test_counts_from_the_start_of_the_phase():
    assert situation(Phase.STEP, now=NOW + 12).elapsed == 12
    moving = situation(Phase.STEP, since=None, now=NOW + 12)
    assert (moving.moving, moving.elapsed) == (True, 0)


def test_a_shortened_plan_ends_at_its_last_step():
    one = situation(Phase.STEP)
    assert [one.percent(step) for step in (-1, 0, 2, 3, 9)] == [0, 10, 100, 100, 100]


def test_writes_down_what_changes_and_leaves_the_rest():
    label = situation(Phase.STEP, step=1).label("why", since=None)
    assert label == Label(service=CANDIDATE, progress=label.progress, why="why")
    assert (label.progress.step, label.progress.since, label.progress.stable) == (1, None, STABLE)


def test_waits_no_longer_than_the_plan_looks_at_numbers_and_not_past_the_moment():
    one = situation(Phase.PREPARE)
    assert one.wait("comes up") == Wait(why="comes up", seconds=2)
    assert replace(one, plan=replace(PLAN, interval=0.5)).wait("comes up").seconds == 0.5
    assert [one.wait_until("drains", NOW + left) for left in (5, 1, 0, -1)] == [
        Wait(why="drains", seconds=2),
        Wait(why="drains", seconds=1),
        None,
        None,
    ]
