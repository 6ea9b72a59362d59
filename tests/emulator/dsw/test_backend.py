"""Notebook instances through the real SDK."""

from __future__ import annotations

import json
import sys
import time
import uuid

import pytest
from alibabacloud_pai_dsw20220101 import models
from alibabacloud_tea_openapi.exceptions import ClientException

from airflow_provider_pai.emulator import Emulator
from tests.emulator.pai_sdk import alive, client, unknown_fields, until, wait_for


@pytest.fixture(scope="module")
def dsw(pai):
    return client(pai, "dsw")


def instance_request(command=None, **fields):
    body = {
        "InstanceName": f"n_{uuid.uuid4().hex[:8]}",
        "EcsSpec": "ecs.g6.large",
        "ImageUrl": "registry/image:1",
        **fields,
    }
    if command:
        body["UserCommand"] = {"OnStart": {"Content": command}}
    return models.CreateInstanceRequest().from_map(body)


def wait_instance(dsw, instance_id, *statuses):
    return until(
        lambda: dsw.get_instance(instance_id, models.GetInstanceRequest()).body, lambda found: found.status in statuses
    )


def run_instance(dsw, command=None, **fields):
    instance_id = dsw.create_instance(instance_request(command, **fields)).body.instance_id
    return wait_instance(dsw, instance_id, "Running", "Failed")


def stop_instance(dsw, instance_id, save_image=False):
    dsw.stop_instance(instance_id, models.StopInstanceRequest(save_image=save_image))
    return wait_instance(dsw, instance_id, "Stopped")


def names(dsw, **query):
    found = dsw.list_instances(models.ListInstancesRequest(page_size=100, **query)).body
    assert found.success
    return [instance.instance_name for instance in found.instances]


def statuses(dsw, instance_id):
    events = dsw.get_instance_events(instance_id, models.GetInstanceEventsRequest()).body.events
    return [event.partition("Instance is ")[2].strip(".") for event in events]


def test_an_instance_starts_runs_its_command_and_stops(dsw, bucket):
    dataset = {"Uri": f"oss://{bucket.bucket_name}.oss-cn-hangzhou-internal.aliyuncs.com/run/", "MountPath": "/mnt/run"}
    created = dsw.create_instance(
        instance_request(
            "cd /mnt/run && echo $GREETING > greeting.txt", Datasets=[dataset], EnvironmentVariables={"GREETING": "hi"}
        )
    ).body
    assert (created.success, created.http_status_code) == (True, 200)
    running = wait_instance(dsw, created.instance_id, "Running")
    assert running.instance_url
    assert running.jupyterlab_url.endswith("/lab/")
    assert (running.payment_type, running.accelerator_type) == ("PayAsYouGo", "CPU")
    assert running.datasets[0].mount_access == "RW"
    until(lambda: bucket.object_exists("run/greeting.txt"), bool)
    assert bucket.get_object("run/greeting.txt").read() == b"hi\n"
    # That the command has ended shows nowhere in the status.
    assert wait_instance(dsw, created.instance_id, "Running")
    stopped = stop_instance(dsw, created.instance_id)
    assert not stopped.instance_url
    assert statuses(dsw, created.instance_id) == [
        "Creating",
        "ResourceAllocating",
        "EnvPreparing",
        "Starting",
        "Running",
        "Stopping",
        "Stopped",
    ]


def test_a_stop_ends_the_command(dsw, tmp_path):
    out = tmp_path / "pids"
    running = run_instance(dsw, f"trap '' TERM; setsid sleep 300 & echo $$ $! > {out}; while :; do sleep 0.1; done")
    until(lambda: out.exists() and out.read_text(), bool)
    pids = [int(pid) for pid in out.read_text().split()]
    stop_instance(dsw, running.instance_id)
    assert not any(map(alive, pids))


def test_each_start_runs_the_command_and_finds_the_disk_as_it_was(dsw, bucket):
    dataset = {"Uri": f"oss://{bucket.bucket_name}/out/", "MountPath": "/mnt/out"}
    # Renamed: while an object is written anew it is not there.
    command = "echo x >> disk; wc -l < disk > /mnt/out/new; mv /mnt/out/new /mnt/out/starts"
    instance_id = run_instance(dsw, command, Datasets=[dataset]).instance_id
    until(lambda: bucket.object_exists("out/starts"), bool)
    stop_instance(dsw, instance_id)
    dsw.start_instance(instance_id)
    wait_instance(dsw, instance_id, "Running")
    until(lambda: bucket.get_object("out/starts").read().strip(), lambda starts: starts == b"2")


