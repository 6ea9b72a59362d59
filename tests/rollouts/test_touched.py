"""A rollout whose services somebody deletes, or whose labels somebody loses: nobody unjudged ends in charge."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_pai.canary.group import Phase
from airflow_provider_pai.exceptions import PaiConflictError
from airflow_provider_pai.labels import Key, legal
from airflow_provider_pai.rollouts.takeover import Takeover
from tests.canary.test_memory import ANY, OURS, changed
from tests.fake import FakeEas, goal
from tests.rollouts.test_rollout_driver import CANDIDATE, FIRST, SECOND, STABLE, THIRD, bad

MOMENTS = [Phase.PREPARE, Phase.SMOKED, Phase.STEP]
LOST = dict.fromkeys(OURS)


def served(**fields) -> FakeEas:
    """Return a group that serves the first night's model."""
    eas = FakeEas(**fields)
    assert eas.run(goal(FIRST)).outcome == "deployed"
    return eas


def touch(eas, name, changes):
    """Change labels to what EAS takes."""
    labels = eas.members[name].labels
    given = {key: None if value is None else legal(value) for key, value in changes.items() if key in labels}
    eas.members[name] = replace(eas.members[name], labels=changed(labels, given))


def delete(eas, *names):
    for name in names:
        del eas.members[name]


def until(eas, phase, step=0, aim=None):
    """Drive a rollout until its candidate is there; leave it as a process does that is lost."""
    driver = eas.driver(aim or goal(SECOND))
    for _ in range(200):
        tick = driver.tick()
        progress = eas.members[CANDIDATE].progress
        if progress.phase is phase and progress.step == step and (phase is not Phase.STEP or progress.since):
            driver.tick()
            return driver
        eas.sleep(tick.pause)
    raise AssertionError(f"never {phase}")


def to_its_end(eas, driver):
    for _ in range(500):
        tick = driver.tick()
        if tick.end is not None:
            return tick.end
        eas.sleep(tick.pause)
    raise AssertionError(f"no end in sight: {eas.calls[-8:]}")


# --- deleted by hand


@pytest.mark.parametrize("again", [False, True], ids=["same process", "a retry"])
@pytest.mark.parametrize(("phase", "step"), [*((moment, 0) for moment in MOMENTS), (Phase.STEP, 2)])
def test_a_candidate_that_somebody_deletes_is_not_made_again(phase, step, again):
    eas = served()
    driver = until(eas, phase, step)
    delete(eas, CANDIDATE)
    end = to_its_end(eas, eas.driver(goal(SECOND)) if again else driver)
    assert (end["outcome"], eas.created, eas.serving) == ("stopped", [STABLE, CANDIDATE], {STABLE: 1.0})
    assert end["reason"] == f"someone deleted {CANDIDATE}: it is made again if the task is cleared; {STABLE} serves now"
    assert eas.members[STABLE].weight == 100
    assert eas.run(goal(SECOND, try_number=2)).outcome == "stopped", "the end is heard again"
    assert eas.run(goal(SECOND, cycle=1)).outcome == "promoted"


@pytest.mark.parametrize("call", ["label", "release"])
def test_a_candidate_that_is_being_deleted_when_it_is_called(call):
    """EAS refuses the call with a conflict until the service is gone."""
    eas = served()
    driver = until(eas, Phase.SMOKED)

    def refuse(now):
        if now.startswith(f"{call} {CANDIDATE}"):
            eas.members[CANDIDATE] = replace(eas.members[CANDIDATE], status="Deleting")
            raise PaiConflictError("eas", "UpdateServiceLabel", "it is Deleting", "InvalidService.Status", 409)

    eas.before_call = refuse
    while eas.members[CANDIDATE].status != "Deleting":
        eas.sleep(driver.tick().pause)
    eas.before_call = lambda call: None
    delete(eas, CANDIDATE)
    assert (to_its_end(eas, driver)["outcome"], eas.serving) == ("stopped", {STABLE: 1.0})
    assert eas.created == [STABLE, CANDIDATE]


@pytest.mark.parametrize("phase", MOMENTS)
def test_a_group_that_somebody_deletes_gets_no_unjudged_candidate(phase):
    eas = served()
    driver = until(eas, phase)
    delete(eas, CANDIDATE, STABLE)
    end = to_its_end(eas, driver)
    assert (end["outcome"], eas.members) == ("stopped", {})
    assert end["reason"].endswith("nothing serves now")


@pytest.mark.parametrize("phase", [Phase.SMOKED, Phase.STEP])
def test_a_candidate_whose_production_somebody_deletes_stays_as_it_is(phase):
    eas = served()
    driver = until(eas, phase)
    delete(eas, STABLE)
    end = to_its_end(eas, driver)
    assert (end["outcome"], eas.members[CANDIDATE].progress.phase) == ("stopped", Phase.DRIFTED)
    assert STABLE in end["reason"] or "gone" in end["reason"]


