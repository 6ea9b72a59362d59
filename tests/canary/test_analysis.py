"""Verdicts: beyond chance, by chance, too little to tell."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from airflow_provider_pai.canary.analysis import judge
from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.canary.samples import Result, Sample, Window
from airflow_provider_pai.canary.significance import binomial_tail, fisher_tail

PLAN = RolloutPlan(min_requests=20)


def look(requests, errors, *, production=(200, 0), p95=None, production_p95=None, plan=PLAN):
    other = None if production is None else Sample(requests=production[0], errors=production[1], p95_ms=production_p95)
    candidate = Sample(requests=requests, errors=errors, p95_ms=p95)
    return judge(plan, Window(candidate=candidate, production=other))


def test_no_errors_pass():
    assert look(57, 0).result is Result.PASS


@pytest.mark.parametrize("production", [(180, 0), (0, 0), None])
def test_one_stray_error_in_twenty_does_not_fail(production):
    assert look(20, 1, production=production).result is not Result.FAIL


@pytest.mark.parametrize("production", [(180, 0), (0, 0), None])
def test_twenty_percent_fail(production):
    assert look(40, 8, production=production).result is Result.FAIL


def test_one_stray_error_is_forgiven_by_more_requests():
    assert look(20, 1).result is Result.INCONCLUSIVE
    assert look(120, 1).result is Result.PASS


@pytest.mark.parametrize("requests", [0, 1, 19])
def test_too_few_requests_never_pass(requests):
    verdict = look(requests, 0)
    assert verdict.result is Result.INCONCLUSIVE
    assert f"{requests} of 20 requests" in verdict.reason


def test_a_wreck_fails_before_there_are_enough_requests():
    assert look(8, 8).result is Result.FAIL


def test_production_that_errs_as_much_is_no_reason_to_fail():
    assert look(200, 4, production=(1800, 36)).result is Result.PASS


@pytest.mark.parametrize(
    ("requests", "errors", "result"),
    [(1000, 12, Result.INCONCLUSIVE), (204_000, 2244, Result.PASS), (204_000, 4080, Result.FAIL)],
)
def test_what_may_be_chance_is_chance_once_production_can_say_no_more(requests, errors, result):
    """At 100 % production's few requests from before the step are all that there will ever be."""
    plan = replace(PLAN, max_error_rate_delta=0.005)
    window = Window(
        candidate=Sample(requests=requests, errors=errors),
        production=Sample(requests=573, errors=2),
        same_span=False,
        share=1,
    )
    assert judge(plan, window).result is result


def test_worse_than_production_fails_below_the_limit():
    assert look(1000, 40, production=(9000, 9)).result is Result.FAIL


def test_a_little_over_the_delta_by_chance_is_no_reason_to_fail():
    verdict = look(1000, 12, production=(9000, 0))
    assert (verdict.result, "perhaps by chance" in verdict.reason) == (Result.INCONCLUSIVE, True)


def test_limits_that_are_off_are_not_checked():
    off = RolloutPlan(min_requests=20, max_error_rate=None, max_error_rate_delta=None)
    assert look(40, 40, plan=off).result is Result.PASS


def test_latency_limit():
    plan = RolloutPlan(min_requests=20, max_p95_ms=50)
    assert look(40, 0, p95=49, plan=plan).result is Result.PASS
    assert look(40, 0, p95=51, plan=plan).result is Result.FAIL
    assert look(10, 0, p95=51, plan=plan).result is Result.INCONCLUSIVE
    assert look(40, 0, p95=None, plan=plan).result is Result.INCONCLUSIVE


def test_latency_against_production_needs_a_minimum_effect():
    plan = RolloutPlan(min_requests=20, max_p95_ratio=1.5)
    assert look(40, 0, p95=9, production_p95=3, plan=plan).result is Result.PASS
    assert look(40, 0, p95=40, production_p95=20, plan=plan).result is Result.FAIL
    assert look(40, 0, p95=40, production_p95=30, plan=plan).result is Result.PASS
    assert look(40, 0, p95=None, production_p95=30, plan=plan).result is Result.INCONCLUSIVE, "not known is no pass"
    assert look(40, 0, p95=None, production_p95=None, plan=plan).result is Result.PASS, "it is a source without"


def test_a_sample_cannot_have_more_errors_than_requests():
    with pytest.raises(ValueError, match="errors"):
        Sample(requests=1, errors=2)


