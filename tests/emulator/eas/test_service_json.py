from __future__ import annotations

import pytest

from airflow_provider_pai.emulator.eas.service_json import group_of, merge, only_scales, parse
from airflow_provider_pai.emulator.errors import InvalidParameterError

CONFIG = {"metadata": {"name": "digits", "instance": 2}, "containers": [{"script": "serve", "port": 8000}]}


def test_an_objects_keys_are_merged_and_everything_else_is_replaced():
    change = {"metadata": {"cpu": 1}, "containers": [{"script": "new"}]}
    assert merge(CONFIG, change) == {
        "metadata": {"name": "digits", "instance": 2, "cpu": 1},
        "containers": [{"script": "new"}],
    }


def test_a_change_of_the_number_of_instances_alone_only_scales():
    assert only_scales(CONFIG, merge(CONFIG, {"metadata": {"instance": 3}}))
    assert not only_scales(CONFIG, merge(CONFIG, {"metadata": {"instance": 3, "cpu": 1}}))


def test_the_start_of_a_container_is_checked_by_its_port_unless_it_says_how():
    spec = parse(CONFIG)
    assert (spec.startup.port, spec.startup.path, spec.liveness, spec.health) == (8000, None, None, None)
    checked = {"script": "serve", "health_check": {"http_get": {"path": "/ok"}, "failure_threshold": 5}}
    spec = parse({**CONFIG, "containers": [checked]})
    assert (spec.health.path, spec.health.failures) == ("/ok", 5)
    assert (spec.startup.path, spec.startup.failures) == ("/ok", 0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"replicas": 2}, "replicas is not a parameter"),
        ({"metadata": {"replicas": 2}}, r"metadata\.replicas is not a parameter"),
        ({"metadata": {"name": "No"}}, "metadata.name 'No' does not match"),
        ({"name": "other"}, "metadata.name must be given once"),
        ({"metadata": {"instance": True}}, "metadata.instance must be a whole number"),
        ({"containers": []}, "containers must be one, not 0"),
        ({"containers": [{"command": "say 'x"}]}, "No closing quotation"),
        ({"containers": [{"script": ["serve"]}]}, r"script must be text, not \['serve'\]"),
        ({"metadata": {"gpu": 1}}, "metadata.gpu: the public resource group takes cloud.computing.instances"),
        ({"cloud": {"computing": {"instances": [{}]}}}, r"instances\[\]\.type is missing"),
        ({"cloud": {"computing": {"types": []}}}, "cloud.computing.types is not a parameter"),
        ({"containers": [{"script": "serve", "port": 8080}]}, "8080 is reserved"),
        (
            {"containers": [{"script": "serve", "liveness_check": {"period_seconds": 1}}]},
            "needs http_get or tcp_socket",
        ),
        ({"storage": [{"mount_path": "/mnt", "nfs": {}}]}, "mounts OSS only"),
    ],
)
def test_what_the_emulator_can_not_run_is_refused(change, error):
    with pytest.raises(InvalidParameterError, match=error):
        parse(merge(CONFIG, change))


PAGE = {
    "token": "t",
    "model_path": "oss://b/m/",
    "runtime": {"enable_crash_block": False},
    "unit": {"size": 2},
    "aimaster": {"runtime_check": {}},
    "sinker": {"type": "sls", "config": {}},
    "confidential": {"trustee_endpoint": "x", "decryption_key": "x"},
    "cloud": {
        "computing": {
            "instances": [{"type": "ecs.c7.4xlarge", "spot_price_limit": 3.6, "capacity": "20%"}],
            "disable_spot_protection_period": True,
        },
        "networking": {"vpc_id": "vpc-1"},
    },
    "metadata": {
        "resource": "eas-r-1",
        "workspace_id": "1",
        "gpu": 1,
        "gpu_memory": 10,
        "gpu_core_percentage": 10,
        "qos": "",
        "cuda": "11.2",
        "enable_grpc": False,
        "enable_webservice": False,
        "rdma": 1,
        "type": "LLMGatewayService",
        "rpc": {"keepalive": 5000},
        "rolling_strategy": {"max_surge": 1},
        "eas.termination_grace_period": 7,
        "scheduling": {"spread": {"policy": "host"}},
        "resource_rebalancing": False,
        "resource_burstable": False,
        "workload_type": "elasticjob",
        "shm_size": 100,
    },
    "features": {"eas.aliyun.com/extra-ephemeral-storage": "100Gi"},
    "networking": {"gateway": "gw-1"},
    "dockerAuth": "x",
}


def test_every_key_of_the_page_is_known():
    assert parse(merge(CONFIG, PAGE)).grace == 7.0


@pytest.mark.parametrize(
    ("container", "script"),
    [
        ({"script": "cd /x && serve $A"}, "cd /x && serve $A"),
        ({"command": "cd /x && serve $A"}, "exec cd /x '&&' serve '$A'"),
        ({"command": "python -c 'print(1)'"}, "exec python -c 'print(1)'"),
        ({"command": ["serve", "a b"]}, "exec serve 'a b'"),
        ({"port": 8000}, ""),
    ],
)
def test_a_script_is_for_a_shell_and_a_command_is_not(container, script):
    assert parse({**CONFIG, "containers": [container]}).script == script


def test_a_group_stands_where_the_key_says():
    config = {"metadata": {"group": "digits", "service_group": "letters"}}
    keys = ("metadata.group", "metadata.service_group", "ignored", "metadata.group.name")
    assert [group_of(config, key) for key in keys] == ["digits", "letters", None, None]
    with pytest.raises(InvalidParameterError, match=r"metadata\.group 'No' does not match"):
        group_of({"metadata": {"group": "No"}}, "metadata.group")


def test_a_merge_of_the_top_replaces_whole_objects():
    assert merge({"a": {"b": 1}, "c": 2}, {"a": {"d": 3}}, deep=False) == {"a": {"d": 3}, "c": 2}
