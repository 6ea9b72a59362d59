"""Rollout plans: what they take and what they refuse."""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.canary.plan import CHECK_LIMITS, RolloutPlan
from airflow_provider_pai.exceptions import PaiConfigError

NUMBERS = st.floats() | st.integers() | st.floats().map(str) | st.sampled_from(["nan", "-inf", "1e999", 10**400])


def test_reads_what_templates_give():
    plan = RolloutPlan.parse(
        {
            "steps": "[5, 25, 100]",
            "min_requests": "20",
            "interval": "0.5",
            "max_p95_ms": "None",
            "drain": timedelta(minutes=1),
        }
    )
    assert plan == RolloutPlan(steps=(5, 25, 100), min_requests=20, interval=0.5, drain=60)


@pytest.mark.parametrize("steps", ["10, 50, 100", [10, 50, 100], (10, 50, 100), ["10", "50", "100"], "[10,50,100]"])
def test_steps_in_every_form(steps):
    assert RolloutPlan.parse({"steps": steps}).steps == (10, 50, 100)


def test_one_step_is_a_plan():
    assert RolloutPlan.parse({"steps": "100"}).steps == (100,)
    assert RolloutPlan.parse({"steps": 100}).steps == (100,)


def test_comes_back_from_json():
    plan = RolloutPlan(steps=(1, 100), on_inconclusive="rollback", max_error_rate=None, checks={"score": {"min": 0.5}})
    assert RolloutPlan.parse(plan.to_dict()) == plan


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("steps", [10, 50], "the last one 100"),
        ("steps", [], "the last one 100"),
        ("steps", [50, 50, 100], "strictly rising"),
        ("steps", [0, 100], "from 1 to 100"),
        ("steps", [10, 110], "from 1 to 100"),
        ("steps", [10.5, 100], "whole percentages"),
        ("steps", "ten", "whole percentages"),
        ("steps", "[10, 100", "whole percentages"),
        ("steps", None, "whole percentages"),
        ("steps", {"a": 1}, "whole percentages"),
        ("steps", list(range(90, 101)), "1 to 10"),
        ("interval", 0, "at least 0.05"),
        ("interval", "soon", "a span of at least 0.05 s"),
        ("interval", "nan", "a span of at least 0.05 s"),
        ("min_requests", 0, "whole number of at least 1"),
        ("min_requests", 1.5, "whole number"),
        ("min_requests", True, "whole number"),
        ("min_requests", None, "whole number"),
        ("max_error_rate", 1.01, "from 0 to 1 or none"),
        ("max_error_rate", "5 %", "from 0 to 1 or none"),
        ("max_p95_ratio", 0.5, "at least 1"),
        ("max_failures", -1, "at least 0"),
        ("on_inconclusive", "ask", "hold, rollback, promote"),
        ("on_failure", "explode", "rollback, freeze"),
        ("keep_versions", "-1", "at least 0"),
        ("max_duration", 1, "at least min_duration"),
        ("warm_up", 7200, "less than max_duration"),
        ("stepps", [100], "steps"),
        ("hard_error_rate", 0.01, "at least max_error_rate, 0.05"),
        ("max_consecutive_failures", 1, "at most max_failures, 0"),
        ("interval", 7200, "at most max_duration"),
        ("power", 1, "from 0 to 0.999"),
        ("checks", 5, "an object of metric names"),
        ("checks", {"score": {"least": 1}}, "an object of min, max"),
        ("checks", {"score": {"min": "much"}}, "a number"),
        ("checks", {"score": {"min": 2, "max": 1}}, "min of at most max"),
    ],
)
def test_refuses_by_name_value_and_what_is_allowed(field, value, allowed):
    with pytest.raises(ValueError, match="^" + field) as refused:
        RolloutPlan.parse({field: value})
    assert allowed in str(refused.value)


def test_the_constructor_checks_steps_too():
    with pytest.raises(ValueError, match="steps"):
        RolloutPlan(steps=(10, 50))


@pytest.mark.fuzz
@given(
    name=st.sampled_from([field.name for field in fields(RolloutPlan)]),
    value=NUMBERS | st.dictionaries(st.just("score"), st.dictionaries(st.sampled_from(CHECK_LIMITS), NUMBERS)),
)
def test_no_limit_is_switched_off_by_what_is_no_number(name, value):
    """A comparison with NaN is false each time, and nothing lies above infinity."""
    try:
        plan = RolloutPlan.parse({name: value})
    except PaiConfigError:
        return
    limits = [limit for several in plan.checks.values() for limit in several.values()]
    numbers = [each for each in vars(plan).values() if isinstance(each, float)]
    assert all(map(math.isfinite, [*limits, *numbers]))