def test_the_next_rollout_gives_production_its_weight_where_a_lost_one_s_candidate_was_deleted():
    eas = served()
    until(eas, Phase.STEP, 2)
    delete(eas, CANDIDATE)
    assert not eas.serving, "at 100 % production is up, but outside the traffic"
    eas.sleep(301)
    assert eas.run(goal(THIRD)).outcome == "promoted"
    assert eas.serving == {goal(THIRD).service: 1.0}
    assert eas.calls.index(f"release {STABLE} 100 True") < eas.calls.index(f"create {goal(THIRD).service}")


def test_one_look_that_misses_it_is_not_believed():
    eas = served()
    driver = until(eas, Phase.STEP)
    kept = eas.members.pop(CANDIDATE)
    assert driver.tick().pause > 0
    eas.members[CANDIDATE] = kept
    assert to_its_end(eas, driver)["outcome"] == "promoted"


def test_a_candidate_that_was_never_seen_is_made_after_all():
    """Killed between asking for it and seeing it: nothing tells that there was one."""
    eas = served()

    def lost(call):
        raise KeyboardInterrupt

    eas.after_call = lambda call: lost(call) if call.startswith("create") else None
    with pytest.raises(KeyboardInterrupt):
        eas.run(goal(SECOND))
    eas.after_call = lambda call: None
    delete(eas, CANDIDATE)
    assert eas.run(goal(SECOND)).outcome == "promoted"


# --- labels lost


@pytest.mark.parametrize("changes", [LOST, {Key.COUNTS: "many"}, {Key.PHASE: "?"}, {Key.CYCLE: "²"}], ids=str)
@pytest.mark.parametrize("error_rate", [lambda name: 0.0, bad])
def test_a_rollout_whose_labels_somebody_loses_ends_as_if_nobody_had(changes, error_rate):
    eas = served(error_rate=error_rate)
    driver = until(eas, Phase.STEP)
    for name in (STABLE, CANDIDATE):
        touch(eas, name, changes)
    end = to_its_end(eas, driver)
    assert end["outcome"] == ("rolled_back" if error_rate is bad else "promoted")
    assert eas.serving == {STABLE if error_rate is bad else CANDIDATE: 1.0}
    assert eas.dropped == 0


def test_an_older_model_does_not_deploy_over_one_whose_labels_are_lost():
    eas = served()
    eas.run(goal(SECOND))
    touch(eas, CANDIDATE, LOST)
    assert eas.run(goal("20261120T1800Z-dddddddd")).outcome == "skipped"


@pytest.mark.parametrize("again", [False, True], ids=["same process", "another"])
@settings(max_examples=25, deadline=None)
@given(stable=ANY, candidate=ANY)
def test_a_kill_takes_a_candidate_out_whatever_its_labels_are(again, stable, candidate):
    eas = served()
    driver = until(eas, Phase.STEP)
    touch(eas, STABLE, stable)
    touch(eas, CANDIDATE, {key: value for key, value in candidate.items() if key not in (Key.TASK,)})
    (eas.driver(goal(SECOND)) if again else driver).kill("ended by hand", 4)
    assert eas.serving == {STABLE: 1.0}


@settings(max_examples=50, deadline=None)
@given(stable=ANY, candidate=ANY, lost=st.booleans())
def test_nobody_unjudged_ends_in_charge_whatever_labels_are(stable, candidate, lost):
    eas = served(error_rate=bad)
    driver = until(eas, Phase.STEP)
    touch(eas, STABLE, stable)
    touch(eas, CANDIDATE, candidate)
    if lost:
        eas.sleep(301)
        driver = eas.driver(goal(THIRD))
    end = to_its_end(eas, driver)
    share = eas.serving
    # Where somebody names another service as production, a person is asked.
    assert share.get(CANDIDATE, 0) <= (0.1 if end["outcome"] == "stopped" else 0), (end, share)
    assert eas.dropped == 0


@settings(max_examples=25, deadline=None)
@given(stable=ANY, candidate=ANY)
def test_a_way_back_works_whatever_labels_are(stable, candidate):
    eas = served()
    eas.run(goal(SECOND))
    touch(eas, STABLE, stable)
    touch(eas, CANDIDATE, candidate)
    eas.members[STABLE] = replace(eas.members[STABLE], status="Running", running=1)
    back = Takeover(
        hook=eas, group="digits", service=STABLE, replaced=CANDIDATE, log=logging.getLogger(), clock=eas.time.clock
    )
    back.move()
    back.settle(0, {})
    assert eas.serving == {STABLE: 1.0}
