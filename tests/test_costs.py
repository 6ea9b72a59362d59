"""Sums of usages, and prices."""

import pytest

from airflow_provider_pai.costs import Nodes, Prices, Usage, attempts, spent
from airflow_provider_pai.exceptions import PaiConfigError

HOUR = 3600.0


def usage(number=1, cause="", cycle=0, **facts):
    given = {"service": "dlc", "seconds": HOUR, "nodes": (Nodes(type="ecs.g6.large", count=2),), **facts}
    return Usage(id=f"dlc{cycle}{number}", status="", cause=cause, cycle=cycle, generation=number, **given)


def test_prices_are_read_a_line_each():
    read = Prices.parse("prices", "currency=CNY\necs.g6.large=0.5, dsw/ecs.g6.large=1\nspot=0.3")
    assert read == Prices("CNY", {"ecs.g6.large": 0.5, "dsw/ecs.g6.large": 1.0}, 0.3)
    assert read.hour("dsw", Nodes(type="ecs.g6.large", count=1)) == 1.0
    assert read.hour("dlc", Nodes(type="ecs.g6.large", count=1, spot=True)) == pytest.approx(0.15)
    assert read._replace(spot=None).hour("dlc", Nodes(type="ecs.g6.large", count=1, spot=True)) is None


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("ecs.g6.large=1", "currency is missing"),
        ("currency=CNY ecs.g6.large", "'ecs.g6.large' is not allowed"),
        ("currency=CNY ecs.g6.large=dear", "prices, ecs.g6.large: 'dear' is not allowed; a number of at least 0"),
        ("currency=CNY ecs.g6.large=-1", "a number of at least 0"),
        ("currency=CNY spot=3", "prices, spot"),
    ],
)
def test_what_is_no_price_is_refused_by_its_name(written, said):
    with pytest.raises(PaiConfigError, match=said):
        Prices.parse("prices", written)


def test_what_has_no_price_is_told_and_in_no_sum_of_money():
    prices = Prices("CNY", {"ecs.g6.large": 0.5}, None)
    spot = usage(2, nodes=(Nodes(type="ecs.g6.large", count=1, spot=True),))
    quota = usage(3, nodes=(Nodes(type="quota/q1", count=1),))
    told = spent([usage(), spot, quota], prices)
    assert (told.money, told.all_hours) == (1.0, 4.0)
    assert told.unpriced == {"ecs.g6.large (spot)": 1.0, "quota/q1": 1.0}


def test_what_is_told_twice_counts_once_as_it_was_told_last():
    assert spent([usage(seconds=60.0), usage()], Prices()).hours == {"ecs.g6.large": 2.0}


def test_what_came_to_nothing_counts_to_the_next_success():
    first = [usage(1, "preempted"), usage(2, "code"), usage(3)]
    cleared = [usage(1, "stopped", cycle=1), usage(1, cycle=2), usage(1, "running", cycle=3)]
    found = list(attempts(reversed([*first, *cleared])))
    assert found == [first, cleared[:2], cleared[2:]]


def test_a_usage_is_read_as_it_was_written_and_in_a_later_version_too():
    written = {
        "service": "dlc",
        "id": "dlc1",
        "status": "Failed",
        "nodes": [{"type": "t", "count": 1, "rack": 7}],
        "x": 1,
    }
    assert Usage.read(written) == Usage(service="dlc", id="dlc1", status="Failed", nodes=(Nodes(type="t", count=1),))
    assert usage().instance_seconds == {"ecs.g6.large": 2 * HOUR}


def test_an_api_tells_only_of_its_own_service_what_nobody_else_has_told():
    own = Prices("CNY", {"a": 1.0}, None)
    assert own.with_api("dsw", Prices("CNY", {"a": 9.0, "b": 2.0})).hourly == {"dsw/b": 2.0, "a": 1.0}
    assert own.with_api("dsw", Prices("USD", {"b": 2.0})) == own
    assert Prices().with_api("dsw", Prices("USD", {"b": 2.0})) == Prices("USD", {"dsw/b": 2.0})
