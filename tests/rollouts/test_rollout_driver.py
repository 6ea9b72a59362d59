"""The driver of a rollout: leases, kills, lost answers and several processes, in virtual time."""

from __future__ import annotations

import json
import logging
import random
import re
import sqlite3
from dataclasses import replace

import pytest

from airflow_provider_pai.canary.actions import Look
from airflow_provider_pai.canary.group import UNDER_WAY, Phase
from airflow_provider_pai.exceptions import (
    PaiConfigError,
    PaiConflictError,
    PaiMetricsError,
    PaiPermissionError,
    PaiTransientError,
)
from airflow_provider_pai.identity import TaskName
from airflow_provider_pai.metrics.base import Several
from airflow_provider_pai.metrics.sql import SqlMetrics
from airflow_provider_pai.rollouts.driver import drive
from airflow_provider_pai.rollouts.lease import Holder, Lease
from airflow_provider_pai.rollouts.rollout_driver import RolloutDriver
from airflow_provider_pai.uri import OssUri
from tests.fake import LEASE, PLAN, FakeEas, goal, spec_of

FIRST, SECOND, THIRD = "20261121T1800Z-aaaaaaaa", "20261122T1800Z-bbbbbbbb", "20261123T1800Z-cccccccc"
STABLE, CANDIDATE = goal(FIRST).service, goal(SECOND).service


@pytest.fixture
def eas():
    """A group that serves the first night's model."""
    eas = FakeEas()
    assert eas.run(goal(FIRST)).outcome == "deployed"
    return eas


def bad(name):
    return 0.4 if name == CANDIDATE else 0.0


def until_look(eas, aim=None, plan=PLAN):
    """Leave a rollout as a process does that is lost while it looks."""
    for action in eas.actions(aim or goal(SECOND), plan):
        if isinstance(action, Look):
            return
    raise AssertionError("it ended before")


def lease_of(eas, key):
    return Lease(
        eas.oss, OssUri.parse(LEASE), Holder(key=key, name=TaskName("dag", "run", "task", -1)), clock=eas.time.clock
    )


def until_pause(driver):
    while not (tick := driver.tick()).pause:
        assert tick.end is None
    return tick


# --- how it ends, as the task's XCom has it


def test_a_promotion_in_full(eas):
    eas.run(goal(SECOND))
    looks = [json.loads(line) for line in eas.oss.get(OssUri.parse(f"{LEASE}{CANDIDATE}.jsonl")).splitlines()]
    assert {name: eas.end[name] for name in ("group", "service", "outcome", "reason", "version", "previous")} == {
        "group": "digits",
        "service": CANDIDATE,
        "outcome": "promoted",
        "reason": "all steps passed",
        "version": SECOND,
        "previous": STABLE,
    }
    assert [(step["percent"], step["verdict"], step["reason"]) for step in eas.end["steps"]] == [
        (10, "pass", "within all limits"),
        (50, "pass", "within all limits"),
        (100, "pass", "within all limits"),
    ]
    assert eas.end["verdicts"] == f"{LEASE}{CANDIDATE}.jsonl"
    assert [look["percent"] for look in looks] == sorted(look["percent"] for look in looks)


def test_a_rollback_in_full(eas, caplog):
    caplog.set_level("INFO")
    eas.error_rate = bad
    eas.run(goal(SECOND))
    assert (eas.end["outcome"], eas.end["service"], eas.end["previous"]) == ("rolled_back", CANDIDATE, STABLE)
    (step,) = eas.end["steps"]
    assert (step["verdict"], step["reason"]) == ("fail", eas.end["reason"])
    told = [record.message for record in caplog.records if record.name == "rollout"]
    assert re.fullmatch(r"production without the candidate: \d+ requests, 0 errors, p95 6 ms", told[-1]), told[-1]
    assert f"candidate is {CANDIDATE}, production is {STABLE}" in told
    looks = [line for line in told if "requests" in line and "→" in line]
    assert not [line for line in told if line in step["reason"]], "one line a look"
    assert all(line.startswith("candidate at 10 %: ") for line in looks)
    named = told[told.index(f"candidate is {CANDIDATE}, production is {STABLE}") + 1 :]
    assert not [line for line in named if CANDIDATE in line or STABLE in line]


def test_a_skip_names_who_serves(eas):
    eas.run(goal(SECOND, backfill=True))
    assert (eas.end["outcome"], eas.end["service"], eas.end["previous"]) == ("skipped", None, STABLE)
    assert (eas.end["steps"], eas.end["verdicts"]) == ([], None)


