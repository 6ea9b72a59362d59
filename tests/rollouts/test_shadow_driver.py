"""The driver of a shadow run in virtual time: copies, a verdict, and nothing left on any way out."""

from __future__ import annotations

import logging
import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiError,
    PaiMetricsError,
    PaiPermissionError,
    PaiTransientError,
)
from airflow_provider_pai.rollouts.driver import drive
from airflow_provider_pai.rollouts.shadow_driver import ShadowDriver, ShadowSpec
from tests.fake import FakeEas, KilledError, goal

FIRST = "20261121T1800Z-aaaaaaaa"
SOURCE = goal(FIRST).service
SHADOW = f"{SOURCE}_shadow_bbbbbbbb"
OWNER = {"airflow_task": "f" * 32, "airflow_cycle": "0"}
LABELS = {
    **OWNER,
    "airflow_version": "v2",
    "airflow_digest": "sha256:2",
    "airflow_shadow_of": SOURCE,
    "airflow_since": "-",
}
PLAN = {"interval": 5, "min_requests": 20, "max_p95_ms": 200, "ready_timeout": 30}


@pytest.fixture
def eas():
    """A service that serves."""
    eas = FakeEas()
    assert eas.run(goal(FIRST)).outcome == "deployed"
    return eas


def spec_of(eas, **changes):
    moment = lambda seconds: datetime.fromtimestamp(eas.now + seconds, UTC).isoformat()  # noqa: E731
    given = ShadowSpec(
        source=SOURCE,
        shadow=SHADOW,
        config={"metadata": {"name": SHADOW}},
        labels=LABELS,
        owner=OWNER,
        ratio=50,
        duration=60,
        plan=RolloutPlan.parse(PLAN).to_dict(),
        metrics={"kind": "of the fake"},
        probe=None,
        begun=moment(0),
    )
    given = replace(given, **changes)
    return replace(given, deadline=moment(float(given.deadline))) if given.deadline else given


def driver_of(eas, spec=None):
    spec = spec or spec_of(eas)
    return ShadowDriver(spec, eas, logging.getLogger("shadow"), eas.time.clock, eas.lookout)


def run(eas, **changes):
    return drive(driver_of(eas, spec_of(eas, **changes)), logging.getLogger(), eas.time.clock)


def bad(rate):
    return lambda name: rate if name == SHADOW else 0.0


def nothing_left(eas):
    return SHADOW not in eas.members and not eas.mirrors and eas.serving == {SOURCE: 1.0}


def until_copied(eas, driver):
    while SOURCE not in eas.mirrors:
        eas.sleep(driver.tick().pause)


def test_a_good_model_passes_and_production_goes_on(eas):
    began, end = eas.now, run(eas)
    assert {name: end[name] for name in ("source", "shadow", "outcome", "version", "digest", "ratio", "errors")} == {
        "source": SOURCE,
        "shadow": SHADOW,
        "outcome": "passed",
        "version": "v2",
        "digest": "sha256:2",
        "ratio": 50,
        "errors": 0,
    }
    assert end["requests"] == pytest.approx(end["production"]["requests"] / 2, rel=0.05)
    assert end["p95_ms"] == 6.0
    assert eas.now - began == pytest.approx(60 + eas.ready_after, abs=5)
    assert nothing_left(eas)


def test_a_bad_model_fails_at_once(eas):
    eas.error_rate, began = bad(0.5), eas.now
    end = run(eas)
    assert (end["outcome"], "error rate" in end["reason"]) == ("failed", True)
    assert eas.now - began < 20
    assert nothing_left(eas)


def test_a_slow_model_fails(eas):
    eas.p95_ms = lambda name: 300.0 if name == SHADOW else 6.0
    end = run(eas)
    assert (end["outcome"], "p95 300 ms is over max_p95_ms 200" in end["reason"]) == ("failed", True)
    assert nothing_left(eas)


