"""Needs that are read from a DAG's file."""

from __future__ import annotations

from textwrap import dedent

import pytest

from airflow_provider_pai.cli.needs import checks_of_dag, dag_of
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.checks import Health, run_checks
from airflow_provider_pai.hooks.pai import PaiConnectionHook

pytestmark = pytest.mark.usefixtures("connection")

FILE = """
    from airflow.providers.common.compat.sdk import DAG, Param

    from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
    from airflow_provider_pai.operators.eas import EasCanaryDeployOperator, EasStopServiceOperator

    with DAG("nightly", params={{"bucket": "{bucket}", "required": Param(type="string")}}, schedule=None):
        train = DlcSubmitJobOperator(
            task_id="train",
            framework="pytorch",
            ecs_spec="ecs.g6.large",
            image="{image}",
            command="echo {{{{ ds }}}}",
            output="oss://{{{{ params.bucket }}}}/models",
            role_arn="{role}",
        )
        deploy = EasCanaryDeployOperator(
            task_id="deploy", artifact=train.output, group="{group}", metrics={metrics}, steps=[10, 100]
        )
        DlcSubmitJobOperator.partial(
            task_id="each", framework="pytorch", ecs_spec="x", image="UPPER case", pai_conn_id="another",
            max_running_time="12h",
        ).expand(command=["a", "b"])
        EasStopServiceOperator(task_id="stop", service_name="{{{{ ti.xcom_pull('train') }}}}")
        EasStopServiceOperator(task_id="required", service_name="{{{{ params.required }}}}")
"""
GOOD = {
    "image": "registry.cn-hangzhou.aliyuncs.com/team/train:1",
    "role": "acs:ram::1:role/train",
    "group": "digits",
    "metrics": {"kind": "cloudmonitor"},
}


@pytest.fixture
def rows(bucket, tmp_path):
    """Write the DAG with some values and return what is told of it, by check."""

    def ask(**values):
        (tmp_path / "nightly.py").write_text(dedent(FILE.format(**{"bucket": bucket.bucket_name, **GOOD, **values})))
        checks = checks_of_dag(dag_of("nightly", tmp_path), PaiConnectionHook())
        return {row.check: row for row in run_checks(checks, 30)}

    return ask


def test_a_dag_that_has_what_it_needs(rows, bucket):
    told = rows()
    assert told[f"bucket {bucket.bucket_name}"].result is Health.OK
    assert told["metrics of deploy"].result is Health.OK
    assert told["DAG's fields"].says.endswith("values read")
    templates = told["DAG's templates"]
    assert templates.result is Health.UNCHECKED
    assert "train.command" in templates.says
    assert "deploy.artifact" in templates.says
    assert "stop.service_name" in templates.says
    assert "required.service_name" in templates.says
    assert "train.output_uri" not in templates.says
    limit = told["time limit of train"]
    assert (limit.result, limit.todo) == (Health.WARNING, "set execution_timeout")
    assert limit.says.startswith("the service itself ends it after 1 week")
    limit = told["time limit of each"]
    assert (limit.result, limit.says) == (Health.OK, "the service itself ends it after 12 hours (max_running_time)")


@pytest.mark.parametrize(
    ("values", "check", "says"),
    [
        ({"image": "Registry/Train:1"}, "train.image", "registry/namespace/name:tag"),
        ({"role": "train"}, "train.role_arn", "acs:ram::<account id>:role/<name>"),
        ({"group": "Digits"}, "deploy.group", "3 to 63 lowercase letters"),
        ({"bucket": "-"}, "train.output_uri", "write oss://bucket/key"),
        (
            {"bucket": "no-such-bucket"},
            "bucket no-such-bucket",
            "there is no bucket no-such-bucket, named by train.output_uri",
        ),
        ({"metrics": {"kind": "cloudmonitor", "requests_metric": "qps"}}, "metrics of deploy", "has no qps with"),
        ({"metrics": {"kind": "tea leaves"}}, "metrics of deploy", "'tea leaves' is not allowed"),
    ],
)
def test_a_fault_is_told_with_its_place(rows, values, check, says):
    row = rows(**values)[check]
    assert row.result is Health.FAULT
    assert says in row.says


def test_mapped_tasks_and_other_connections_are_seen(rows):
    told = rows()
    assert told["each.image"].result is Health.FAULT
    assert "airflow pai check --conn-id another" in {row.todo for row in told.values()}


def test_a_dag_that_is_not_there_names_those_that_are(rows, tmp_path):
    rows()
    (tmp_path / "broken.py").write_text("from airflow.providers.common.compat.sdk import DAG\nraise ValueError")
    with pytest.raises(PaiConfigError, match=r"--dag: 'weekly' is not allowed; .*: nightly; these can't .*broken.py"):
        dag_of("weekly", tmp_path)
