from __future__ import annotations

import json
import time

import pytest
from alibabacloud_cms20190101 import models
from alibabacloud_cms20190101.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException

from tests.conftest import sdk_config
from tests.emulator.serving import Eas, calling


@pytest.fixture
def eas(pai):
    eas = Eas(pai)
    yield eas
    eas.clean_up()


@pytest.fixture
def monitor(pai):
    return Client(sdk_config(pai))


def query(kind, metric, service, **fields):
    fields = {"namespace": "acs_pai_eas", "period": "1", **fields}
    return kind(metric_name=metric, dimensions=json.dumps([{"serviceName": service}]), **fields)


def points(monitor, metric, service, **fields):
    body = monitor.describe_metric_list(query(models.DescribeMetricListRequest, metric, service, **fields)).body
    assert (body.code, body.success) == ("200", True)
    return json.loads(body.datapoints)


def test_metrics_are_what_was_counted(eas, monitor):
    name = eas.create(eas.config("count"))
    service = eas.describe(name)
    before = time.time() - 1
    with calling(service.internet_endpoint, service.access_token) as call:
        for path, count in (("", 30), ("/status/404", 5), ("/status/500", 3), ("/slow?0.05", 2)):
            for _ in range(count):
                call(path)
    with calling(service.internet_endpoint, "wrong") as call:
        call()
    done = time.time()
    time.sleep(max(0.0, int(done) + 1.05 - time.time()))
    window = {"start_time": str(int(before * 1000))}

    def total(metric):
        return round(sum(point["Average"] for point in points(monitor, metric, name, **window)))

    assert total("qps_total") == 40
    assert [total(f"rps_status_{kind}xx") for kind in (2, 4, 5)] == [32, 5, 3]
    times = points(monitor, "rt", name, **window)
    assert all(100 < point["Average"] < 1_000_000 for point in times), "microseconds"
    slowest = max(point["Average"] for point in points(monitor, "rt_tp100", name, **window))
    assert 45_000 < slowest < 500_000
    ratios = points(monitor, "rps_status_2xx_ratio", name, **window)
    assert all(0 < point["Average"] <= 100 for point in ratios)
    last = monitor.describe_metric_last(query(models.DescribeMetricLastRequest, "qps_total", name)).body
    (newest,) = json.loads(last.datapoints)
    assert newest["serviceName"] == name
    assert newest["timestamp"] % 1000 == 0


def test_a_period_has_its_point_only_when_it_is_over(eas, monitor):
    name = eas.create(eas.config("period"))
    service = eas.describe(name)
    with calling(service.internet_endpoint, service.access_token) as call:
        call()
    seen = points(monitor, "qps_total", name, period="3600", start_time="0")
    assert seen == []
    deadline = time.time() + 3
    while not any(point["Average"] for point in points(monitor, "qps_total", name)):
        assert time.time() < deadline
        time.sleep(0.05)
    stamps = [point["timestamp"] for point in points(monitor, "qps_total", name)]
    assert stamps == sorted(set(stamps))
    assert stamps[-1] + 1000 <= time.time() * 1000


def test_pages_follow_the_token(eas, monitor):
    name = eas.create(eas.config("pages"))
    time.sleep(3.1)
    first = monitor.describe_metric_list(query(models.DescribeMetricListRequest, "qps_total", name, length="1")).body
    second = monitor.describe_metric_list(
        query(models.DescribeMetricListRequest, "qps_total", name, length="1", next_token=first.next_token)
    ).body
    stamps = [json.loads(body.datapoints)[0]["timestamp"] for body in (first, second)]
    assert stamps[1] == stamps[0] + 1000


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"namespace": "acs_other"}, 404),
        ({"metric": "no_such"}, 404),
        ({"period": "7"}, 400),
        ({"start_time": "yesterday"}, 400),
        ({"length": "5000"}, 400),
    ],
)
def test_wrong_queries_are_refused(monitor, fields, status):
    metric = fields.pop("metric", "qps_total")
    with pytest.raises(ClientException) as caught:
        monitor.describe_metric_last(query(models.DescribeMetricLastRequest, metric, "x", **fields))
    assert caught.value.status_code == status


def test_the_metrics_are_listed_with_units_and_dimensions(monitor):
    request = models.DescribeMetricMetaListRequest(namespace="acs_pai_eas", page_size=100)
    body = monitor.describe_metric_meta_list(request).body
    metas = {meta.metric_name: meta for meta in body.resources.resource}
    assert body.total_count == str(len(metas))
    assert metas["rt"].unit == "us"
    assert metas["qps_total"].dimensions == "userId,serviceName"
    assert {"rps_status_2xx", "rps_status_4xx", "rps_status_5xx", "rps_status_5xx_ratio"} <= metas.keys()
