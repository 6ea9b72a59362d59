"""The withdrawal of a candidate by somebody who has neither its rollout's lease nor its metrics."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from airflow_provider_pai.canary.actions import Look, Wait
from airflow_provider_pai.canary.group import Phase
from airflow_provider_pai.exceptions import PaiConflictError, PaiNotFoundError
from airflow_provider_pai.rollouts.changes import Changes, withdraw_candidate
from tests.fake import PLAN, FakeEas, goal

FIRST, SECOND = "20261121T1800Z-aaaaaaaa", "20261122T1800Z-bbbbbbbb"
STABLE, CANDIDATE = goal(FIRST).service, goal(SECOND).service


@pytest.fixture
def eas():
    """A group whose candidate has its first share of the traffic, and whose rollout nobody goes on with."""
    eas = FakeEas()
    eas.run(goal(FIRST))
    for action in eas.actions(goal(SECOND)):
        if isinstance(action, Look):
            return eas
    raise AssertionError("it ended before")


def withdraw(eas, seconds=30, **changes):
    withdraw_candidate(eas, goal(SECOND, **changes), PLAN, "nobody goes on", seconds, clock=eas.time.clock)


def test_it_loses_its_traffic_first_and_is_stopped_in_the_end(eas):
    calls, objects = len(eas.calls), dict(eas.oss.objects)
    withdraw(eas)
    assert eas.calls[calls] == f"release {CANDIDATE} 0 False"
    assert eas.serving == {STABLE: 1.0}
    progress = eas.members[CANDIDATE].progress
    assert (progress.phase, progress.outcome, progress.note) == (Phase.ROLLED_BACK, "rolled_back", "nobody goes on")
    assert eas.members[CANDIDATE].status in ("Stopping", "Stopped")
    assert eas.oss.objects == objects
    assert eas.dropped == 0


def test_it_takes_no_longer_than_it_may(eas):
    began = eas.now
    withdraw(eas, seconds=1)
    assert eas.now - began < 2
    assert eas.serving == {STABLE: 1.0}
    assert eas.members[CANDIDATE].progress.phase in (Phase.WITHDRAWN, Phase.ROLLED_BACK)


@pytest.mark.parametrize("error", [PaiConflictError, PaiNotFoundError])
def test_what_somebody_deletes_meanwhile_is_no_error(eas, error):
    def delete(call):
        if call == f"release {CANDIDATE} 0 False":
            eas.members[CANDIDATE] = replace(eas.members[CANDIDATE], status="Deleting", grouping=False)
            raise error("eas", "ReleaseService", "it is being deleted", "InvalidService.Status")

    eas.before_call = delete
    withdraw(eas)
    assert (eas.members[STABLE].weight, eas.members[STABLE].grouping) == (100, True)


def test_a_conflict_of_what_stays_is_raised(eas):
    def refuse(call):
        if call.startswith("release"):
            raise PaiConflictError("eas", "ReleaseService", "locked", "SafetyLock")

    eas.before_call = refuse
    with pytest.raises(PaiConflictError, match="locked"):
        withdraw(eas)


@pytest.mark.parametrize("changes", [{"cycle": 1}, {"task": "another"}, {"service": "gone"}])
def test_what_is_not_the_task_s_is_left(eas, changes):
    before = eas.group("digits")
    withdraw(eas, **changes)
    assert eas.group("digits") == before


def test_one_that_can_t_be_stopped_is_out_of_the_traffic_all_the_same(eas, caplog):
    def refuse(call):
        if call.startswith("stop"):
            raise PaiConflictError("eas", "StopService", "locked", "SafetyLock")

    eas.before_call = refuse
    withdraw(eas)
    assert eas.members[CANDIDATE].progress.phase is Phase.ROLLED_BACK
    assert f"{CANDIDATE} could not be stopped and may go on costing" in caplog.text


def test_what_every_look_repeats_is_said_once(eas, caplog):
    caplog.set_level(logging.INFO)
    changes = Changes(eas, logging.getLogger("changes"))
    for why in ("one", "one", "two", "one"):
        changes.apply(eas.group("digits"), Wait(why=why, seconds=1))
    assert [record.message for record in caplog.records if record.name == "changes"] == ["one", "two", "one"]
