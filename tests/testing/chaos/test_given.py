"""Order for bad nights: which params a night has."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_pai.testing.chaos.given import Given


def test_the_last_params_stand_for_all_nights_after_them():
    given = Given(dag_file=Path("dag.py"), conf=({"n": 1}, {"n": 2}))
    assert [given.conf_of(number)["n"] for number in range(4)] == [1, 2, 2, 2]
    assert Given(dag_file=Path("dag.py")).conf_of(3) == {}
