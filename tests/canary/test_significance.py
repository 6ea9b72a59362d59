import math

import pytest

from airflow_provider_pai.canary.significance import binomial_tail, fisher_tail


@pytest.mark.parametrize(
    ("successes", "trials", "probability"),
    [(1, 10, 0.1), (3, 10, 0.5), (10, 10, 0.5), (7, 400, 0.01), (30, 1000, 0.02)],
)
def test_binomial_tail_is_the_sum_of_its_terms(successes, trials, probability):
    exact = sum(
        math.comb(trials, k) * probability**k * (1 - probability) ** (trials - k) for k in range(successes, trials + 1)
    )
    assert binomial_tail(successes, trials, probability) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(("successes", "probability", "tail"), [(0, 0.3, 1), (-1, 0.3, 1), (1, 0, 0), (1, 1, 1)])
def test_what_is_certain_is_1_and_what_cannot_be_is_0(successes, probability, tail):
    assert binomial_tail(successes, 10, probability) == tail


def test_many_trials_are_no_trouble():
    assert binomial_tail(10_100, 1_000_000, 0.01) == pytest.approx(0.158, abs=0.003)


@pytest.mark.parametrize(
    ("errors", "requests", "other_errors", "other_requests"),
    [(4, 4, 0, 4), (3, 4, 1, 4), (5, 100, 10, 900), (20, 1000, 5, 1000), (30, 300, 0, 50)],
)
def test_fisher_tail_counts_the_tables_that_are_at_least_as_bad(errors, requests, other_errors, other_requests):
    total_errors, total = errors + other_errors, requests + other_requests
    worse = range(errors, min(total_errors, requests) + 1)
    tables = sum(math.comb(total_errors, k) * math.comb(total - total_errors, requests - k) for k in worse)
    exact = tables / math.comb(total, requests)
    assert fisher_tail(errors, requests, other_errors, other_requests) == pytest.approx(exact, rel=1e-6)


def test_fishers_tea():
    assert fisher_tail(4, 4, 0, 4) == pytest.approx(1 / 70)


@pytest.mark.parametrize(("errors", "other_requests"), [(0, 100), (5, 0)])
def test_no_error_and_nobody_to_compare_with_tell_nothing(errors, other_requests):
    assert fisher_tail(errors, 100, 0, other_requests) == 1
