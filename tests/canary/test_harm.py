"""Harm to production: what its own past tells of a candidate."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from airflow_provider_pai.canary.analysis import judge
from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.canary.samples import Result, Sample, Window

PLAN = RolloutPlan(min_requests=20)


def harmed(now, *past, plan=PLAN, **fields):
    """Judge a candidate that is well itself."""
    window = Window(
        candidate=Sample(requests=100, errors=0), production=Sample(**now), past=tuple(Sample(**one) for one in past)
    )
    return judge(plan, replace(window, **fields))


WELL = {"requests": 1000, "errors": 1}


def test_a_candidate_that_makes_production_fail_is_taken_back_and_not_called_bad():
    verdict = harmed({"requests": 346, "errors": 167}, WELL)
    assert verdict.reason == "production went from 0.1% to 48.3% errors since the candidate has traffic"
    assert (verdict.result, verdict.hard, verdict.proven) == (Result.FAIL, True, False)


def test_a_candidate_that_is_bad_itself_is_called_so():
    both = Window(
        candidate=Sample(requests=100, errors=60),
        production=Sample(requests=346, errors=40),
        past=(Sample(**WELL),),
    )
    verdict = judge(PLAN, both)
    assert (verdict.hard, verdict.proven) == (True, True)


@pytest.mark.parametrize(
    ("past", "why"),
    [
        ((), "no past"),
        (({"requests": 19, "errors": 0},), "hardly any past"),
        (({"requests": 900, "errors": 430},), "the trouble is older"),
        (({"requests": 60, "errors": 28}, {"requests": 900, "errors": 30}), "it had begun lately"),
        (({"requests": 100, "errors": 44}, {"requests": 1000, "errors": 1}), "seen in the short span alone"),
    ],
)
def test_trouble_that_was_there_before_is_not_blamed_on_the_candidate(past, why):
    assert harmed({"requests": 346, "errors": 167}, *past).result is Result.PASS, why


@pytest.mark.parametrize(
    ("now", "fields"),
    [
        ({"requests": 19, "errors": 19}, {}),
        ({"requests": 346, "errors": 1}, {}),
        ({"requests": 346, "errors": 4}, {}),
        ({"requests": 346, "errors": 167}, {"same_span": False, "plan": replace(PLAN, max_error_rate_delta=None)}),
        ({"requests": 346, "errors": 167}, {"plan": replace(PLAN, max_error_rate_delta=None)}),
    ],
)
def test_what_chance_explains_or_nobody_asks_for_is_no_harm(now, fields):
    assert harmed(now, WELL, **fields).result is Result.PASS


def slow(p95, **quantiles):
    return {"requests": 300, "errors": 0, "p95_ms": p95, "quantiles": {int(k[1:]): v for k, v in quantiles.items()}}


@pytest.mark.parametrize(
    ("now", "before", "result"),
    [
        (slow(90, p50=40), slow(20, p50=12), Result.INCONCLUSIVE),
        (slow(90, p50=40), slow(80, p50=12), Result.PASS),
        (slow(90, p50=20), slow(20, p50=12), Result.PASS),
        (slow(90), slow(20), Result.INCONCLUSIVE),
        (slow(90, p50=40), {"requests": 300, "errors": 0}, Result.PASS),
        ({"requests": 300, "errors": 0}, slow(20, p50=12), Result.PASS),
    ],
)
def test_production_that_got_slower_in_every_percentile_holds_the_rise(now, before, result):
    verdict = harmed(now, before, candidate=Sample(**slow(15, p50=12)))
    assert verdict.result is result
    if result is not Result.PASS:
        assert verdict.reason == "production went from 20 ms to 90 ms (p95) since the candidate has traffic"


def test_good_production_is_hardly_ever_called_harmed():
    dice, failed = random.Random(7), 0
    for _ in range(2000):
        past, now = (sum(dice.random() < 0.01 for _ in range(size)) for size in (300, 400))
        failed += harmed({"requests": 400, "errors": now}, {"requests": 300, "errors": past}).result is Result.FAIL
    assert failed <= 2
