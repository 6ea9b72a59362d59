"""Calls of functions: what may travel to a job, and what is refused."""

from __future__ import annotations

import json
import textwrap
from decimal import Decimal

import pytest
from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import task

from airflow_provider_pai.decorators import runner
from airflow_provider_pai.decorators.call import source_of
from airflow_provider_pai.exceptions import PaiConfigError, PaiNotFoundError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from tests.dag_bag import MODULE
from tests.decorators.functions import facts, run_of

pytestmark = pytest.mark.usefixtures("connection")


def made_inside(value):
    @task.pai_dlc
    def closure():
        return value

    return closure


def twice(function):
    return function


@task.pai_dlc
@twice
def decorated():
    return 1


@task.pai_dlc
def in_context(ds):
    return ds


no_def = task.pai_dlc(lambda: 1)
in_a_call = [
    task.pai_dlc(
        lambda: 1,
    )
]


@pytest.mark.parametrize(
    ("function", "args", "options", "message"),
    [
        (facts, (Decimal(1),), {}, r"op_args\[0\]: 'Decimal' is not allowed; arguments travel as JSON"),
        (facts, (b"x",), {}, r"op_args\[0\]: 'bytes'"),
        (made_inside(1), (), {}, "python_callable: 'value' is not allowed; the function may use"),
        (decorated, (), {}, "python_callable: '@twice' is not allowed"),
        (no_def, (), {}, "python_callable: .*function made by def"),
        (in_a_call[0], (), {}, "python_callable: .*function made by def"),
        (in_context, (), {}, "op_kwargs: .* missing a required argument: 'ds'"),
        (facts, (1,), {"staging_uri": None}, "staging_uri: None is not allowed; write oss://bucket/key"),
        (facts, (1,), {"staging_uri": "oss://no-such-bucket-here/x"}, "staging_uri: .* a bucket that exists"),
        (facts, (1,), {"workers": 0}, "workers: 0"),
        (facts, (1,), {"command": ""}, "command: ''"),
    ],
)
def test_bad_input_is_refused_before_anything_is_created(bucket, function, args, options, message):
    before = len(list(DlcHook().list_jobs()))
    with pytest.raises((PaiConfigError, PaiNotFoundError), match=message):
        run_of(bucket, function, *args, options=options).run()
    assert len(list(DlcHook().list_jobs())) == before
    assert not list(OssHook().list_objects(f"oss://{bucket.bucket_name}/"))


FILE = """
    from airflow.providers.common.compat.sdk import dag, task

    @dag(schedule=None)
    def functions():
        options = {"image": "python:3.12", "ecs_spec": "ecs.g6.large", "staging_uri": "oss://my-bucket/calls"}

        @task.pai_dlc(**options)
        def split(rows: int) -> dict[str, int]:
            return {"train": rows - 1, "test": 1}

        @task.pai_dlc(multiple_outputs=False, **options)
        def count(rows, more):
            return rows + more

        count.partial(more=split(3)["train"]).expand(rows=[1, 5])

    functions()
"""


def test_airflow_finds_the_decorator_by_its_name(tmp_path):
    (tmp_path / "functions.py").write_text(textwrap.dedent(FILE))
    bag = import_string(f"{MODULE}.DagBag")(tmp_path)
    assert not bag.import_errors
    split, count = (bag.dags["functions"].get_task(name) for name in ("split", "count"))
    assert split.custom_operator_name == "@task.pai_dlc"
    assert split.multiple_outputs
    assert source_of(split.python_callable).splitlines()[8:] == [
        "    def split(rows: int) -> dict[str, int]:",
        '        return {"train": rows - 1, "test": 1}',
    ]
    assert count.operator_name == "@task.pai_dlc"
    assert "staging_uri" in split.template_fields
    json.dumps(split.template_fields_renderers)


@pytest.mark.parametrize(
    ("role", "index", "rank"), [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2), ("ps", 0, 3), ("evaluator", 0, 4)]
)
def test_the_chief_of_a_tfjob_has_rank_0(monkeypatch, role, index, rank):
    cluster = {"ps": ["a"], "worker": ["b", "c"], "chief": ["d"]}
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": role, "index": index}}))
    assert runner.rank() == rank