def test_reads_as_a_line_of_a_log():
    text = str(look(57, 0, p95=6.2, production=(510, 0)))
    assert text == "57 requests, 0 errors, p95 6 ms, production 510 requests, 0 errors → pass"


@pytest.mark.parametrize(("k", "n", "p"), [(1, 20, 0.05), (4, 20, 0.05), (3, 1000, 0.001), (50, 60, 0.9), (0, 5, 0.5)])
def test_binomial_tail_is_exact(k, n, p):
    exact = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
    assert binomial_tail(k, n, p) == pytest.approx(exact, rel=1e-9)


def test_binomial_tail_at_the_edges():
    assert binomial_tail(1, 10, 0) == 0
    assert binomial_tail(5, 10, 1) == 1
    assert binomial_tail(1_000, 1_000_000, 0.001) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("a", "n", "b", "m"), [(4, 20, 0, 180), (1, 20, 0, 180), (3, 50, 4, 60), (5, 5, 0, 5)])
def test_fisher_tail_is_exact(a, n, b, m):
    total = math.comb(n + m, n)
    exact = sum(math.comb(a + b, k) * math.comb(n + m - a - b, n - k) for k in range(a, min(a + b, n) + 1)) / total
    assert fisher_tail(a, n, b, m) == pytest.approx(exact, rel=1e-9)


def test_healthy_candidates_are_rarely_called_bad_however_often_one_looks():
    dice, failed = random.Random(7), 0
    for _ in range(300):
        counts = [0, 0, 0, 0]
        for _ in range(20):
            for at, requests in ((0, 10), (2, 90)):
                counts[at] += requests
                counts[at + 1] += sum(dice.random() < 0.01 for _ in range(requests))
            if look(counts[0], counts[1], production=(counts[2], counts[3])).result is Result.FAIL:
                failed += 1
                break
    assert failed <= 3


def windowed(candidate, production, plan=PLAN, **fields):
    return judge(plan, Window(candidate=Sample(**candidate), production=Sample(**production), **fields))


def test_promotion_needs_enough_requests_to_have_noticed_twice_the_excess():
    few = windowed({"requests": 60, "errors": 0}, {"requests": 60, "errors": 0}, share=1)
    assert (few.result, "may yet be a rate of 2.00%" in few.reason) == (Result.INCONCLUSIVE, True)
    assert windowed({"requests": 120, "errors": 0}, {"requests": 120, "errors": 0}, share=1).result is Result.PASS
    off = RolloutPlan(min_requests=20, power=0)
    assert windowed({"requests": 60, "errors": 0}, {"requests": 60, "errors": 0}, off, share=1).result is Result.PASS


def test_two_percent_of_errors_hardly_ever_pass_the_last_step():
    dice, passed = random.Random(3), 0
    for _ in range(300):
        requests = errors = 0
        for _ in range(10):
            requests += 60
            errors += sum(dice.random() < 0.02 for _ in range(60))
            found = windowed({"requests": requests, "errors": errors}, {"requests": 600, "errors": 0}, share=1)
            if found.result is not Result.INCONCLUSIVE:
                passed += found.result is Result.PASS
                break
    assert passed < 300 * 0.2


def ours(requests, errors=0):
    return Sample(requests=requests, errors=errors)


def test_requests_that_hang_are_missed():
    lost = {"share": 0.2, "settled": True}
    verdict = windowed({"requests": 0, "errors": 0}, {"requests": 400, "errors": 0}, **lost)
    assert (verdict.result, "0 answers where its share should bring about 80" in verdict.reason) == (Result.FAIL, True)
    assert windowed({"requests": 20, "errors": 0}, {"requests": 400, "errors": 0}, **lost).result is Result.FAIL
    assert windowed({"requests": 90, "errors": 0}, {"requests": 400, "errors": 0}, **lost).result is Result.PASS
    mostly_ours = windowed({"requests": 70, "errors": 0}, {"requests": 400, "errors": 0}, golden=ours(50), **lost)
    assert mostly_ours.result is Result.PASS
    early = windowed({"requests": 0, "errors": 0}, {"requests": 400, "errors": 0}, share=0.2)
    assert early.result is Result.INCONCLUSIVE


def test_at_100_percent_production_s_last_span_stands_in():
    alone = {"share": 1.0, "settled": True, "same_span": False}
    assert windowed({"requests": 0, "errors": 0}, {"requests": 400, "errors": 0}, **alone).result is Result.FAIL
    assert windowed({"requests": 200, "errors": 0}, {"requests": 400, "errors": 0}, **alone).result is Result.PASS
    assert windowed({"requests": 400, "errors": 16}, {"requests": 400, "errors": 0}, **alone).result is Result.FAIL


