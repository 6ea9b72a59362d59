"""PaiRetryPolicy: the same table for tasks that are not our operators'."""

from __future__ import annotations

from types import SimpleNamespace

import airflow
import pytest
from packaging.version import Version

from airflow_provider_pai import policies
from airflow_provider_pai.causes import Cause, Diagnosis
from airflow_provider_pai.exceptions import (
    PaiConfigError,
    PaiJobFailedError,
    PaiNotFoundError,
    PaiTimeoutError,
    PaiTransientError,
)

HAS_POLICIES = Version(airflow.__version__) >= Version("3.3")
newest = pytest.mark.skipif(not HAS_POLICIES, reason="Airflow 3.3 brings retry policies")


def job(cause, exception=""):
    return PaiJobFailedError("DLC job", "dlc1", "Failed", None, None, "", Diagnosis(cause, 1, exception))


def actions(errors, *, retry_on="auto", max_tries=5, store=None):
    """Return what is decided of a task's tries, each of which fails with the next error."""
    kept = {} if store is None else store
    context = {"task_state_store": SimpleNamespace(get=kept.get, set=kept.__setitem__)}
    policy = policies.PaiRetryPolicy(retry_on)
    return [policy.evaluate(error, number, max_tries, context).action.value for number, error in enumerate(errors, 1)]


@newest
@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([job(Cause.STOPPED)], ["fail"]),
        ([job(Cause.PREEMPTED)] * 3, ["default"] * 3),
        ([job(Cause.CODE, "ValueError: 1"), job(Cause.CODE, "ValueError: 2")], ["default", "fail"]),
        ([job(Cause.CODE, "ValueError"), job(Cause.CODE, "KeyError")], ["default", "default"]),
        ([ValueError("row 1"), OSError("disk"), ValueError("row 2")], ["default", "default", "fail"]),
        ([ConnectionResetError("x")] * 3, ["default"] * 3),
        ([MemoryError()] * 2, ["default", "fail"]),
        ([PaiNotFoundError("oss", "GetObject", "not there")] * 3, ["default"] * 3),
        ([PaiTransientError("oss", "GetObject", "no answer")] * 3, ["default"] * 3),
        ([PaiTimeoutError("dlc1 was Running")] * 2, ["default", "fail"]),
    ],
)
def test_the_same_table_holds_for_other_tasks(errors, expected):
    assert actions(errors) == expected


@newest
def test_retry_on_and_a_clear():
    code = [job(Cause.CODE, "ValueError")]
    assert actions(code * 3, retry_on="always") == ["default"] * 3
    assert actions(code, retry_on="infrastructure") == ["fail"]
    kept = {}
    assert actions(code * 2, store=kept) == ["default", "fail"]
    assert actions(code * 2, store=kept, max_tries=8) == ["default", "fail"]
    assert policies.PaiRetryPolicy().evaluate(code[0], 1, 2).action.value == "default"
    with pytest.raises(PaiConfigError, match="retry_on"):
        policies.PaiRetryPolicy("never")


@newest
def test_airflow_takes_it():
    from airflow.sdk import DAG, task

    with DAG("d", schedule=None):

        @task(retries=2, retry_policy=policies.PaiRetryPolicy())
        def work() -> None: ...

        assert work().operator.has_retry_policy


@pytest.mark.skipif(HAS_POLICIES, reason="it is there")
def test_an_older_airflow_imports_the_package():
    assert policies.__all__ == ["PaiRetryPolicy"]
    with pytest.raises(ImportError):
        _ = policies.PaiRetryPolicy
