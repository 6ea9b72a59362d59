from __future__ import annotations

import json
from pathlib import Path

import pytest
from alibabacloud_eas20210701 import models
from alibabacloud_tea_openapi.exceptions import ClientException

from airflow_provider_pai.emulator import Emulator
from tests.emulator.pai_sdk import until
from tests.emulator.serving import BUCKET, Eas, calling, refusal


@pytest.fixture
def eas(pai):
    eas = Eas(pai)
    yield eas
    eas.clean_up()


def test_a_service_passes_through_the_documented_statuses_and_serves(eas):
    config = eas.config("one", instance=2)
    answer = eas.client.create_service(
        models.CreateServiceRequest(body=json.dumps(config), labels={"team": "a"}, workspace_id="77")
    ).body
    eas.names.append(answer.service_name)
    assert (answer.status, answer.region) == ("Creating", eas.region)

    service = eas.wait(answer.service_name)

    assert (service.running_instance, service.total_instance, service.pending_instance) == (2, 2, 0)
    assert (service.current_version, service.latest_version, service.workspace_id) == (1, 1, "77")
    assert [(label.label_key, label.label_value) for label in service.labels] == [("team", "a")]
    assert json.loads(service.service_config) == config
    assert service.internet_endpoint == answer.internet_endpoint
    events = eas.client.describe_service_event(eas.region, service.service_name, models.DescribeServiceEventRequest())
    reasons = [event.reason for event in events.body.events if event.reason != "InstanceChanged"]
    assert reasons == ["Running", "Waiting", "Creating"]
    with calling(service.internet_endpoint, service.access_token) as call:
        pids = {json.loads(call().data)["pid"] for _ in range(8)}
    assert len(pids) == 2


def test_ports_paths_and_environment_are_those_of_the_instance(eas):
    eas.bucket.put_object("model/model.txt", b"weights")
    config = eas.config("env")
    config["storage"].append({"mount_path": "/mnt/model", "oss": {"path": f"oss://{BUCKET}/model/", "readOnly": True}})
    config["containers"][0]["env"].append({"name": "MODEL_DIR", "value": "/mnt/model"})

    service = eas.describe(eas.create(config))

    with calling(service.internet_endpoint, service.access_token) as call:
        assert json.loads(call().data)["model"] == "weights"
    instance = eas.client.list_service_instances(
        eas.region, service.service_name, models.ListServiceInstancesRequest()
    ).body.instances[0]
    assert (instance.status, instance.ready_processes, instance.restart_count) == ("Running", 1, 0)
    assert instance.instance_port != 8000
    logs = eas.client.describe_service_log(
        eas.region, service.service_name, models.DescribeServiceLogRequest(keyword="serving")
    ).body.logs
    assert logs[0].endswith(f"serving on {instance.instance_port}")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"metadata": {"name": "Bad-Name"}}, "metadata.name"),
        ({"metadata": {"name": "ab"}}, "metadata.name"),
        ({"containers": [{"script": "true", "port": 8080}]}, "port"),
        ({"containers": [{"script": "true", "port": 9090}]}, "port"),
        ({"containers": []}, "containers"),
        ({"contianers": []}, "contianers"),
        ({"metadata": {"instanse": 1}}, "metadata.instanse"),
        ({"metadata": {"instance": -1}}, "metadata.instance"),
        ({"storage": [{"mount_path": "/m", "nfs": {}}]}, "storage"),
        ({"metadata": {"group": "No"}}, "metadata.group"),
    ],
)
def test_a_wrong_service_json_is_refused_with_the_name_of_the_parameter(eas, change, named):
    config = eas.config("wrong")
    for key, value in change.items():
        config[key] = {**config["metadata"], **value} if key == "metadata" else value
    with pytest.raises(ClientException) as caught:
        eas.create(config)
    assert (caught.value.status_code, caught.value.code) == (400, "InvalidParameter")
    assert named in caught.value.message


def test_unknown_services_and_taken_names_have_their_codes(eas):
    name = eas.create(eas.config("taken"))
    assert refusal(eas.create, eas.config("taken"))[0] == 409
    assert refusal(eas.describe, "nobody") == (404, "InvalidService.NotFound")
    assert refusal(eas.client.describe_group, eas.region, "nobody") == (404, "InvalidGroup.NotFound")
    assert refusal(eas.client.describe_service, "cn-nowhere", name)[0] == 404
    assert refusal(eas.client.start_service, eas.region, name)[0] == 409
    assert refusal(lambda: eas.release(name, weight=1))[0] == 400
    assert refusal(eas.create, {**eas.config("second"), "name": "another"})[0] == 400


def test_the_name_may_stand_at_the_top_level(eas):
    config = eas.config("top")
    config["name"] = config["metadata"].pop("name")
    assert eas.create(config, wait=False) == eas.name("top")


def test_lists_filter_by_name_group_label_and_status(eas):
    first = eas.create(eas.config("l1"), labels={"a": "1", "b": "2"})
    second = eas.create(eas.config("l2", group=eas.name("lg")), labels={"a": "1"})

    def found(**query):
        body = eas.client.list_services(models.ListServicesRequest(filter=eas.prefix, **query)).body
        return {service.service_name for service in body.services}, body.total_count

    assert found() == ({first, second}, 2)
    assert found(label={"a": "1"}) == ({first, second}, 2)
    assert found(label={"a": "1", "b": "2"}) == ({first}, 1)
    assert found(group_name=eas.name("lg")) == ({second}, 1)
    assert found(service_status="Stopped") == (set(), 0)
    page, total = found(page_size=1, page_number=2)
    assert (len(page), total) == (1, 2)
    groups = eas.client.list_groups(models.ListGroupsRequest(filter=eas.prefix)).body.groups
    assert [group.name for group in groups] == [eas.name("lg")]