def test_our_own_requests_are_not_people_s():
    verdict = windowed({"requests": 30, "errors": 0}, {"requests": 100, "errors": 0}, golden=ours(20))
    assert (verdict.result, "10 of 20 requests" in verdict.reason) == (Result.INCONCLUSIVE, True)


def test_errors_of_our_own_requests_are_not_people_s():
    """Both err in one request of a hundred, our own too: errors of ours over people's requests alone were more."""
    counts = ({"requests": 9200, "errors": 92}, {"requests": 29_000, "errors": 290})
    assert windowed(*counts, golden=ours(4600, 46)).result is Result.PASS
    late = windowed({"requests": 30, "errors": 1}, {"requests": 100, "errors": 1}, golden=ours(50, 4))
    assert (late.window.candidate.requests, late.window.candidate.errors) == (0, 0)


def test_wrong_answers_fail_and_nobody_s_fault_is_inconclusive():
    good = ({"requests": 100, "errors": 0}, {"requests": 100, "errors": 0})
    assert windowed(*good, wrong="41 instead of 42").result is Result.FAIL
    assert windowed(*good, doubt="through the group").result is Result.INCONCLUSIVE


def test_a_slow_service_is_told_from_a_few_slow_requests():
    plan = RolloutPlan(min_requests=20, max_p95_ratio=2)
    production = {"requests": 200, "errors": 0, "p95_ms": 20}
    slow = {"requests": 40, "errors": 0, "p95_ms": 62, "quantiles": {50: 60, 75: 61}}
    assert windowed(slow, production, plan).result is Result.FAIL
    unlucky = {"requests": 40, "errors": 0, "p95_ms": 62, "quantiles": {50: 19, 75: 20}}
    verdict = windowed(unlucky, production, plan)
    assert (verdict.result, "perhaps by chance" in verdict.reason) == (Result.INCONCLUSIVE, True)


@pytest.mark.parametrize(
    ("limits", "value", "result"),
    [
        ({"min": 0.9}, 0.95, Result.PASS),
        ({"min": 0.9}, 0.89, Result.FAIL),
        ({"max": 2}, 3, Result.FAIL),
        ({"max_above": 0.5}, 1.6, Result.FAIL),
        ({"max_above": 0.7}, 1.6, Result.PASS),
        ({"max_below": 0.2}, 0.7, Result.FAIL),
        ({"max_ratio": 1.5}, 1.6, Result.FAIL),
        ({"hard_max": 1.5}, 1.6, Result.FAIL),
    ],
)
def test_further_values_have_limits(limits, value, result):
    plan = RolloutPlan(min_requests=20, checks={"score": limits})
    candidate = {"requests": 40, "errors": 0, "values": {"score": value}}
    verdict = windowed(candidate, {"requests": 40, "errors": 0, "values": {"score": 1.0}}, plan)
    assert (verdict.result, verdict.hard) == (result, "hard_max" in limits)
    silent = windowed({"requests": 40, "errors": 0}, {"requests": 40, "errors": 0}, plan)
    assert (silent.result, silent.reason) == (Result.INCONCLUSIVE, "the metrics source tells no score")


def test_a_latency_is_compared_with_the_same_span_only():
    slow = {"requests": 400, "errors": 0, "p95_ms": 62, "quantiles": {50: 60, 75: 61}}
    production = {"requests": 200, "errors": 0, "p95_ms": 20}
    verdict = windowed(slow, production, share=1, same_span=False)
    assert (verdict.result, "20 ms before" in verdict.reason) == (Result.INCONCLUSIVE, True)
    assert windowed(slow, production, share=0.5).result is Result.FAIL


def test_the_median_tells_a_slow_service_where_noise_moves_the_95th_percentile():
    slow = {"requests": 100, "errors": 0, "p95_ms": 45, "quantiles": {10: 31, 50: 33, 75: 36}}
    production = {"requests": 400, "errors": 0, "p95_ms": 30, "quantiles": {10: 11, 50: 12, 75: 15}}
    verdict = windowed(slow, production, share=0.2)
    assert (verdict.result, "p50 33 ms is over 2 times production's 12 ms" in verdict.reason) == (Result.FAIL, True)
    assert windowed(slow, {**production, "quantiles": {50: 20}}, share=0.2).result is Result.PASS