def test_an_instance_has_a_workspace_of_its_own_unless_a_dataset_is_mounted_there(dsw, bucket):
    def dataset(path):
        return {"Uri": f"oss://{bucket.bucket_name}{path}/", "MountPath": path}

    def told(*paths):
        """Start an instance, and once more: what it finds in its workspace then."""
        bucket.batch_delete_objects(["mnt/told/1", "mnt/told/2"])
        command = (
            "cd /mnt/workspace; echo x >> notes; n=$(wc -l < notes); ls > /mnt/told/new; mv /mnt/told/new /mnt/told/$n"
        )
        instance_id = run_instance(dsw, command, Datasets=[dataset(path) for path in ("/mnt/told", *paths)]).instance_id
        until(lambda: bucket.object_exists("mnt/told/1"), bool)
        stop_instance(dsw, instance_id)
        dsw.start_instance(instance_id)
        until(lambda: bucket.object_exists("mnt/told/2"), bool)
        stop_instance(dsw, instance_id)
        return bucket.get_object("mnt/told/2").read().decode().split(), bucket.object_exists("mnt/workspace/notes")

    assert told() == (["notes"], False)
    assert told("/mnt/workspace/data") == (["data", "notes"], False)
    assert told("/mnt/workspace") == (["data", "notes"], True)


def test_what_the_command_leaves_in_the_background_ends_with_the_instance(dsw, tmp_path):
    out = tmp_path / "pid"
    running = run_instance(dsw, f"nohup sleep 300 > /dev/null 2>&1 & echo $! > {out}")
    until(lambda: out.exists() and out.read_text(), bool)
    time.sleep(0.3)
    assert alive(int(out.read_text()))
    stop_instance(dsw, running.instance_id)
    assert not alive(int(out.read_text()))


def test_a_command_may_hold_its_instance_back(dsw, world, tmp_path):
    world(dsw_on_start="blocking")
    go = tmp_path / "go"
    instance_id = dsw.create_instance(instance_request(wait_for(go))).body.instance_id
    wait_instance(dsw, instance_id, "Starting")
    time.sleep(0.2)
    assert wait_instance(dsw, instance_id, "Starting", "Running").status == "Starting"
    go.touch()
    wait_instance(dsw, instance_id, "Running")


def set_timer(dsw, instance_id, **fields):
    request = models.CreateInstanceShutdownTimerRequest().from_map(fields)
    return dsw.create_instance_shutdown_timer(instance_id, request)


def test_a_timer_is_kept_lifted_and_ends_with_the_start_it_was_for(dsw):
    instance_id = run_instance(dsw).instance_id
    with pytest.raises(ClientException, match="has no shutdown timer"):
        dsw.get_instance_shutdown_timer(instance_id)
    with pytest.raises(ClientException, match="DueTime must be a time"):
        set_timer(dsw, instance_id, DueTime="tomorrow")
    set_timer(dsw, instance_id, RemainingTimeInMs=3_600_000, DueTime="2021-01-12T14:36:01Z")
    timer = dsw.get_instance_shutdown_timer(instance_id).body
    assert 3_590_000 < timer.remaining_time_in_ms <= 3_600_000
    with pytest.raises(ClientException, match="has a shutdown timer"):
        set_timer(dsw, instance_id, RemainingTimeInMs=1)
    dsw.delete_instance_shutdown_timer(instance_id)
    set_timer(dsw, instance_id, DueTime="2126-01-12T14:36:01Z")
    assert dsw.get_instance_shutdown_timer(instance_id).body.due_time == "2126-01-12T14:36:01Z"
    stop_instance(dsw, instance_id)
    with pytest.raises(ClientException, match="it takes no timer"):
        set_timer(dsw, instance_id, RemainingTimeInMs=1)
    dsw.start_instance(instance_id)
    wait_instance(dsw, instance_id, "Running")
    set_timer(dsw, instance_id, RemainingTimeInMs=1)
    wait_instance(dsw, instance_id, "Stopped")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody knows what processes compute")
