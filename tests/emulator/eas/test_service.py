"""EAS services at work: updates, rollbacks, crashes, checks."""

from __future__ import annotations

import json
import sys
import threading
import time

import pytest
from alibabacloud_eas20210701 import models

from tests.emulator.serving import Eas, calling, refusal


@pytest.fixture
def eas(pai):
    eas = Eas(pai)
    yield eas
    eas.clean_up()


def under_load(url, token, stop):
    """Call an endpoint from four threads until told to stop; return the statuses and versions seen."""
    seen = []

    def run():
        with calling(url, token) as call:
            while not stop.is_set():
                response = call("/slow?0.005", "POST", b"x")
                seen.append((response.status, json.loads(response.data).get("version")))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    return seen, threads


def test_update_and_rollback_fail_no_request_under_load(eas):
    name = eas.create(eas.config("roll", version="1"))
    service = eas.describe(name)
    stop = threading.Event()
    seen, threads = under_load(service.internet_endpoint, service.access_token, stop)

    change = {"containers": eas.config("roll", version="2")["containers"]}
    eas.update(name, change)
    assert eas.describe(name).status == "Updating"
    after = eas.wait(name)
    assert (after.current_version, after.latest_version) == (2, 2)
    time.sleep(0.1)
    eas.client.update_service_version(eas.region, name, models.UpdateServiceVersionRequest(version=1))
    back = eas.wait(name)
    time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()

    assert (back.current_version, back.latest_version) == (1, 2)
    assert {status for status, _ in seen} == {200}
    versions = [version for _, version in seen]
    assert versions[0] == "1"
    assert "2" in versions
    assert versions[-1] == "1"
    listed = eas.client.list_service_versions(eas.region, name, models.ListServiceVersionsRequest()).body
    assert [json.loads(item.service_config)["containers"][0]["env"][0]["value"] for item in listed.versions] == [
        "2",
        "1",
    ]
    assert refusal(
        eas.client.update_service_version, eas.region, name, models.UpdateServiceVersionRequest(version=2)
    ) == (400, "InvalidParameter")


def test_scaling_keeps_the_instances_that_stay(eas):
    name = eas.create(eas.config("scale"))
    service = eas.describe(name)
    with calling(service.internet_endpoint, service.access_token) as call:
        pid = json.loads(call().data)["pid"]
        eas.update(name, {"metadata": {"instance": 2}})
        assert eas.describe(name).status == "Scaling"
        assert eas.wait(name).running_instance == 2
        assert pid in {json.loads(call().data)["pid"] for _ in range(8)}


def test_scaling_during_an_update_leaves_no_old_instance(eas):
    name = eas.create(eas.config("both", version="1"))
    eas.update(name, {"containers": eas.config("both", version="2")["containers"]})
    eas.update(name, {"metadata": {"instance": 2}})
    service = eas.wait(name)
    assert (service.running_instance, service.current_version) == (2, 2)
    with calling(service.internet_endpoint, service.access_token) as call:
        assert {json.loads(call().data)["version"] for _ in range(10)} == {"2"}


def test_a_stopped_service_keeps_an_update_for_its_next_start(eas):
    name = eas.create(eas.config("later", version="1"))
    eas.client.stop_service(eas.region, name)
    eas.update(name, {"containers": eas.config("later", version="2")["containers"]})
    assert eas.wait(name, "Stopped").current_version == 2
    eas.client.start_service(eas.region, name)
    service = eas.wait(name)
    with calling(service.internet_endpoint, service.access_token) as call:
        assert json.loads(call().data)["version"] == "2"


def test_commands_in_a_row_end_with_the_last(eas):
    name = eas.create(eas.config("hasty", instance=2), wait=False)
    eas.client.stop_service(eas.region, name)
    eas.wait(name, "Stopped")
    eas.client.start_service(eas.region, name)
    eas.client.restart_service(eas.region, name)
    eas.client.stop_service(eas.region, name)
    stopped = eas.wait(name, "Stopped")
    assert (stopped.running_instance, stopped.total_instance) == (0, 0)
    eas.client.start_service(eas.region, name)
    assert eas.wait(name).running_instance == 2


def test_a_service_moves_between_groups(eas):
    name = eas.create(eas.config("move", group=eas.name("g1")))
    eas.release(name, traffic_state="grouping", weight=5)
    eas.update(name, {"metadata": {"group": eas.name("g2")}})
    service = eas.wait(name)
    assert (service.service_group, service.traffic_state) == (eas.name("g2"), "standalone")
    assert refusal(eas.client.describe_group, eas.region, eas.name("g1"))[0] == 404
    endpoints = eas.client.describe_group_endpoints(eas.region, eas.name("g2")).body
    assert endpoints.endpoints[0].internet_endpoints[0].endswith(f"/api/predict/{eas.name('g2')}")
    own = eas.client.describe_service_endpoints(eas.region, name).body
    assert own.access_token == service.access_token
    assert own.endpoints[0].internet_endpoints == [service.internet_endpoint]


