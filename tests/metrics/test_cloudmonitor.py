from __future__ import annotations

import json
import time

import pytest

from airflow_provider_pai.canary.samples import Sample
from airflow_provider_pai.exceptions import PaiConfigError, PaiMetricsError, PaiNotFoundError
from airflow_provider_pai.hooks.cloudmonitor import CloudMonitorHook, Metric
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
    """Answers of CloudMonitor by metric; each metric that has one is there."""
    answers: dict[str, list[tuple[int, float]]] = {}

    def read(self, namespace, metric, dimensions, *, period, start, end):
        return [{"timestamp": at, "Average": value} for at, value in answers[metric]]

    def told(self, namespace):
        there = namespace == "acs_learn"
        return [Metric(name, "us", ("userId", "serviceName"), (60,), ("Average",)) for name in answers if there]

    monkeypatch.setattr(CloudMonitorHook, "points", read)
    monkeypatch.setattr(CloudMonitorHook, "metrics", told)
    return answers


def test_rates_times_period_are_counts(points):
    points["qps_total"] = [(0, 0.5), (60_000, 2.0)]
    points["rps_status_5xx"] = [(60_000, 0.1), (120_000, 9.0)]
    points["rt_tp95"] = [(0, 10_000), (60_000, 20_000)]
    assert CloudMonitorMetrics(EasHook()).sample("s", 0, 600) == Sample(requests=150, errors=6, p95_ms=18.0)


def test_points_of_several_resource_groups_are_added(points):
    points["qps_total"], points["rps_status_5xx"] = [(0, 0.5), (0, 1.0)], []
    assert CloudMonitorMetrics(EasHook()).sample("s", 0, 600) == Sample(requests=90, errors=0)


def test_percentiles_are_those_that_the_account_has(points):
    points["qps_total"], points["rps_status_5xx"] = [(0, 1.0)], []
    points["rt_tp80"], points["rt_TP99"], points["rt_tp100"], points["http_8"] = ([(0, 4000.0)] for _ in range(4))
    assert CloudMonitorMetrics(EasHook()).sample("s", 0, 600).quantiles == {80: 4.0, 99: 4.0}
    assert CloudMonitorMetrics(EasHook(), quantile_metrics={}).sample("s", 0, 600).quantiles == {}
    given = CloudMonitorMetrics(EasHook(), quantile_metrics={"50": "rt_tp80"}, latency_unit_ms=1)
    assert given.sample("s", 0, 600).quantiles == {50: 4000.0}
    assert "p50_ms" in given.names


def test_names_of_another_page_are_found(points):
    points["QueryPerSecondTotal"], points["ResponsePerSecondWithStatusCode5xx"] = [(0, 1.0)], [(0, 0.5)]
    assert CloudMonitorMetrics(EasHook()).sample("s", 0, 600) == Sample(requests=60, errors=30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"requests_metric": "qps"}, "has no qps with .*acs_learn: http_8, qps_total, rps_status_5xx"),
        ({"errors_metric": "e"}, "has no qps_total or QueryPerSecondTotal with e; there are"),
        ({"namespace": "acs_x"}, "there are: acs_x: nothing.*requests_metric"),
        ({"quantile_metrics": {"50": "rt_tp50"}}, "has no rt_tp50; there are: acs_learn: http_8"),
        ({"period": 30}, "qps_total has points for each 60 seconds, not 30"),
        ({"dimension": "service"}, "no dimension service, but userId, serviceName: set metrics"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(points, options, message):
    points["qps_total"], points["rps_status_5xx"], points["http_8"] = [], [], []
    with pytest.raises(PaiMetricsError, match=message):
        CloudMonitorMetrics(EasHook(), **options).check()


@pytest.mark.parametrize("average", [{}, {"Average": float("nan")}, {"Average": float("inf")}, {"Average": 10**400}])
def test_a_point_without_any_statistic_is_an_error_of_the_source(points, monkeypatch, average):
    points["qps_total"], points["rps_status_5xx"] = [], []
    monkeypatch.setattr(CloudMonitorHook, "points", lambda *_, **__: [{"timestamp": 0, "P50": 1.0, **average}])
    with pytest.raises(PaiMetricsError, match="has none of Maximum, Average, Value, Sum, but timestamp, P50"):
        CloudMonitorMetrics(EasHook(), statistic="Maximum").sample("s", 0, 600)


@pytest.fixture
def world(pai):
    """Turn switches of the account."""
    yield pai.account.change_world
    pai.account.world = type(pai.account.world)()


@pytest.mark.parametrize("statistic", ["Average", "Value", "Maximum"])
@pytest.mark.parametrize("namespace", ["acs_pai_eas", "acs_learn"])
def test_whatever_the_cloud_calls_it_is_found_out(world, namespace, statistic):
    world({"cms_namespace": namespace, "cms_statistics": statistic})
    source = make_source(METRICS, EasHook())
    source.check()
    assert source.found.namespace == namespace
    assert set(source.found.latencies) == {5, 80, 90, 95, 99}


def test_a_refusal_in_a_body_with_status_200_is_an_error(world):
    world({"cms_refusal": "body"})
    points = CloudMonitorHook().points("acs_none", "x", [], period=60, start=0, end=60)
    with pytest.raises(PaiNotFoundError, match="DescribeMetricList: Namespace 'acs_none' does not exist"):
        next(points)


def test_a_rollout_whose_metrics_do_not_exist_makes_nothing(bucket):
    group = ServiceGroup(bucket.bucket_name)
    arguments = {**group.arguments(group.model(20)), "metrics": {**METRICS, "requests_metric": "qps"}}
    with pytest.raises(PaiMetricsError, match=r"has no qps with .* acs_learn: nothing"):
        Task(lambda: EasCanaryDeployOperator(**arguments)).run()
    assert group.state() == {}
    leases = bucket.list_objects(prefix=f".pai/rollouts/{group.name}/").object_list
    assert json.loads(bucket.get_object(leases[-1].key).read())["released"]


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