def test_a_culler_stops_the_instance_that_idles_and_not_the_busy_one(tmp_path):
    go = tmp_path / "go"
    commands = {"bare": None, "idle": "true", "busy": f"until test -e {go}; do :; done"}
    with Emulator(tmp_path / "data", dwell=0.01, minute=0.6) as pai:
        dsw = client(pai, "dsw")
        ids = {name: run_instance(dsw, command).instance_id for name, command in commands.items()}
        for name, minutes in {"bare": 10_000, "idle": 1, "busy": 1}.items():
            rule = {"CpuPercentThreshold": 1, "GpuPercentThreshold": 1, "MaxIdleTimeInMinutes": minutes}
            dsw.create_idle_instance_culler(ids[name], models.CreateIdleInstanceCullerRequest().from_map(rule))

        def idle(name):
            return dsw.get_idle_instance_culler(ids[name]).body.idle_time_in_minutes

        wait_instance(dsw, ids["idle"], "Stopped")
        until(lambda: idle("bare"), lambda minutes: minutes > 1)
        assert [statuses(dsw, ids[name])[-1] for name in ids] == ["Running", "Stopped", "Running"]
        assert (idle("idle"), idle("busy")) == (0, 0)
        go.touch()
        wait_instance(dsw, ids["busy"], "Stopped")


def test_an_instance_that_is_being_made_may_take_no_timer(dsw, world):
    world(dsw_timer="running")
    instance_id = dsw.create_instance(instance_request("sleep 60")).body.instance_id
    with pytest.raises(ClientException, match="it takes no timer"):
        set_timer(dsw, instance_id, RemainingTimeInMs=1)


@pytest.mark.parametrize(("who", "home"), [("root", "/root 0"), ("user", "/home/pai 1000")])
def test_who_runs_the_command_has_a_home_and_a_number(dsw, bucket, world, who, home):
    world(dsw_user=who)
    dataset = {"Uri": f"oss://{bucket.bucket_name}/out/", "MountPath": "/mnt/out"}
    run_instance(dsw, "echo $HOME $(id -u) > /mnt/out/home", Datasets=[dataset])
    until(lambda: bucket.object_exists("out/home"), bool)
    assert bucket.get_object("out/home").read().decode().strip().endswith(home)


def test_a_command_may_have_a_limit(dsw, world):
    world(dsw_on_start_size=1024)
    request = instance_request("x" * 1025)
    with pytest.raises(ClientException, match="may have 1024 characters, not 1025"):
        dsw.create_instance(request)


def test_a_prefix_that_no_object_has_may_be_no_mount(dsw, bucket, world):
    dataset = {"Uri": f"oss://{bucket.bucket_name}/none/", "MountPath": "/mnt/none"}
    assert run_instance(dsw, Datasets=[dataset]).status == "Running"
    world(dsw_missing_prefix="fails")
    failed = run_instance(dsw, Datasets=[dataset])
    assert (failed.status, failed.reason_code) == ("Failed", "DatasetMountFailed")
    bucket.put_object("none/", b"")
    assert run_instance(dsw, Datasets=[dataset]).status == "Running"


def test_a_file_on_a_mount_is_an_object_when_it_is_closed(dsw, bucket, tmp_path):
    go = tmp_path / "go"
    dataset = {"Uri": f"oss://{bucket.bucket_name}/out/", "MountPath": "/mnt/out"}
    run_instance(
        dsw, f"(echo begun; echo > /mnt/out/begun; {wait_for(go)}; echo done) > /mnt/out/log", Datasets=[dataset]
    )
    until(lambda: bucket.object_exists("out/begun"), bool)
    assert not bucket.object_exists("out/log")
    assert [item.key for item in bucket.list_objects("out/").object_list] == ["out/begun"]
    go.touch()
    until(lambda: bucket.object_exists("out/log"), bool)
    assert bucket.get_object("out/log").read() == b"begun\ndone\n"


def test_the_environment_can_be_saved_before_the_stop(dsw):
    running = run_instance(dsw)
    stopped = stop_instance(dsw, running.instance_id, save_image=True)
    assert statuses(dsw, running.instance_id)[-5:] == ["Running", "Saving", "Saved", "Stopping", "Stopped"]
    assert stopped.latest_snapshot.image_id


def test_a_deleted_instance_is_gone(dsw):
    instance_id = run_instance(dsw).instance_id
    with pytest.raises(ClientException, match="only a stopped one can be deleted"):
        dsw.delete_instance(instance_id)
    stop_instance(dsw, instance_id)
    dsw.delete_instance(instance_id)

    def gone():
        try:
            return dsw.get_instance(instance_id, models.GetInstanceRequest()).body.status
        except ClientException as error:
            return error.status_code

    until(gone, lambda found: found == 404)