def test_what_a_person_named_the_candidate_s_labels_stays(eas):
    eas.run(goal(SECOND, labels={"airflow_dag_id": "train", "airflow_run_id": "r7"}))
    labels = eas.members[CANDIDATE].labels
    assert (labels["airflow_dag_id"], labels["airflow_run_id"], labels["airflow_phase"]) == ("train", "r7", "promoted")


# --- one at a time


def test_whoever_waits_is_told_the_holder(eas, caplog):
    caplog.set_level(logging.INFO)
    until_look(eas)
    waits = eas.driver(goal(THIRD))
    assert waits.tick().pause == 5
    assert f"waiting: the rollout of dag.deploy of run {SECOND} has the lease of group digits" in caplog.text
    assert goal(THIRD).service not in eas.members


def test_a_lease_is_looked_at_as_often_as_the_plan_looks_at_numbers(eas):
    until_look(eas)
    assert eas.driver(goal(THIRD), replace(PLAN, interval=0.5)).tick().pause == 0.5


@pytest.mark.parametrize(("choice", "outcome"), [("fail", "stopped"), ("skip", "skipped")])
def test_whoever_would_not_wait_ends_before_anything_is_made(eas, choice, outcome):
    until_look(eas)
    end = eas.driver(goal(THIRD), replace(PLAN, on_conflict=choice)).tick().end
    assert (end["outcome"], f"dag.deploy of run {SECOND} has the lease" in end["reason"]) == (outcome, True)
    assert goal(THIRD).service not in eas.members


def test_whoever_waits_too_long_ends(eas):
    until_look(eas)
    finish = eas.run(goal(THIRD), deadline=eas.now + 60)
    assert finish.outcome == "stopped"
    assert finish.why.startswith("execution_timeout passed while waiting for dag.deploy")


def test_one_that_must_not_deploy_waits_for_nobody(eas):
    until_look(eas, goal(THIRD))
    finish = eas.run(goal(SECOND, backfill=True))
    assert (finish.outcome, finish.why) == ("skipped", "a backfill run does not deploy (allow_backfill)")


def test_an_ended_rollout_gives_the_lease_back(eas):
    eas.run(goal(SECOND))
    assert lease_of(eas, "next").take() is None


def test_a_lost_process_s_lease_is_free_when_its_time_is_over(eas):
    until_look(eas)
    other = lease_of(eas, "other")
    assert other.take() is not None
    eas.sleep(301)
    assert other.take() is None


def test_a_long_rollout_keeps_its_lease(eas):
    eas.rate, other = 0.1, lease_of(eas, "other")
    began, holders = eas.now, set()
    for _ in eas.actions(goal(SECOND)):
        if CANDIDATE in eas.members:
            holders.add(str(other.take()))
        if eas.now - began > 2000:
            break
    assert holders == {f"dag.deploy of run {SECOND}"}


def test_a_process_that_lost_its_lease_changes_nothing(eas):
    zombie, heir = eas.driver(goal(SECOND)), eas.driver(goal(SECOND))
    until_pause(zombie)
    heir.tick()
    calls = list(eas.calls)
    assert zombie.tick().pause == 5
    assert eas.calls == calls


def take_turns(eas, drivers):
    """Let several processes work at the same time: whoever's pause is over first goes on."""
    due, ends = dict.fromkeys(drivers, eas.now), {}
    for _ in range(2000):
        name = min(due, key=lambda one: due[one])
        eas.sleep(max(0.0, due[name] - eas.now))
        tick = drivers[name].tick()
        due[name] = eas.now + tick.pause
        if tick.end is not None:
            ends[name] = tick.end
            del due[name]
        if not due:
            return ends
    raise AssertionError(f"no end in sight: {eas.calls[-8:]}")


def test_two_rollouts_of_one_group_take_turns(eas):
    first = eas.driver(goal(SECOND))
    until_pause(first)
    ends = take_turns(eas, {2: first, 3: eas.driver(goal(THIRD))})
    assert [ends[night]["outcome"] for night in (2, 3)] == ["promoted", "promoted"]
    assert ends[3]["previous"] == ends[2]["service"]
    assert eas.serving == {goal(THIRD).service: 1.0}
    assert eas.dropped == 0


def test_two_processes_of_one_task_bring_one_candidate_to_one_end(eas):
    ends = take_turns(eas, {"worker": eas.driver(goal(SECOND)), "triggerer": eas.driver(goal(SECOND))})
    assert {end["outcome"] for end in ends.values()} == {"promoted"}
    assert eas.created == [STABLE, CANDIDATE]
    assert eas.dropped == 0


