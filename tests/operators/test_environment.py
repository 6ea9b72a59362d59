"""Environment variables that a user gives: texts, with names that are free."""

from __future__ import annotations

import pytest

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.operators.environment import check_environment


@pytest.mark.parametrize(
    ("env", "read"),
    [
        (None, {}),
        ({}, {}),
        ({"A": "x", "_b": 1, "C2": True}, {"A": "x", "_b": "1", "C2": "True"}),
        ('{"A": "x"}', {"A": "x"}),
    ],
)
def test_variables_are_texts(env, read):
    assert check_environment(env, ("RANK",)) == read


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"2A": "x"}, "env: '2A' .* no digit first"),
        ({"A-B": "x"}, "env: 'A-B'"),
        ({"": "x"}, "env: ''"),
        ({"RANK": "0"}, "env: 'RANK' .* sets RANK itself"),
        ({"PAI_X": "0"}, "env: 'PAI_X' .* operator's own"),
        ({"A": None}, r"env\['A'\]: None .* leave out"),
        ({"A": ["x"]}, r"env\['A'\]: \['x'\]"),
        ({"MY_TOKEN": ["hunter2-hunter2"]}, r"env\['MY_TOKEN'\]: \['\*\*\*'\]"),
        ("A=x", "env: 'A=x'"),
    ],
)
def test_what_is_none_is_refused_by_name(env, message):
    with pytest.raises(PaiConfigError, match=message):
        check_environment(env, ("RANK",))
