"""Share by counts: weights that come late, and requests that hang."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_pai.canary.analysis import judge
from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.canary.samples import Result, Sample, Window

PLAN = RolloutPlan(min_requests=20)


def weighed(mine, theirs, share, before, **fields):
    window = {"candidate": Sample(requests=mine, errors=0), "production": Sample(requests=theirs, errors=0), **fields}
    return judge(PLAN, Window(share=share, share_before=before, **window))


@pytest.mark.parametrize(
    ("mine", "theirs", "share", "before", "late"),
    [
        (0, 160, 0.2, 0.0, True),
        (0, 20, 0.2, 0.0, False),
        (20, 140, 0.2, 0.0, False),
        (32, 128, 0.5, 0.2, True),
        (60, 100, 0.5, 0.2, False),
        (4, 156, 0.5, 0.2, False),
        (32, 128, 0.5, None, False),
        (0, 0, 0.5, 0.2, False),
        (100, 0, 1.0, 1.0, False),
    ],
)
def test_counts_that_show_the_share_before_are_late_weights(mine, theirs, share, before, late):
    verdict = weighed(mine, theirs, share, before)
    assert verdict.late is late
    if late:
        assert verdict.result is Result.INCONCLUSIVE
        assert verdict.reason.startswith(f"the gateway does not follow the weights yet: {mine} of {mine + theirs}")


def test_at_100_percent_production_s_requests_tell():
    past = {"production": Sample(requests=160, errors=0), "same_span": False}
    assert weighed(80, 0, 1.0, 0.5, meanwhile=Sample(requests=80, errors=0), **past).late
    assert not weighed(140, 0, 1.0, 0.5, meanwhile=Sample(requests=3, errors=0), **past).late


@pytest.mark.parametrize(
    ("mine", "theirs", "share", "before", "shown"),
    [(32, 128, 0.2, 0.0, True), (4, 120, 0.2, 0.0, False), (5, 5, 0.2, 0.0, False), (32, 128, 0.2, None, False)],
)
def test_a_share_is_seen_to_take_effect_once_enough_requests_show_it(mine, theirs, share, before, shown):
    assert weighed(mine, theirs, share, before).shown is shown


def test_what_is_late_is_not_lost():
    verdict = weighed(4, 120, 0.2, 0.0, settled=True)
    assert (verdict.result, verdict.late) == (Result.INCONCLUSIVE, True)
    assert weighed(4, 120, 0.2, None, settled=True).result is Result.FAIL


def test_a_bad_candidate_is_bad_though_the_weights_are_late():
    verdict = weighed(0, 128, 0.5, 0.2, candidate=Sample(requests=32, errors=32))
    assert (verdict.result, verdict.late) == (Result.FAIL, False)


def test_what_answered_and_then_does_not_hangs():
    both = Sample(requests=60, errors=0), Sample(requests=900, errors=0)
    answered = Window(candidate=both[0], production=both[1], share=0.1, settled=True)
    assert judge(PLAN, answered).result is Result.PASS
    hung = replace(answered, recent=(Sample(requests=0, errors=0), Sample(requests=450, errors=0)))
    verdict = judge(PLAN, hung)
    assert (verdict.result, verdict.reason) == (
        Result.FAIL,
        "0 answers where its share should bring about 45: requests hang",
    )
