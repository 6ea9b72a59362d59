"""The connection half that operators and sensors share."""

from __future__ import annotations

import subprocess
import sys

import pytest
from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import DAG, BaseOperator

from airflow_provider_pai.connected import Connected
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.operators.dlc import DlcStopJobOperator, DlcSubmitJobOperator
from airflow_provider_pai.operators.oss import OssDeleteOperator
from airflow_provider_pai.sensors.dlc import DlcJobSensor
from airflow_provider_pai.sensors.eas import EasServiceSensor
from airflow_provider_pai.sensors.oss import OssKeySensor
from tests.public import named_modules, public_classes

CONNECTION = {"pai_conn_id": "other", "region": "cn-beijing", "workspace_id": "7"}

PUBLIC = [*public_classes("operators", BaseOperator), *public_classes("sensors", BaseOperator)]

MAKERS = [
    (DlcStopJobOperator, {"job_id": "dlc1"}),
    (DlcJobSensor, {"job_id": "dlc1"}),
    (EasServiceSensor, {"service_name": "one"}),
]


@pytest.mark.parametrize(("kind", "arguments"), MAKERS)
def test_a_hook_is_built_from_what_the_task_says(kind, arguments):
    one = kind(task_id="task", **arguments, **CONNECTION)
    assert one.hook_arguments == CONNECTION == one.hook.arguments
    assert import_string(one.hook_path) is one.hook_class is type(one.hook)


@pytest.mark.parametrize(("kind", "arguments"), MAKERS)
def test_a_dags_default_arguments_and_mapped_tasks_reach_the_connection(kind, arguments):
    with DAG("d", schedule=None, default_args=CONNECTION):
        assert kind(task_id="plain", **arguments).hook_arguments == CONNECTION
        mapped = kind.partial(task_id="mapped", **CONNECTION).expand(**{name: [one] for name, one in arguments.items()})
    assert mapped.partial_kwargs["workspace_id"] == "7"


@pytest.mark.parametrize("kind", PUBLIC)
def test_every_public_class_is_connected_and_lets_its_connection_be_rendered(kind):
    assert issubclass(kind, Connected)
    assert set(CONNECTION) <= set(kind.template_fields)


@pytest.mark.parametrize("kind", PUBLIC)
def test_no_template_field_of_a_base_is_lost(kind):
    inherited = {field for base in kind.__mro__ for field in vars(base).get("template_fields", ())}
    assert sorted(kind.template_fields) == sorted(inherited)


def test_a_leaf_adds_its_template_fields_to_those_of_all_bases():
    class Both(DlcStopJobOperator, OssDeleteOperator):
        template_fields = ("job_id", "more")
        template_fields_renderers = {"more": "json"}

    class Neither(Both):
        pass

    fields = ["pai_conn_id", "region", "workspace_id", "ledger_conn_id", "uri", "include", "exclude", "job_id", "more"]
    assert list(Both.template_fields) == list(Neither.template_fields) == fields
    assert Neither.template_fields_renderers == {"more": "json"}


def test_parsing_a_dag_file_imports_no_hook():
    modules = sorted(named_modules("operators") | named_modules("sensors"))
    code = (
        f"import sys, importlib\nmodules = [importlib.import_module(m) for m in {modules}]\n"
        "[getattr(m, name) for m in modules for name in getattr(m, '__all__', ())]\n"
        "print('airflow_provider_pai.hooks.base' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("operator", "wrong", "meant"),
    [
        (DlcSubmitJobOperator, "ecsspec", "; did you mean ecs_spec?"),
        (DlcSubmitJobOperator, "Image", "; did you mean image?"),
        (OssKeySensor, "poke_intervall", "; did you mean poke_interval?"),
        (OssKeySensor, "something_else_altogether", ""),
    ],
)
def test_an_argument_that_there_is_not_is_named_with_what_may_be_meant(operator, wrong, meant):
    given = {"task_id": "task", "framework": "pytorch", "image": "i"} if operator is DlcSubmitJobOperator else {}
    given = given or {"task_id": "task", "uri": "oss://bucket/a"}
    with pytest.raises(PaiConfigError) as refused:
        operator(**given, **{wrong: "secret"})
    assert str(refused.value) == f"{operator.__name__}: {wrong!r} is not allowed; it has no such argument{meant}"
