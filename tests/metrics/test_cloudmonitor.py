from __future__ import annotations

import time

import pytest

from airflow_provider_pai.canary.analysis import Sample
from airflow_provider_pai.exceptions import PaiConfigError, PaiNotFoundError
from airflow_provider_pai.hooks.cloudmonitor import CloudMonitorHook
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.metrics.base import make_source
from airflow_provider_pai.metrics.cloudmonitor import CloudMonitorMetrics
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator
from tests.group import METRICS, People, ServiceGroup
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


def test_counts_what_the_gateway_counted(bucket):
    group = ServiceGroup(bucket.bucket_name)
    artifact = group.model(20, fail=0.5)
    made = Task(lambda: EasCanaryDeployOperator(**group.arguments(artifact))).run()["service"]
    time.sleep(1.1)
    start = time.time() - 1
    with People(group) as people:
        time.sleep(1.5)
    time.sleep(1.2)
    source = make_source(METRICS, EasHook())
    source.check()
    sample = source.sample(made, start, time.time())
    counts = [sum(n for (_, status), n in people.counts.items() if status in kind) for kind in ((200, 500), (500,))]
    assert [sample.requests, sample.errors] == counts
    assert 0.1 < sample.p95_ms < 2000
    assert source.sample(made, start - 60, start - 59) == Sample(requests=0, errors=0)
    group.clean_up()


def test_two_services_are_counted_over_the_same_periods_whenever_they_are_asked(bucket):
    """A period that ends between two questions would give requests to the second service alone."""
    group = ServiceGroup(bucket.bucket_name)
    made = Task(lambda: EasCanaryDeployOperator(**group.arguments(group.model(20)))).run()["service"]
    source = make_source(METRICS, EasHook())
    with People(group):
        time.sleep(2.2)
        now = time.time()
        first = source.sample(made, now - 2, now)
        time.sleep(1.1)
        assert source.sample(made, now - 2, now) == first
    assert first.requests
    group.clean_up()


@pytest.fixture
def points(monkeypatch):
    """Answers of CloudMonitor, by metric."""
    answers: dict[str, list[tuple[int, float]]] = {}

    def read(self, namespace, metric, dimensions, *, period, start, end):
        if metric not in answers:
            raise PaiNotFoundError("cms", "DescribeMetricList", "no such metric", "ResourceNotFound", 404)
        return [{"timestamp": at, "Average": value} for at, value in answers[metric]]

    monkeypatch.setattr(CloudMonitorHook, "points", read)
    return answers


def test_rates_times_period_are_counts(points):
    points["qps_total"] = [(0, 0.5), (60_000, 2.0)]
    points["rps_status_5xx"] = [(60_000, 0.1), (120_000, 9.0)]
    points["rt_tp95"] = [(0, 10_000), (60_000, 20_000)]
    source = CloudMonitorMetrics(EasHook(), user_id="1")
    assert source.sample("s", 0, 600) == Sample(requests=150, errors=6, p95_ms=18.0)


def test_a_percentile_that_the_cloud_does_not_know_is_left_out(points):
    points["qps_total"], points["rps_status_5xx"] = [(0, 1.0)], []
    assert CloudMonitorMetrics(EasHook(), user_id="1").sample("s", 0, 600) == Sample(requests=60, errors=0)


def test_a_count_that_the_cloud_does_not_know_is_an_error(points):
    with pytest.raises(PaiNotFoundError):
        CloudMonitorMetrics(EasHook(), requests_metric="qps").check()


def test_options_are_checked():
    assert make_source({"kind": "cloudmonitor", "period": "5"}, EasHook()).period == 5
    for config in (
        {},
        {"kind": "tea leaves"},
        {"kind": "cloudmonitor", "perod": 5},
        {"kind": "cloudmonitor", "period": 0},
    ):
        with pytest.raises(PaiConfigError, match="metrics"):
            make_source(config, EasHook())