def refusals(dsw):
    """Do what DSW refuses: status and code of each refusal."""
    running = run_instance(dsw).instance_id
    calls = {
        "none": lambda: dsw.get_instance("dsw-none", models.GetInstanceRequest()),
        "wrong state": lambda: dsw.start_instance(running),
        "not at rest": lambda: dsw.delete_instance(running),
        "not valid": lambda: dsw.create_instance(instance_request(InstanceName="with-dash")),
    }
    found = {}
    for name, call in calls.items():
        try:
            body = call().body
            found[name] = (body.success, body.http_status_code, body.code)
        except ClientException as error:
            found[name] = (error.status_code, error.code)
    return found


def test_all_but_validation_is_an_internal_error_and_the_status_tells_which(dsw):
    assert refusals(dsw) == {
        "none": (404, "InternalError"),
        "wrong state": (400, "InternalError"),
        "not at rest": (400, "InternalError"),
        "not valid": (400, "ValidationError"),
    }


def test_a_refusal_may_stand_in_the_body_alone(pai, dsw, world):
    world(dsw_refusal="body")
    assert refusals(dsw) == {
        "none": (False, 404, "InternalError"),
        "wrong state": (False, 400, "InternalError"),
        "not at rest": (False, 400, "InternalError"),
        "not valid": (False, 400, "ValidationError"),
    }


def test_an_unknown_bucket_fails_the_start(dsw):
    failed = run_instance(dsw, Datasets=[{"Uri": "oss://no-such-bucket-here/x/", "MountPath": "/mnt/x"}])
    assert (failed.status, failed.reason_code) == ("Failed", "DatasetMountFailed")
    assert "NoSuchBucket" in failed.reason_message


def test_lists_by_name_status_labels_and_resource(dsw):
    labels = [{"Key": "task", "Value": uuid.uuid4().hex}]
    spot = instance_request(Labels=labels, InstanceName="list_me_1")
    quota = instance_request(
        Labels=labels,
        InstanceName="list_me_2",
        EcsSpec=None,
        ResourceId="quota1",
        RequestedResource={"CPU": "2", "Memory": "4"},
    )
    ids = [dsw.create_instance(request).body.instance_id for request in (spot, quota)]
    for instance_id in ids:
        wait_instance(dsw, instance_id, "Running")
    wanted = {"task": labels[0]["Value"]}
    assert names(dsw, labels=wanted) == ["list_me_1"]
    assert names(dsw, labels=wanted, resource_id="ALL") == ["list_me_2", "list_me_1"]
    assert names(dsw, labels=wanted, resource_id="quota1") == ["list_me_2"]
    assert names(dsw, labels=wanted, resource_id="ALL", order="ASC", instance_name="ME_1") == ["list_me_1"]
    assert names(dsw, labels=wanted, status="Stopped") == []
    page = dsw.list_instances(
        models.ListInstancesRequest(labels=wanted, resource_id="ALL", page_size=1, page_number=2)
    ).body
    assert ([item.instance_name for item in page.instances], page.total_count) == (["list_me_1"], 2)
    with pytest.raises(ClientException, match="Labels may have 4 entries"):
        names(dsw, labels={str(index): "x" for index in range(5)})


def test_lists_may_be_behind(tmp_path):
    with Emulator(tmp_path, dwell=0.01, list_lag=0.5) as pai:
        dsw = client(pai, "dsw")
        instance_id = run_instance(dsw, InstanceName="young").instance_id
        assert names(dsw) == []
        until(lambda: names(dsw), lambda found: found == ["young"])
        until(lambda: names(dsw, status="Running"), lambda found: found == ["young"])
        stop_instance(dsw, instance_id)
        until(lambda: names(dsw, status="Stopped"), lambda found: found == ["young"])


