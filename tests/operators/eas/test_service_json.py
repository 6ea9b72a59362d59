import pytest

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.operators.eas.service_json import ServiceSpec, laid_over, named_values, service_json

CONTAINER = {"image": "i", "command": "serve {model}", "port": 8000}


def whole(given, **changes):
    return service_json(given, **{"name": "digits_v1", "group": "digits", "artifact_uri": "oss://b/m/", **changes})


def test_typed_arguments_become_the_json_that_eas_has_for_them():
    spec = ServiceSpec(
        image="i",
        command="serve",
        port="8000",
        instances="2",
        cpu=4,
        memory=8000,
        gpu=0,
        env={"A": 1},
        health_check="/ok",
    )
    assert spec.to_json() == {
        "metadata": {"instance": 2, "cpu": 4, "memory": 8000, "gpu": 0},
        "containers": [
            {
                "image": "i",
                "command": "serve",
                "port": 8000,
                "env": [{"name": "A", "value": "1"}],
                "health_check": {"http_get": {"path": "/ok", "port": 8000}},
            }
        ],
    }


def test_what_is_not_given_is_left_to_eas():
    assert ServiceSpec().to_json() == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"instance_type": "ecs.c7.large", "cpu": 2}, "instance_type: .* either an instance type or cpu"),
        ({"instances": 0}, "instances: 0 "),
        ({"gpu": -1}, "gpu: -1 "),
        ({"port": 8080}, "port: 8080 .* EAS keeps"),
        ({"port": 70000}, "port: 70000 "),
        ({"health_check": "ok"}, "health_check: 'ok' .* begins with /"),
    ],
)
def test_typed_arguments_that_eas_would_not_take_are_refused(arguments, message):
    with pytest.raises(PaiConfigError, match=message):
        ServiceSpec(**arguments).to_json()


def test_the_dags_json_is_laid_over_that_of_the_arguments():
    typed = ServiceSpec(image="i", port=8000, cpu=2, env={"A": "1", "B": "2"}).to_json()
    service = {
        "metadata": {"memory": 100},
        "containers": [{"port": 9000, "env": [{"name": "B", "value": "3"}]}, {"image": "sidecar", "command": "log"}],
    }
    assert laid_over(typed, service) == {
        "metadata": {"cpu": 2, "memory": 100},
        "containers": [
            {"image": "i", "port": 9000, "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}]},
            {"image": "sidecar", "command": "log"},
        ],
    }


@pytest.mark.parametrize("service", [None, {}, "{}"])
def test_no_json_leaves_the_arguments_alone(service):
    assert laid_over({"metadata": {"cpu": 2}}, service) == {"metadata": {"cpu": 2}}


@pytest.mark.parametrize("service", ["", "{", "[1]", [1], 7])
def test_what_is_no_object_is_refused(service):
    with pytest.raises(PaiConfigError, match=r"service: .* as an object"):
        laid_over({}, service)


def test_the_artifact_is_mounted_and_named_in_every_text():
    given = {"containers": [CONTAINER], "metadata": {"rpc": {"path": ["{model}/a"]}}}
    assert whole(given, role_arn="acs:ram::1:role/r") == {
        "metadata": {"instance": 1, "rpc": {"path": ["/mnt/model/a"]}, "name": "digits_v1", "group": "digits"},
        "containers": [{"image": "i", "command": "serve /mnt/model", "port": 8000}],
        "storage": [{"mount_path": "/mnt/model", "oss": {"path": "oss://b/m/", "readOnly": True}}],
        "role_arn": "acs:ram::1:role/r",
    }


def test_without_group_and_artifact_neither_stands_in_it():
    made = whole({"containers": [{**CONTAINER, "port": "9000"}]}, group=None, artifact_uri=None)
    assert made == {
        "metadata": {"instance": 1, "name": "digits_v1"},
        "containers": [{"image": "i", "command": "serve /mnt/model", "port": 9000}],
    }


@pytest.mark.parametrize(
    ("given", "changes", "message"),
    [
        ({"containers": [CONTAINER], "name": "other"}, {}, r"\['name'\]: 'other' .* the operator's is 'digits_v1'"),
        ({"containers": [CONTAINER], "metadata": {"group": "x"}}, {}, r"\['group'\]: 'x' "),
        ({"containers": [CONTAINER], "metadata": "{}"}, {}, r"service\['metadata'\]: '{}' .* an object"),
        ({}, {}, "service: .* containers, or a processor"),
        ({"containers": ["i"]}, {}, r"containers'\]\[0\]: 'i' "),
        ({"containers": [{"command": "x"}]}, {}, r"\[0\]\['image'\]"),
        ({"containers": [{"image": "i", "command": "  "}]}, {}, r"\[0\]\['command'\]"),
        ({"containers": [{**CONTAINER, "port": 9090}]}, {}, r"\[0\]\['port'\]: 9090 "),
        ({"containers": [CONTAINER], "storage": [{"mount_path": "/mnt/model"}]}, {}, "the artifact is mounted there"),
        ({"containers": [CONTAINER], "storage": ["x"]}, {}, r"storage'\]: 'x' "),
        ({"containers": [CONTAINER]}, {"model_path": "model"}, "model_path: 'model' .* an absolute path"),
    ],
)
def test_what_the_operator_decides_itself_and_what_is_torn_is_refused(given, changes, message):
    with pytest.raises(PaiConfigError, match=message):
        whole(given, **changes)


def test_a_token_and_the_environment_are_what_may_be_secret():
    service = {
        "token": "t",
        "containers": [{"env": [{"name": "KEY", "value": "k"}]}, {"env": [{"name": "B", "value": 1}]}],
    }
    assert named_values(service) == {"KEY": "k", "B": 1, "token": "t"}
    assert named_values({}) == {}
