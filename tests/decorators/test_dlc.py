"""Functions run as DLC jobs, through the real SDKs against the emulator."""

from __future__ import annotations

import pickle

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_pai.exceptions import PaiFunctionError, PaiJobFailedError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from tests.decorators.functions import facts, jobs_of, run_of
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

both = pytest.mark.parametrize("deferrable", [False, True])


@task.pai_dlc()
def fail(text):
    def inner():
        raise LookupError(text)

    inner()


@task.pai_dlc
def give(kind):
    """Return what is not JSON."""
    import decimal
    import sys

    if kind == "exit":
        sys.exit(3)
    return {"decimal": decimal.Decimal(1), "set": {1}, "nan": float("nan"), "nested": [decimal.Decimal(1)]}[kind]


@task.pai_dlc
async def later(value):
    import asyncio

    await asyncio.sleep(0)
    return value


@task.pai_dlc
def fail_on(rank, command=None):
    import os
    import time

    if int(os.environ["RANK"]) == rank:
        raise RuntimeError(f"rank {rank}")
    time.sleep(2)
    raise ConnectionError("the other rank is gone")


@task.pai_dlc
def by_rank():
    import json
    import os

    if "TF_CONFIG" in os.environ:
        task = json.loads(os.environ["TF_CONFIG"])["task"]
        return [task["type"], task["index"]]
    return [os.environ["RANK"], os.environ["WORLD_SIZE"]]


@both
def test_value_and_arguments_travel(bucket, pai, deferrable):
    pai.account.change_world({"dlc_shell": "sh"})
    run = run_of(bucket, facts, "ü", [1, None], scale=2.5, extra={"a": (1, 2)}, options={"deferrable": deferrable})
    value = run.run()
    assert value["first"] == "ü"
    assert value["rest"] == [[1, None]]
    assert value["scale"] == 2.5
    assert value["named"] == {"extra": {"a": [1, 2]}}
    assert run.xcoms["return_value"] == value
    assert "pai_dlc_job_url" in run.xcoms


@both
def test_an_error_comes_back_with_its_type_and_traceback(bucket, deferrable):
    run = run_of(bucket, fail, "no such row", options={"deferrable": deferrable})
    with pytest.raises(PaiFunctionError) as caught:
        run.run()
    error = caught.value
    assert isinstance(error, PaiJobFailedError)
    assert (error.remote_type, error.remote_message) == ("LookupError", "no such row")
    assert "in inner" in error.remote_traceback
    assert "raise LookupError(text)" in str(error)
    line = fail.function.__code__.co_firstlineno + 3
    assert f'pai_function.py", line {line}, in inner' in error.remote_traceback
    assert error.job_id in jobs_of(run)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("kind", "remote_type", "message"),
    [
        ("decimal", "TypeError", r"returned a decimal\.Decimal, which is not JSON"),
        ("set", "TypeError", "returned a set, which is not JSON"),
        ("nan", "TypeError", "returned a float, which is not JSON"),
        ("nested", "TypeError", "returned a list, which is not JSON: .*Decimal"),
        ("exit", "SystemExit", "3"),
    ],
)
def test_a_value_that_is_not_json_is_named(bucket, kind, remote_type, message):
    with pytest.raises(PaiFunctionError, match=message) as caught:
        run_of(bucket, give, kind).run()
    assert caught.value.remote_type == remote_type


def test_a_functions_texts_are_left_as_they_are(bucket):
    @task.pai_dlc(
        retries=0,
    )
    def script():
        # a comment
        return """#!/bin/sh
# not a comment, ü
  indented
\t
"""

    expected = "#!/bin/sh\n# not a comment, ü\n  indented\n\t\n"
    assert run_of(bucket, script).run() == script.function() == expected


def test_a_coroutine_is_run(bucket):
    assert run_of(bucket, later, 5).run() == 5