def test_labels_are_added_changed_and_removed(eas):
    name = eas.create(eas.config("labels"), wait=False, labels={"a": "1"})
    eas.client.update_service_label(eas.region, name, models.UpdateServiceLabelRequest(labels={"a": "2", "b": "x"}))
    assert {label.label_key: label.label_value for label in eas.describe(name).labels} == {"a": "2", "b": "x"}
    eas.client.delete_service_label(eas.region, name, models.DeleteServiceLabelRequest(keys=["a"]))
    assert [label.label_key for label in eas.describe(name).labels] == ["b"]


def test_the_safety_lock_refuses_stop_and_delete(eas):
    name = eas.create(eas.config("locked"))
    lock = models.UpdateServiceSafetyLockRequest
    eas.client.update_service_safety_lock(eas.region, name, lock(lock="dangerous"))
    assert eas.describe(name).safety_lock == "dangerous"
    assert refusal(eas.client.stop_service, eas.region, name)[0] == 403
    assert refusal(eas.client.delete_service, eas.region, name)[0] == 403
    eas.client.restart_service(eas.region, name)
    eas.client.update_service_safety_lock(eas.region, name, lock(lock="none"))
    eas.wait(name)
    eas.client.stop_service(eas.region, name)
    eas.wait(name, "Stopped")


def test_stop_start_delete(eas):
    name = eas.create(eas.config("life"))
    eas.client.stop_service(eas.region, name)
    stopped = eas.wait(name, "Stopped")
    assert (stopped.running_instance, stopped.total_instance) == (0, 0)
    assert refusal(eas.client.stop_service, eas.region, name)[0] == 409
    with calling(stopped.internet_endpoint, stopped.access_token) as call:
        assert call().status == 503
    eas.client.start_service(eas.region, name)
    running = eas.wait(name)
    with calling(running.internet_endpoint, running.access_token) as call:
        assert call().status == 200
    eas.client.delete_service(eas.region, name)
    with pytest.raises(ClientException, match="does not exist"):
        eas.wait(name, "never", seconds=5)


def test_a_group_lives_from_its_first_service_to_its_last(eas):
    first, second, group = eas.group_pair()
    assert (group.traffic_mode, group.cluster_id) == ("auto", eas.region)
    assert group.access_token != eas.describe(first).access_token
    assert eas.describe(first).service_group == group.name
    for name in (first, second):
        eas.client.describe_group(eas.region, group.name)
        eas.client.delete_service(eas.region, name)
        with pytest.raises(ClientException):
            eas.wait(name, "never", seconds=5)
    assert refusal(eas.client.describe_group, eas.region, group.name)[0] == 404


def test_log_times_must_have_the_documented_form(eas):
    name = eas.create(eas.config("times"), wait=False)
    request = models.DescribeServiceLogRequest(start_time="2026-11-22T06:51:18Z")
    assert refusal(eas.client.describe_service_log, eas.region, name, request) == (400, "InvalidParameter")


def test_a_restarted_emulator_runs_its_services_again(tmp_path: Path):
    with Emulator(tmp_path, dwell=0.01, grace=0.5) as pai:
        eas = Eas(pai)
        running, stopped, group = eas.group_pair()
        eas.traffic_mode(group.name, "customized")
        eas.release(running, traffic_state="grouping", weight=100)
        eas.client.stop_service(eas.region, stopped)
        eas.wait(stopped, "Stopped")
        token = eas.describe(running).access_token
    with Emulator(tmp_path, dwell=0.01, grace=0.5) as pai:
        again = Eas(pai)
        service = again.wait(running)
        assert (service.access_token, service.weight, service.traffic_state) == (token, 100, "grouping")
        assert again.describe(stopped).status == "Stopped"
        after = again.client.describe_group(again.region, group.name).body
        assert (after.traffic_mode, after.access_token) == ("customized", group.access_token)
        with calling(after.internet_endpoint, after.access_token) as call:
            assert json.loads(call().data)["version"] == "a"


def test_lists_may_lag(tmp_path):
    with Emulator(tmp_path, dwell=0.01, list_lag=0.6) as pai:
        eas = Eas(pai)
        listed = lambda **query: eas.client.list_services(models.ListServicesRequest(**query)).body.services  # noqa: E731
        name = eas.create(eas.config("late"), wait=False, labels={"a": "1"})
        assert listed() == []
        assert eas.describe(name).service_name == name
        until(lambda: listed(label={"a": "1"}), bool)
        eas.client.update_service_label(eas.region, name, models.UpdateServiceLabelRequest(labels={"a": "2"}))
        assert [service.service_name for service in listed(label={"a": "1"})] == [name]
        until(lambda: listed(label={"a": "2"}), bool)
        eas.client.delete_service(eas.region, name)
        until(lambda: name in pai.services.eas.services, lambda there: not there)
        assert listed()[0].service_name == name
        until(listed, lambda services: services == [])
