"""Mirrored traffic and the autoscaler of EAS, by the real SDK."""

from __future__ import annotations

import time

import pytest
from alibabacloud_eas20210701 import models

from airflow_provider_pai.emulator import Emulator
from tests.emulator.serving import Eas, calling, refusal


@pytest.fixture
def eas(pai):
    eas = Eas(pai)
    yield eas
    eas.clean_up()


def counted(pai, name):
    """Return how many requests a service has had, by the first digit of their status."""
    series = pai.services.eas.services[name].series
    return series.window(series.since, int(time.time()) - series.since + 1)


def until(check, seconds=10.0):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)


def mirror(eas, source, target, ratio):
    request = models.CreateServiceMirrorRequest(target=[target], ratio=ratio)
    return eas.client.create_service_mirror(eas.region, source, request).body.message


def test_a_share_is_copied_and_its_answers_are_dropped(eas, pai):
    source, target = eas.create(eas.config("a", version="a")), eas.create(eas.config("b", version="b"))
    message = mirror(eas, source, target, 30)
    assert message == f"Traffic mirroring is ON for service [{source}] in region [{eas.region}], ratio [30%]"
    described = eas.client.describe_service_mirror(eas.region, source).body
    assert (described.service_name, described.target, described.ratio) == (source, target, "30")
    service = eas.describe(source)
    with calling(service.internet_endpoint, service.access_token) as call:
        for _ in range(50):
            assert b'"version": "a"' in call("/x", "POST", b"{}").data
        call("/status/500", "POST", b"{}")
    until(lambda: counted(pai, target).requests == 15)
    until(lambda: counted(pai, source).requests == 51)

    request = models.UpdateServiceMirrorRequest(target=[target], ratio=100)
    eas.client.update_service_mirror(eas.region, source, request)
    with calling(service.internet_endpoint, service.access_token) as call:
        assert call("/status/503").status == 503
    until(lambda: counted(pai, target).classes[5] == 1)
    eas.client.delete_service_mirror(eas.region, source)
    with calling(service.internet_endpoint, service.access_token) as call:
        call("/")
    assert refusal(eas.client.describe_service_mirror, eas.region, source) == (404, "InvalidMirror.NotFound")
    assert counted(pai, target).requests == 16


def test_a_slow_or_missing_target_is_nothing_to_the_caller(eas):
    source, target = eas.create(eas.config("a")), eas.create(eas.config("b"))
    mirror(eas, source, target, 100)
    eas.client.stop_service(eas.region, target)
    service = eas.describe(source)
    with calling(service.internet_endpoint, service.access_token) as call:
        assert call("/").status == 200
        eas.client.delete_service(eas.region, target)
        until(lambda: target not in eas.pai.services.eas.services)
        assert call("/").status == 200


def test_bad_mirrors_are_refused(eas):
    source, target = eas.create(eas.config("a"), wait=False), eas.create(eas.config("b"), wait=False)
    for targets, ratio in (([source], 10), (["nobody"], 10), ([], 10), ([target], 101), ([target], -1)):
        request = models.CreateServiceMirrorRequest(target=targets, ratio=ratio)
        assert refusal(eas.client.create_service_mirror, eas.region, source, request)[0] == 400
    mirror(eas, source, target, 10)
    request = models.CreateServiceMirrorRequest(target=[target], ratio=10)
    assert refusal(eas.client.create_service_mirror, eas.region, source, request)[0] == 409


def autoscaler(least, most, threshold, down=300):
    settings = {
        "min": least,
        "max": most,
        "scaleStrategies": [{"metricName": "qps", "threshold": threshold}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": down}},
    }
    return models.CreateServiceAutoScalerRequest().from_map(settings)


def test_instances_follow_the_requests():
    with Emulator(dwell=0.01, grace=0.5, minute=2) as pai:
        eas = Eas(pai)
        name = eas.create(eas.config("scaled"))
        eas.client.create_service_auto_scaler(eas.region, name, autoscaler(1, 3, 20, down=60))
        service = eas.describe(name)
        with calling(service.internet_endpoint, service.access_token) as call:
            end = time.monotonic() + 15
            while eas.describe(name).running_instance < 3:
                assert time.monotonic() < end
                call("/")
        until(lambda: eas.describe(name).total_instance == 1)
        assert eas.describe(name).latest_version == 1
        described = eas.client.describe_service_auto_scaler(eas.region, name).body
        assert (described.min_replica, described.max_replica) == (1, 3)
        assert described.scale_strategies[0].metric_name == "qps"
        assert described.current_metrics[0].metric_name == "qps"


def test_a_minimum_holds_at_once_and_a_removed_autoscaler_leaves_the_number(eas):
    eas.pai.account.change_settings({"minute": 2})
    name = eas.create(eas.config("least"))
    eas.client.create_service_auto_scaler(eas.region, name, autoscaler(2, 3, 1000))
    until(lambda: eas.describe(name).running_instance == 2)
    eas.client.delete_service_auto_scaler(eas.region, name)
    assert eas.describe(name).total_instance == 2
    assert refusal(eas.client.describe_service_auto_scaler, eas.region, name) == (404, "InvalidAutoScaler.NotFound")
    eas.pai.account.change_settings({"minute": 60})


def test_bad_autoscalers_are_refused(eas):
    name = eas.create(eas.config("bad"), wait=False)
    for request in (autoscaler(3, 2, 10), autoscaler(-1, 2, 10), models.CreateServiceAutoScalerRequest(min=1, max=2)):
        assert refusal(eas.client.create_service_auto_scaler, eas.region, name, request)[0] == 400
    eas.client.create_service_auto_scaler(eas.region, name, autoscaler(1, 2, 10))
    assert refusal(eas.client.create_service_auto_scaler, eas.region, name, autoscaler(1, 2, 10))[0] == 409