# --- ended from outside


def test_a_kill_takes_the_candidate_out_and_gives_the_group_back(eas):
    driver = eas.driver(goal(SECOND))
    while not eas.serving.get(CANDIDATE):
        eas.sleep(driver.tick().pause)
    began, calls = eas.now, len(eas.calls)
    driver.kill("ended by hand", 4)
    assert eas.calls[calls] == f"release {CANDIDATE} 0 False"
    assert eas.serving == {STABLE: 1.0}
    assert eas.members[STABLE].weight == 100
    progress = eas.members[CANDIDATE].progress
    assert (progress.phase, progress.note) == (Phase.ROLLED_BACK, "ended by hand")
    assert eas.now - began < 4
    assert lease_of(eas, "next").take() is None


def test_a_kill_that_has_no_time_has_ended_the_traffic_at_least(eas):
    until_look(eas)
    eas.driver(goal(SECOND)).kill("ended by hand", 0.05)
    assert eas.serving == {STABLE: 1.0}
    assert eas.run(goal(SECOND)).outcome == "rolled_back"


@pytest.mark.parametrize("phase", [Phase.PROMOTING, Phase.PROMOTED])
def test_a_kill_comes_too_late_once_production_is_replaced(eas, phase):
    driver = eas.driver(goal(SECOND))
    while phase is not (CANDIDATE in eas.members and eas.members[CANDIDATE].progress.phase):
        eas.sleep(driver.tick().pause)
    driver.kill("ended by hand", 4)
    assert eas.serving == {CANDIDATE: 1.0}


def test_a_kill_leaves_another_task_s_candidate_alone(eas):
    until_look(eas)
    before = eas.group("digits")
    eas.driver(goal(SECOND, cycle=1)).kill("ended by hand", 4)
    assert eas.group("digits") == before


# --- what goes wrong on the way


def refusing(action, error):
    def before_call(call):
        if call.startswith(action):
            raise error

    return before_call


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("error_rate", [lambda name: 0.0, bad])
def test_throttling_and_lost_answers_do_not_fail_a_rollout(eas, seed, error_rate):
    dice, lost = random.Random(seed), PaiTransientError("eas", "Some", "no answer", "Throttling")

    def lose(_call):
        if dice.random() < 0.2:
            raise lost

    eas.before_call = eas.after_call = lose
    eas.error_rate = error_rate
    end = drive(eas.driver(goal(SECOND)), logging.getLogger(), eas.time.clock)
    assert end["outcome"] == ("rolled_back" if error_rate is bad else "promoted")
    assert eas.created == [STABLE, CANDIDATE]
    assert not [member for member in eas.members.values() if member.progress.phase in UNDER_WAY]
    assert eas.dropped == 0


def test_a_candidate_that_is_not_listed_yet_is_found_by_its_name(eas):
    eas.unlisted.add(CANDIDATE)
    assert eas.run(goal(SECOND)).outcome == "promoted"
    assert eas.created == [STABLE, CANDIDATE]


def test_what_serves_and_is_not_listed_yet_is_known_from_the_lease(eas):
    eas.unlisted |= {STABLE, CANDIDATE}
    assert eas.run(goal(SECOND)).outcome == "promoted"
    assert eas.members[CANDIDATE].progress.stable == STABLE


def test_a_candidate_that_is_not_listed_yet_is_withdrawn_by_a_kill(eas):
    eas.unlisted.add(CANDIDATE)
    driver = eas.driver(goal(SECOND))
    driver.tick()
    driver.kill("the task was ended by hand", 5)
    assert eas.members[CANDIDATE].progress.phase is Phase.ROLLED_BACK


def test_a_name_that_is_taken_elsewhere_is_an_error(eas, monkeypatch):
    taken = PaiConflictError("eas", "CreateService", f"{CANDIDATE} exists", "ServiceAlreadyExists")
    eas.before_call = refusing("create", taken)
    driver = eas.driver(goal(SECOND))
    monkeypatch.setattr(eas, "describe", lambda name: {"ServiceGroup": "another"})
    with pytest.raises(PaiConflictError):
        driver.tick()


