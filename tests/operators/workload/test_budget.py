"""Budgets: what they are read from, which day it is, and what counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.costs import Nodes, Prices, Usage
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.operators.workload.budget import Budget, Day, Limit, Used, ask

PRICES = Prices(currency="CNY", hourly={"ecs.g6.large": 2.0})
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        ({"per_run": "12h"}, {"per_run": Limit(12)}),
        ({"per_run": "90m", "per_day": "40 CNY", "over": "skip"}, {"per_run": Limit(1.5), "per_day": Limit(40, "CNY")}),
        ('{"per_day": "0.5CNY"}', {"per_day": Limit(0.5, "CNY")}),
    ],
)
def test_an_amount_bears_its_unit(value, limits):
    assert Budget.read(value, PRICES).limits == limits


@pytest.mark.parametrize(
    ("value", "prices", "message"),
    [
        ({}, PRICES, "budget: {} is not allowed; per_run, per_day or both"),
        ({"per_day": 40}, PRICES, r"budget\['per_day'\]: 40 is not allowed; instance hours, as '12h', or money"),
        ({"per_day": "40"}, PRICES, r"budget\['per_day'\]: '40' is not allowed"),
        ({"per_day": "0h"}, PRICES, r"budget\['per_day'\]: '0h' is not allowed"),
        ({"per_day": None}, PRICES, r"budget\['per_day'\]: None is not allowed"),
        ({"per_month": "1h"}, PRICES, "budget: 'per_month' is not allowed; it has per_run, per_day, over"),
        ({"per_run": "1h", "over": "ask"}, PRICES, r"budget\['over'\]: 'ask' is not allowed; one of fail, skip"),
        ({"per_run": "40 USD"}, PRICES, r"budget\['per_run'\]: '40 USD' .* their currency is CNY"),
        ({"per_run": "40 CNY"}, Prices(), r"budget\['per_run'\]: '40 CNY' .* that `prices` of the connection .* none"),
    ],
)
def test_a_budget_that_can_not_be_kept_is_refused(value, prices, message):
    with pytest.raises(PaiConfigError, match=message):
        Budget.read(value, prices)


MOMENTS = st.datetimes(datetime(1972, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))


@given(moment=MOMENTS, zone=st.timezones())
def test_days_of_every_time_zone_follow_each_other_without_gap_or_overlap(moment, zone):
    day = Day.at(moment, zone)
    assert day.begin <= moment < day.end
    assert Day.at(day.begin, zone) == day == Day.at(day.end - timedelta(microseconds=1), zone)
    assert Day.at(day.end, zone).begin == day.end
    assert timedelta(hours=20) <= day.end - day.begin <= timedelta(hours=28)


@pytest.mark.parametrize(
    ("zone", "moment", "hours"),
    [
        ("Europe/Berlin", "2026-03-29T12:00+00:00", 23),
        ("Europe/Berlin", "2026-10-25T12:00+00:00", 25),
        ("America/Havana", "2026-11-01T12:00+00:00", 25),  # midnight comes twice
        ("America/Sao_Paulo", "2018-11-04T12:00+00:00", 23),  # and here not at all
        ("Asia/Shanghai", "2026-11-21T12:00+00:00", 24),
    ],
)
def test_a_day_is_as_long_as_its_clocks_make_it(zone, moment, hours):
    day = Day.at(datetime.fromisoformat(moment), ZoneInfo(zone))
    assert day.end - day.begin == timedelta(hours=hours)
    assert day.name == f"{moment[:10]} ({zone})"


def used(number, run, began, hours, ended=True, kind="ecs.g6.large", count=1):
    end = datetime.fromisoformat(began) + timedelta(hours=hours)
    usage = Usage(
        service="dlc",
        id=f"dlc{number}",
        status="Succeeded",
        began=began,
        ended=end.isoformat() if ended else "",
        seconds=hours * 3600,
        nodes=(Nodes(type=kind, count=count),),
    )
    return Used(run, usage)


FOUND = [
    used(1, "monday", "2026-11-21T00:00:00+00:00", 1, count=3),
    used(2, "tuesday", "2026-11-20T15:00:00+00:00", 2),  # half of it lies before midnight in Shanghai
    used(3, "tuesday", "2026-11-21T11:00:00+00:00", 1, ended=False),
    used(4, "tuesday", "2026-11-19T00:00:00+00:00", 8, kind="ecs.gn7.large"),
]


@pytest.mark.parametrize(
    ("limit", "spent", "unpriced"),
    [
        ({"per_run": "12h"}, 11, ()),
        ({"per_day": "12h"}, 5, ()),
        ({"per_run": "6 CNY"}, 6, ("ecs.gn7.large",)),
        ({"per_day": "11 CNY"}, 10, ()),
    ],
)
def test_what_counts_for_a_run_and_for_a_day(limit, spent, unpriced):
    budget = Budget.read(limit, PRICES)
    (asked,) = ask(budget, FOUND, "tuesday", Day.at(NOON, SHANGHAI), NOON, PRICES)
    assert (asked.spent, asked.unpriced) == (spent, unpriced)
    assert asked.is_over is (spent == 6)


def test_a_limit_that_is_met_in_words():
    (asked,) = ask(Budget.read({"per_day": "5h"}, PRICES), FOUND, "x", Day.at(NOON, SHANGHAI), NOON, PRICES)
    assert asked.is_over
    assert str(asked) == "5 hours of 5 hours of instance time are spent on 2026-11-21 (Asia/Shanghai)"