def test_a_retry_after_an_error_is_a_new_job_in_a_folder_of_its_own(bucket):
    run = run_of(bucket, fail, "again")
    for _ in range(2):
        with pytest.raises(PaiFunctionError):
            run.run()
    assert len(jobs_of(run)) == 2
    errors = [
        item for item in OssHook().list_objects(f"oss://{bucket.bucket_name}/calls/") if "error-0" in item.uri.key
    ]
    assert len(errors) == 2


def test_a_retry_goes_on_with_the_job_that_has_succeeded(bucket):
    run = run_of(bucket, facts, 1)
    assert run.run() == run.run()
    assert list(jobs_of(run).values()) == ["Succeeded"]


@pytest.mark.parametrize(
    ("framework", "expected"), [("pytorch", ["0", "3"]), ("xgboost", ["0", "3"]), ("tensorflow", ["worker", 0])]
)
def test_with_several_workers_the_value_of_rank_0_counts(bucket, framework, expected):
    assert run_of(bucket, by_rank, options={"workers": 3, "framework": framework}).run() == expected


def test_the_error_that_came_first_is_the_one_that_counts(bucket):
    with pytest.raises(PaiFunctionError) as caught:
        run_of(bucket, fail_on, 1, options={"workers": 2}).run()
    assert (caught.value.remote_type, caught.value.remote_message) == ("RuntimeError", "rank 1")


def test_with_output_the_artifact_is_a_second_xcom(bucket):
    @task.pai_dlc
    def save(depth):
        import os
        from pathlib import Path

        Path(os.environ["PAI_OUTPUT_DIR"], "model").write_text(str(depth))
        return depth

    options = {"output": f"oss://{bucket.bucket_name}/models/m", "staging_uri": None}
    run = run_of(bucket, save, 4, options=options)
    assert run.run() == 4
    artifact = run.xcoms["artifact"]
    assert OssHook().get(f"{artifact['uri']}model") == b"4"
    calls = {
        item.uri.key.split("/")[2] for item in OssHook().list_objects(f"oss://{bucket.bucket_name}/models/m/_calls")
    }
    assert calls == {"_calls"}


def test_a_command_that_leaves_the_function_out_is_no_success(bucket):
    with pytest.raises(PaiJobFailedError, match="NoReturnValue"):
        run_of(bucket, facts, 1, options={"command": "true"}).run()


def test_a_job_that_fails_without_the_function_tells_its_own_reason(bucket):
    with pytest.raises(PaiJobFailedError, match="broken image") as caught:
        run_of(bucket, facts, 1, options={"command": "echo broken image; exit 9"}).run()
    assert type(caught.value) is PaiJobFailedError


def test_a_job_that_the_decorator_has_not_made_gives_no_value(bucket):
    run = run_of(bucket, facts, 1)
    one = run.make()
    identity = one.identity(run.context())
    body = one.build(run.context(), identity, 1)
    del body["Envs"]["PAI_CALL"]
    DlcHook().submit({**body, "UserCommand": "true"})
    run.try_number = 1
    with pytest.raises(PaiJobFailedError, match=r"not made by @task\.pai_dlc"):
        run.run()


@both
def test_mapped_tasks_keep_to_their_own_jobs(bucket, deferrable):
    options = {"staging_uri": f"oss://{bucket.bucket_name}/calls", "deferrable": deferrable, "poll_interval": 0.02}
    with DAG("mapped"):
        made = facts.override(image="i", ecs_spec="ecs.g6.large", **options).partial(scale=2).expand(first=[5, 6])
    runs = [
        Task(
            lambda first=first: made.operator.unmap({"op_kwargs": {"first": first}}),
            map_index=index,
            run_id=bucket.bucket_name,
        )
        for index, first in enumerate([5, 6])
    ]
    assert [run.run()["first"] for run in runs] == [5, 6]
    assert not set(jobs_of(runs[0])) & set(jobs_of(runs[1]))