def test_replace_puts_a_whole_configuration_in_place(eas):
    name = eas.create(eas.config("replace"), wait=False)
    config = eas.config("replace", version="9")
    del config["metadata"]["cpu"]
    eas.update(name, config, "replace")
    assert json.loads(eas.wait(name).service_config) == config


def test_a_new_version_that_crashes_leaves_the_old_one_serving(eas):
    name = eas.create(eas.config("bad"))
    broken = eas.config("bad")["containers"]
    broken[0]["script"] = "echo no model here; exit 7"
    eas.update(name, {"containers": broken})

    failed = eas.wait(name, "Failed")

    assert "not healthy: Instance crashed" in failed.message
    with calling(failed.internet_endpoint, failed.access_token) as call:
        assert call().status == 200
    request = models.DescribeServiceLogRequest(keyword="no model")
    logs = eas.client.describe_service_log(eas.region, name, request).body
    assert logs.total_count == 3
    eas.update(name, {"containers": eas.config("bad")["containers"]})
    assert eas.wait(name).current_version == 3


def test_a_service_that_never_starts_fails(eas):
    config = eas.config("never")
    config["containers"][0]["script"] = "exit 1"
    assert eas.wait(eas.create(config, wait=False), "Failed").running_instance == 0


def test_a_missing_bucket_fails_the_deployment(eas):
    config = eas.config("nobucket")
    config["storage"][0]["oss"]["path"] = "oss://no-such-bucket/x/"
    assert eas.wait(eas.create(config, wait=False), "Failed").total_instance == 1


def test_a_crashed_instance_is_started_again(eas):
    name = eas.create(eas.config("crash"))
    service = eas.describe(name)
    with calling(service.internet_endpoint, service.access_token) as call:
        assert call("/crash").status == 502
    deadline = time.monotonic() + 10
    while True:
        instance = eas.client.list_service_instances(
            eas.region, name, models.ListServiceInstancesRequest()
        ).body.instances[0]
        if (instance.restart_count, instance.status) == (1, "Running"):
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert instance.last_state == [{"exitCode": 3}]
    eas.wait(name)
    with calling(service.internet_endpoint, service.access_token) as call:
        assert call().status == 200
    request = models.DescribeServiceEventRequest(event_type="Warning")
    events = eas.client.describe_service_event(eas.region, name, request).body.events
    assert events[0].reason == "InstanceCrashed"


def test_checks_gate_traffic_and_restart(eas):
    config = eas.config("checks")
    check = {"http_get": {"path": "/health", "port": 8000}, "period_seconds": 0.05, "failure_threshold": 2}
    config["containers"][0] |= {"health_check": check}
    name = eas.create(config)
    service = eas.describe(name)
    with calling(service.internet_endpoint, service.access_token) as call:
        call("/sick")
        assert eas.wait(name, "Waiting").running_instance == 0
        assert call().status == 503
    config["containers"][0] |= {"liveness_check": check}
    eas.update(name, config, "replace")
    eas.wait(name)
    with calling(service.internet_endpoint, service.access_token) as call:
        call("/sick")
    deadline = time.monotonic() + 10
    while (
        eas.client.list_service_instances(eas.region, name, models.ListServiceInstancesRequest())
        .body.instances[0]
        .restart_count
        == 0
    ):
        assert time.monotonic() < deadline
        time.sleep(0.02)


GROWS = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

held = []

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/":
            held.append(b"x" * (300 << 20))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is looked at through /proc")
def test_an_instance_that_outgrows_its_memory_is_killed_and_starts_again(eas):
    eas.bucket.put_object("code/grows.py", GROWS.encode())
    config = eas.config("grows", memory=200)
    config["containers"][0]["script"] = "python /mnt/code/grows.py 8000"
    name = eas.create(config)
    service = eas.describe(name)
    with calling(service.internet_endpoint, service.access_token) as call:
        # It may be killed before it has answered.
        assert call("/grow").status in (200, 502)
    deadline, wanted = time.monotonic() + 20, models.ListServiceInstancesRequest()
    while True:
        (instance,) = eas.client.list_service_instances(eas.region, name, wanted).body.instances
        if instance.restart_count:
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert [state["exitCode"] for state in instance.last_state] == [137]
    eas.wait(name)
