"""Numbers from queries and functions."""

from __future__ import annotations

import json
import math
import sqlite3

import pytest

from airflow_provider_pai.canary.samples import Sample
from airflow_provider_pai.exceptions import PaiConfigError, PaiMetricsError
from airflow_provider_pai.metrics.base import check_names, make_source

QUERY = """
    select count(*) as requests, sum(status >= 500) as errors, max(ms) as p95_ms, avg(score) as score
    from answers where service = :service and at > :start and at <= :end
"""


@pytest.fixture
def database(tmp_path, monkeypatch):
    """A log of answers, and the connection `answers` to it."""
    path = tmp_path / "answers.sqlite"
    connection = {"conn_type": "sqlite", "host": str(path)}
    monkeypatch.setenv("AIRFLOW_CONN_ANSWERS", json.dumps(connection))
    with sqlite3.connect(path) as rows:
        rows.execute("create table answers (service, at, status, ms, score)")
        many = [("a", at, 500 if at % 5 == 0 else 200, 10 * at, 0.5) for at in range(1, 11)]
        rows.executemany("insert into answers values (?, ?, ?, ?, ?)", [*many, ("b", 3, 200, 7, 1)])
    return {"kind": "sql", "conn_id": "answers", "sql": QUERY, "values": ["score"]}


def test_a_query_counts_one_service_in_one_span(database):
    source = make_source(database, None)
    source.check()
    assert source.sample("a", 2, 10) == Sample(requests=8, errors=2, p95_ms=100, values={"score": 0.5})
    assert source.sample("nobody", 2, 10) == Sample(requests=0, errors=0)


def test_a_query_that_fails_is_the_source_s_error(database):
    with pytest.raises(PaiMetricsError, match=r"answers: .*no such table"):
        make_source({**database, "sql": "select 1 from nowhere"}, None).sample("a", 0, 1)
    with pytest.raises(PaiMetricsError, match="no column score, only requests"):
        make_source({**database, "sql": "select 1 as requests"}, None).check()
    with pytest.raises(PaiMetricsError, match="requests is 'many', not a number"):
        make_source({**database, "sql": "select 'many' as requests"}, None).sample("a", 0, 1)


def test_what_nobody_asked_for_may_be_anything_and_what_is_no_number_is_not_known(database):
    query = "select 8 as requests, 2 as errors, 9e999 as p95_ms, 9e999 as p50_ms, 'eu' as region, null as score"
    source = make_source({**database, "sql": query}, None)
    source.check()
    assert source.sample("a", 2, 10) == Sample(requests=8, errors=2)


def test_a_source_that_counts_no_requests_is_refused_unless_it_only_adds_values(database):
    uncounted = {**database, "sql": "select 0.9 as score, 2 as errors"}
    for ask in (lambda source: source.check(), lambda source: source.sample("a", 0, 1)):
        with pytest.raises(PaiMetricsError, match="requests are not counted: there is only score, errors"):
            ask(make_source(uncounted, None))
    source = make_source([{**database, "values": []}, uncounted], None)
    source.check()
    assert source.sample("a", 2, 10).values == {"score": 0.9}


def uncounted(service, start, end):
    return {"errors": 0, "requests_total": 9}


def odd(service, start, end):
    return {
        "requests": math.nan,
        "errors": 0.0,
        "p95_ms": math.inf,
        "p99_ms": 3,
        "accuracy": math.nan,
        "note": object(),
    }


def counted(service, start, end, *, errors=0):
    return {"requests": len(service) * int(end - start), "errors": errors, "p50_ms": 3, "accuracy": 0.9, "other": 1}


def broken(service, start, end):
    raise OSError("no route")


def path_of(function):
    return f"{function.__module__}.{function.__name__}"


def test_a_function_counts():
    source = make_source({"kind": "callable", "function": path_of(counted), "options": {"errors": 1}}, None)
    assert source.sample("abc", 0, 10) == Sample(requests=30, errors=1, quantiles={50: 3})
    with pytest.raises(PaiMetricsError, match="OSError: no route"):
        make_source({"kind": "callable", "function": path_of(broken)}, None).sample("abc", 0, 1)
    with pytest.raises(PaiMetricsError, match="requests are not counted: there is only errors, requests_total"):
        make_source({"kind": "callable", "function": path_of(uncounted)}, None).sample("abc", 0, 1)
    unknown = make_source({"kind": "callable", "function": path_of(odd), "values": ["accuracy"]}, None)
    assert unknown.sample("abc", 0, 1) == Sample(requests=0, errors=0, quantiles={99: 3})
    impossible = {"kind": "callable", "function": path_of(counted), "options": {"errors": 9}}
    with pytest.raises(PaiMetricsError, match="errors: 9"):
        make_source(impossible, None).sample("a", 0, 1)


def test_of_several_the_first_counts_and_the_others_add_values(database):
    accuracy = {"kind": "callable", "function": path_of(counted), "values": ["accuracy"]}
    source = make_source([database, accuracy], None)
    assert source.sample("a", 2, 10).values == {"score": 0.5, "accuracy": 0.9}
    assert source.sample("a", 2, 10).requests == 8
    check_names(source, ["accuracy", "score", "error_rate", "p99_ms"])
    with pytest.raises(PaiConfigError, match=r"checks: 'beauty' is not allowed; .*accuracy"):
        check_names(source, ["beauty"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "metrics: "),
        ("sql", "metrics: 'sql'"),
        ({"kind": "sql", "conn_id": "x"}, r"metrics\['sql'\]: ''"),
        ({"kind": "sql", "conn_id": " ", "sql": "select 1"}, r"metrics\['conn_id'\]"),
        ({"kind": "callable", "function": "no.such.thing"}, r"metrics\['function'\]: 'no.such.thing'"),
        ({"kind": "callable", "function": "math.pi"}, "import path of a function"),
        ({"kind": "cloudmonitor", "quantile_metrics": {"p50": "x"}}, "quantile_metrics"),
    ],
)
def test_bad_declarations_are_refused(given, message):
    with pytest.raises(PaiConfigError, match=message):
        make_source(given, None)
