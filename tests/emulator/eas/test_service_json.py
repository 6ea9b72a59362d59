from __future__ import annotations

import pytest

from airflow_provider_pai.emulator.eas.service_json import merge, only_scales, parse
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
        ({"containers": [{"port": 8000}]}, "script or command is missing"),
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
