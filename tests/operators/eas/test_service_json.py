import pytest

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.operators.eas.service_json import ServiceSpec, laid_over, service_json

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
        enable_ram_role="true",
    )
    assert spec.to_json() == {
        "metadata": {"instance": 2, "cpu": 4, "memory": 8000, "gpu": 0},
        "options": {"enable_ram_role": True},
        "containers": [
            {
                "image": "i",
                "script": "serve",
                "port": 8000,
                "env": [{"name": "A", "value": "1"}],
                "health_check": {"http_get": {"path": "/ok", "port": 8000}},
            }
        ],
    }


def test_what_is_not_given_is_left_to_eas():
    assert ServiceSpec().to_json() == ServiceSpec(enable_ram_role=False).to_json() == {}


def test_an_instance_type_is_one_of_a_list():
    computing = {"computing": {"instances": [{"type": "ecs.c7.large"}]}}
    assert ServiceSpec(instance_type="ecs.c7.large").to_json() == {"cloud": computing}


@pytest.mark.parametrize(
    ("argument", "service", "key"),
    [
        ({"command": "a && b"}, {"containers": [{"command": "serve"}]}, "containers"),
        ({"instance_type": "a"}, {"cloud": {"computing": {"instance_type": "b"}}}, "cloud"),
    ],
)
def test_another_word_for_the_same_in_the_json_takes_the_argument_s_place(argument, service, key):
    assert laid_over(ServiceSpec(**argument).to_json(), service)[key] == service[key]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"instance_type": "ecs.c7.large", "cpu": 2}, "instance_type: .* either an instance type or cpu"),
        ({"instances": 0}, "instances: 0 "),
        ({"gpu": -1}, "gpu: -1 "),
        ({"port": 8080}, "port: 8080 .* EAS keeps"),
        ({"port": 70000}, "port: 70000 "),
        ({"health_check": "ok"}, "health_check: 'ok' .* begins with /"),
        ({"enable_ram_role": "acs:ram::1:role/r"}, "enable_ram_role: 'acs:ram::1:role/r' .* true or false"),
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
    assert whole(given) == {
        "metadata": {"instance": 1, "rpc": {"path": ["/mnt/model/a"]}, "name": "digits_v1", "group": "digits"},
        "containers": [{"image": "i", "command": "serve /mnt/model", "port": 8000}],
        "storage": [{"mount_path": "/mnt/model", "oss": {"path": "oss://b/m/", "readOnly": True}}],
    }


def test_the_group_stands_where_the_connection_says():
    made = whole({"containers": [CONTAINER], "role_arn": "acs:ram::1:role/r"}, group_key="networking.group")
    assert (made["networking"], made["metadata"]) == ({"group": "digits"}, {"instance": 1, "name": "digits_v1"})
    assert made["role_arn"] == "acs:ram::1:role/r"
    with pytest.raises(PaiConfigError, match=r"service\['networking'\]\['group'\]: 'x' .* leave it out"):
        whole({"containers": [CONTAINER], "networking": {"group": "x"}}, group_key="networking.group")


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
        ({"containers": [CONTAINER], "metadata": {"gpu": 1}}, {}, "gpu: 1 is not allowed; an instance_type instead"),
        ({"containers": [CONTAINER]}, {"model_path": "model"}, "model_path: 'model' .* an absolute path"),
    ],
)
def test_what_the_operator_decides_itself_and_what_is_torn_is_refused(given, changes, message):
    with pytest.raises(PaiConfigError, match=message):
        whole(given, **changes)


@pytest.mark.parametrize("where", [{"metadata": {"gpu": 1, "resource": "eas-r-1"}}, {"metadata": {"gpu": 0}}])
def test_gpus_of_a_resource_group_are_asked_for_by_number(where):
    assert whole({"containers": [CONTAINER], **where})["metadata"]["gpu"] == where["metadata"]["gpu"]
