import pytest

from airflow_provider_pai.canary.group import Group, Member
from airflow_provider_pai.canary.weights import carriers, shares, weights_for


def member(name, running=1, weight=0, grouping=True):
    return Member(name=name, status="Running", running=running, total=running, weight=weight, grouping=grouping)


def split(*members, customized=True):
    return shares(Group(name="digits", customized=customized, members=members))


@pytest.mark.parametrize("percent", [0, 1, 50, 99, 100])
def test_weights_give_the_candidate_its_percent(percent):
    weights = weights_for(percent)
    candidate = member("new", weight=weights.candidate)
    assert split(candidate, member("old", weight=weights.stable))["new"] == percent / 100


def test_weights_are_parts_of_their_sum_whatever_it_is():
    assert split(member("a", weight=5), member("b", weight=15)) == {"a": 0.25, "b": 0.75}


def test_without_weights_instances_are_counted():
    assert split(member("a", running=3, weight=0), member("b", running=1, weight=100), customized=False) == {
        "a": 0.75,
        "b": 0.25,
    }


def test_who_stands_alone_gets_nothing_of_the_group():
    assert split(member("a", weight=10), member("b", weight=90, grouping=False)) == {"a": 1, "b": 0}


def test_nobody_answers_where_all_weights_are_0():
    assert split(member("a"), member("b", weight=-1)) == {"a": 0, "b": 0}


def test_who_has_a_weight_but_no_instance_answers_nothing():
    group = Group(name="digits", customized=True, members=(member("a", weight=50), member("b", running=0, weight=50)))
    assert [one.name for one in carriers(group)] == ["a"]