def test_labels_and_settings_can_be_changed(dsw):
    instance_id = run_instance(dsw, Labels=[{"Key": "a", "Value": "1"}]).instance_id
    dsw.update_instance_labels(
        instance_id, models.UpdateInstanceLabelsRequest().from_map({"Labels": [{"Key": "b", "Value": "2"}]})
    )
    dsw.delete_instance_labels(instance_id, models.DeleteInstanceLabelsRequest(label_keys="a"))
    dsw.update_instance(instance_id, models.UpdateInstanceRequest(instance_name="renamed"))
    with pytest.raises(ClientException, match="only a stopped one can be changed"):
        dsw.update_instance(instance_id, models.UpdateInstanceRequest(ecs_spec="ecs.g6.xlarge"))
    stop_instance(dsw, instance_id)
    dsw.update_instance(instance_id, models.UpdateInstanceRequest(ecs_spec="ecs.g6.xlarge", start_instance=True))
    found = wait_instance(dsw, instance_id, "Running")
    assert (found.instance_name, found.ecs_spec) == ("renamed", "ecs.g6.xlarge")
    assert [(label.key, label.value) for label in found.labels] == [("b", "2")]


DATASET = {"Uri": "oss://bbb/a/", "MountPath": "/mnt/a"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"InstanceName": "with-dash"}, "InstanceName must have"),
        ({"InstanceName": "n" * 28}, "InstanceName must have"),
        ({"ResourceId": "quota1"}, "Either EcsSpec or ResourceId"),
        ({"EcsSpec": None}, "Either EcsSpec or ResourceId"),
        ({"EcsSpec": "large"}, "EcsSpec must be an instance type"),
        ({"EcsSpec": None, "ResourceId": "quota1"}, "ResourceId needs RequestedResource"),
        ({"ImageId": "image-1"}, "Either ImageId or ImageUrl"),
        ({"Datasets": [{"MountPath": "/mnt/a"}]}, "either DatasetId or Uri"),
        ({"Datasets": [{**DATASET, "MountPath": "mnt"}]}, "MountPath must be"),
        ({"Datasets": [DATASET, DATASET]}, "lie in one another"),
        ({"Datasets": [{**DATASET, "MountAccess": "RX"}]}, "MountAccess must be RO or RW"),
        ({"Labels": [{"Key": "a"}]}, "Labels must have a Key and a Value"),
        ({"Priority": 0}, "Priority must be from 1 to 9"),
        ({"WorkspaceId": "1"}, "WorkspaceId '1' does not exist"),
    ],
)
def test_refuses_bad_instances(dsw, fields, message):
    with pytest.raises(ClientException, match=message) as refusal:
        dsw.create_instance(instance_request(**fields))
    assert (refusal.value.status_code, refusal.value.code) == (400, "ValidationError")


def test_refuses_steps_that_do_not_fit_the_status(dsw):
    instance_id = run_instance(dsw).instance_id
    with pytest.raises(ClientException, match="only a stopped one can be started"):
        dsw.start_instance(instance_id)
    stop_instance(dsw, instance_id)
    with pytest.raises(ClientException, match="not stoppable"):
        dsw.stop_instance(instance_id, models.StopInstanceRequest())


def test_answers_have_only_fields_of_the_sdks_models(pai, dsw):
    instance_id = run_instance(dsw, Labels=[{"Key": "a", "Value": "1"}], Tag=[{"Key": "t", "Value": "1"}]).instance_id
    one = pai.call(lambda: pai.services.dsw.get(instance_id))
    many = pai.call(lambda: pai.services.dsw.list({"InstanceId": instance_id}, {}, 1, 10))
    for model, given in [(models.GetInstanceResponseBody, one), (models.ListInstancesResponseBody, many)]:
        assert not unknown_fields(given, model().from_map(given).to_map()), json.dumps(given)


def test_lists_instance_types(dsw):
    specs = dsw.list_ecs_specs(models.ListEcsSpecsRequest(accelerator_type="CPU")).body
    assert {spec.accelerator_type for spec in specs.ecs_specs} == {"CPU"}


def test_a_restarted_emulator_knows_its_instances(tmp_path):
    with Emulator(tmp_path, dwell=0.01, grace=0.2) as pai:
        dsw = client(pai, "dsw")
        running, stopped = (run_instance(dsw, "sleep 60").instance_id for _ in range(2))
        stop_instance(dsw, stopped)
    with Emulator(tmp_path, dwell=0.01, grace=0.2) as pai:
        dsw = client(pai, "dsw")
        found = dsw.get_instance(running, models.GetInstanceRequest()).body
        assert (found.status, found.reason_code) == ("Failed", "EmulatorRestarted")
        assert dsw.get_instance(stopped, models.GetInstanceRequest()).body.status == "Stopped"
        dsw.start_instance(running)
        wait_instance(dsw, running, "Running")