def test_what_can_t_be_made_holds_up_nobody(eas):
    refused = PaiConfigError("eas_group_key", "metadata.group", "a key that EAS heeds")
    eas.before_call = refusing("create", refused)
    for _ in range(2):
        driver = eas.driver(goal(SECOND))
        with pytest.raises(PaiConfigError, match="a key that EAS heeds"):
            driver.tick()
        calls = list(eas.calls)
        driver.kill("no later try", 4)
        assert eas.calls == calls, "there is nothing to withdraw"
    assert (eas.run(goal(SECOND, backfill=True)).outcome, CANDIDATE in eas.members) == ("skipped", False)
    assert lease_of(eas, "next").take() is None


def test_an_error_that_stays_reaches_whoever_drives(eas):
    eas.before_call = refusing("release", PaiPermissionError("eas", "ReleaseService", "no right", "Forbidden.RAM"))
    with pytest.raises(PaiPermissionError, match=r"Forbidden\.RAM"):
        eas.run(goal(SECOND))


def test_a_candidate_that_cannot_be_stopped_is_a_warning(eas, caplog):
    locked = PaiConflictError("eas", "StopService", "a safety lock", "SafetyLock")
    eas.error_rate, eas.before_call = bad, refusing("stop", locked)
    assert eas.run(goal(SECOND)).outcome == "rolled_back"
    assert f"{CANDIDATE} could not be stopped and may go on costing" in caplog.text


def test_a_source_that_does_not_answer_is_known_before_anything_is_made(eas):
    eas.no_source = "no route"
    with pytest.raises(PaiMetricsError, match="no route"):
        eas.run(goal(SECOND))
    assert CANDIDATE not in eas.members


def test_values_of_a_query_have_limits(eas, tmp_path, monkeypatch):
    database = tmp_path / "scores.sqlite"
    with sqlite3.connect(database) as rows:
        rows.execute("create table scores (service, score)")
        rows.execute("insert into scores values (?, 0.4), (?, 0.9)", (CANDIDATE, STABLE))
    monkeypatch.setenv("AIRFLOW_CONN_SCORES", json.dumps({"conn_type": "sqlite", "host": str(database)}))
    query = "select min(score) as score from scores where service = :service and :start < :end"
    scores = SqlMetrics(eas, conn_id="scores", sql=query, values=("score",))
    eas.lookout = replace(eas.lookout, source=Several(eas.lookout.source, (scores,)))
    plan = replace(PLAN, checks={"score": {"hard_min": 0.5}}, on_failure="freeze")
    finish = eas.run(goal(SECOND), plan)
    assert (finish.outcome, finish.why) == ("rolled_back", "score 0.4 is under 0.5 (hard_min)")


def test_a_preview_changes_nothing(eas):
    before = (eas.group("digits"), list(eas.calls), dict(eas.oss.objects))
    assert f"would create {CANDIDATE}" in eas.driver(goal(SECOND)).preview()
    assert (eas.group("digits"), eas.calls, eas.oss.objects) == before


def test_the_declared_source_is_used_where_none_is_handed_in(eas):
    plan, nothing = replace(PLAN, gateway_timeout=0), {"kind": "callable", "function": "tests.fake.nothing_counted"}
    spec = replace(spec_of(goal(SECOND, smoke=False), plan), metrics=nothing)
    driver = RolloutDriver(spec, eas, logging.getLogger(), clock=eas.time.clock)
    assert drive_some(eas, driver, 60) is None
    assert eas.members[CANDIDATE].progress.inconclusive > 2


def drive_some(eas, driver, seconds):
    end = eas.now + seconds
    while eas.now < end:
        tick = driver.tick()
        if tick.end is not None:
            return tick.end
        eas.sleep(tick.pause)
    return None


@pytest.mark.parametrize(("ignored", "serves"), [(f"{CANDIDATE} 10", STABLE), (f"{STABLE} 90", STABLE)])
def test_a_weight_that_eas_never_takes_is_not_asked_for_without_end(eas, ignored, serves):
    release = eas.release

    def deaf(name, *, weight, grouping):
        if f"{name} {weight}" != ignored:
            release(name, weight=weight, grouping=grouping)

    eas.release = deaf
    end = drive_some(eas, eas.driver(goal(SECOND)), 600)
    assert end["outcome"] == "rolled_back"
    assert "EAS has not taken it for 18" in end["reason"]
    assert eas.serving == {serves: 1.0}


def test_a_way_back_that_eas_never_takes_is_a_person_s(eas):
    until_look(eas)
    eas.release = lambda name, *, weight, grouping: None
    eas.error_rate = bad
    end = drive_some(eas, eas.driver(goal(SECOND)), 900)
    assert end["outcome"] == "stopped"
    assert "EAS has not taken it for" in end["reason"]