def test_wrong_answers_are_found_before_anything_is_copied(eas):
    eas.smoke = "1 of 1 answers are wrong"
    end = run(eas)
    assert (end["outcome"], end["reason"]) == ("failed", "golden requests: 1 of 1 answers are wrong")
    assert not any(call.startswith("mirror") for call in eas.calls)
    assert nothing_left(eas)


@pytest.mark.parametrize("probe", [None, {"requests": [{}]}])
def test_a_gateway_that_learns_late_is_waited_for_by_whoever_goes_on(eas, probe):
    eas.gateway_lag, began = 40, eas.now
    spec = spec_of(eas, probe=probe)
    for _ in range(3):
        driver = driver_of(eas, spec)
        for _ in range(6):
            eas.sleep(driver.tick().pause)
    assert (SOURCE in eas.mirrors, eas.now - began < 46) == (False, True)
    driver = driver_of(eas, spec)
    while SOURCE not in eas.mirrors:
        copied, tick = eas.now, driver.tick()
        eas.sleep(tick.pause)
    assert copied - began == pytest.approx(46, abs=3)


def test_one_that_is_never_reached_times_out(eas):
    eas.gateway_lag, began = 10_000, eas.now
    end = run(eas, probe={"requests": [{}]})
    assert (end["outcome"], end["reason"]) == ("timed_out", "not reached for 180 s: status 404, not 200: ")
    assert eas.now - began == pytest.approx(180 + eas.ready_after, abs=5)
    assert nothing_left(eas)


def test_one_that_must_answer_nothing_is_tried_in_the_end(eas):
    eas.gateway_lag = 10_000
    assert run(eas, probe=None)["outcome"] == "passed"


def test_what_never_comes_up_times_out(eas):
    eas.ready_after = 1000
    end = run(eas)
    assert (end["outcome"], end["reason"]) == ("timed_out", f"{SHADOW} is Creating, 0 of 1 instances")
    assert nothing_left(eas)


@pytest.mark.parametrize("status", ["Failed", "Waiting"])
def test_what_breaks_down_fails(eas, status):
    driver = driver_of(eas)
    until_copied(eas, driver)
    eas.members[SHADOW] = replace(eas.members[SHADOW], status=status, running=0)
    assert drive(driver, logging.getLogger(), eas.time.clock)["reason"] == f"broke down: {SHADOW} is {status}"
    assert nothing_left(eas)


def test_a_model_that_hangs_fails(eas):
    eas.hangs = lambda name: name == SHADOW
    end = run(eas)
    assert (end["outcome"], "requests hang" in end["reason"]) == ("failed", True)
    assert nothing_left(eas)


def test_too_few_requests_are_no_pass(eas):
    eas.rate = 0.1
    end = run(eas)
    assert (end["outcome"], end["reason"]) == ("inconclusive", "0 of 20 requests")
    assert nothing_left(eas)


def test_a_time_out_takes_it_down(eas):
    began, end = eas.now, run(eas, deadline=20)
    assert (end["outcome"], end["reason"]) == ("stopped", "execution_timeout passed")
    assert eas.now - began < 30
    assert nothing_left(eas)


def test_a_kill_takes_it_down_and_the_next_tick_makes_nothing_anew(eas):
    driver = driver_of(eas)
    until_copied(eas, driver)
    driver.kill("ended by hand", 4)
    with pytest.raises(PaiError, match="the shadow run was ended"):
        driver.tick()
    assert nothing_left(eas)


def test_another_process_goes_on_with_the_same_shadow(eas):
    until_copied(eas, driver_of(eas))
    assert run(eas)["outcome"] == "passed"
    assert eas.created == [SOURCE, SHADOW]
    assert nothing_left(eas)


def test_a_later_try_copies_again_where_a_kill_got_no_further_than_the_mirror(eas):
    driver = driver_of(eas)
    until_copied(eas, driver)
    eas.sleep(5)
    eas.mirrors.clear()
    assert run(eas)["outcome"] == "passed"
    assert eas.created == [SOURCE, SHADOW]
    assert nothing_left(eas)


def test_a_cleared_task_takes_down_what_the_last_cycle_left(eas):
    until_copied(eas, driver_of(eas))
    owner = {**OWNER, "airflow_cycle": "2"}
    assert run(eas, owner=owner, labels={**LABELS, **owner})["outcome"] == "passed"
    assert eas.created == [SOURCE, SHADOW, SHADOW]
    assert nothing_left(eas)


def test_a_service_that_is_mirrored_already_is_left_alone(eas):
    eas.set_mirror(SOURCE, ["other"], 5)
    end = run(eas)
    assert (end["outcome"], end["reason"]) == ("stopped", f"{SOURCE} is mirrored to other already")
    assert eas.mirrors[SOURCE].targets == ("other",)
    assert SHADOW not in eas.members


def test_a_mirror_that_somebody_ended_is_drift(eas):
    driver = driver_of(eas)
    until_copied(eas, driver)
    eas.sleep(5)
    eas.mirrors.clear()
    end = drive(driver, logging.getLogger(), eas.time.clock)
    assert (end["outcome"], end["reason"]) == ("stopped", f"someone else ended the mirror of {SOURCE}")
    assert nothing_left(eas)


@pytest.mark.parametrize(
    "refused", [PaiPermissionError("cms", "DescribeMetricList", "no right", "Forbidden"), PaiMetricsError("no route")]
)
def test_a_silent_metrics_source_has_its_own_limit(eas, monkeypatch, refused):
    answers = iter([refused] * 3 + [None] * 50 + [refused] * 50)
    real = eas.lookout.source.sample

    def sample(*span):
        if (error := next(answers)) is not None:
            raise error
        return real(*span)

    monkeypatch.setattr(eas.lookout.source, "sample", sample)
    assert run(eas)["outcome"] == "passed"
    end = run(eas, duration=600)
    assert (end["outcome"], "the metrics source did not answer" in end["reason"]) == ("inconclusive", True)
    assert nothing_left(eas)


def test_a_source_that_does_not_answer_is_known_before_anything_is_made(eas):
    eas.no_source = "no route"
    with pytest.raises(PaiMetricsError):
        driver_of(eas).tick()
    assert SHADOW not in eas.members


def test_an_error_on_the_way_reaches_whoever_drives(eas):
    def refuse(call):
        if call.startswith("mirror"):
            raise PaiApiError("eas", "CreateServiceMirror", "no", "InvalidParameter")

    eas.before_call = refuse
    with pytest.raises(PaiApiError, match="InvalidParameter"):
        run(eas)


def taken_down(call):
    return call in (f"mirror {SOURCE} 0", f"delete {SHADOW}")


def test_a_verdict_that_dies_with_its_process_is_made_again(eas):
    def die(call):
        if call == f"delete {SHADOW}":
            raise KilledError(call)

    eas.before_call = die
    with pytest.raises(KilledError):
        run(eas)
    eas.before_call = lambda call: None
    assert run(eas)["outcome"] == "passed"
    assert nothing_left(eas)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_killed_and_unanswered_anywhere_it_ends_and_leaves_nothing(eas, seed, rate):
    dice, lost = random.Random(seed), PaiTransientError("eas", "Some", "no answer", "Throttling")
    eas.error_rate = bad(rate)

    def trouble(call):
        luck = dice.random()
        if luck < 0.2 and not taken_down(call):
            raise KilledError(call)
        if luck < 0.4:
            raise lost

    eas.before_call = eas.after_call = trouble
    spec = spec_of(eas)
    for _ in range(200):
        try:
            end = drive(driver_of(eas, spec), logging.getLogger(), eas.time.clock)
            break
        except KilledError:
            continue
    assert end["outcome"] == ("failed" if rate else "passed")
    assert eas.created == [SOURCE, SHADOW]
    assert nothing_left(eas)
