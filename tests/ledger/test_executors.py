"""Executors, and whether a file is the one ledger of all tasks."""

from __future__ import annotations

import pytest
from airflow.providers.sqlite.hooks.sqlite import SqliteHook

from airflow_provider_pai.ledger.executors import executors, one_of_many, remote_executors


@pytest.mark.parametrize(
    ("given", "names", "remote"),
    [
        ("LocalExecutor", ["LocalExecutor"], []),
        ("SequentialExecutor", ["SequentialExecutor"], []),
        ("airflow.executors.local_executor.LocalExecutor", ["LocalExecutor"], []),
        ("LocalExecutor,CeleryExecutor", ["LocalExecutor", "CeleryExecutor"], ["CeleryExecutor"]),
        ("LocalExecutor;team1=KubernetesExecutor", ["LocalExecutor", "KubernetesExecutor"], ["KubernetesExecutor"]),
        ("fast:my.module.MyExecutor", ["MyExecutor"], ["MyExecutor"]),
        ("CeleryKubernetesExecutor", ["CeleryKubernetesExecutor"], ["CeleryKubernetesExecutor"]),
    ],
)
def test_executors(monkeypatch, given, names, remote):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", given)
    assert executors() == names
    assert remote_executors() == remote


@pytest.mark.parametrize("variable", ["AIRFLOW_IS_K8S_EXECUTOR_POD", "AIRFLOW_IS_EXECUTOR_CONTAINER"])
def test_a_pod_or_container_is_no_scheduler_s_machine_whatever_its_environment_calls_the_executor(
    monkeypatch, variable
):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    assert one_of_many(SqliteHook()) == ""
    monkeypatch.setenv(variable, "True")
    assert "each worker machine writes an SQLite file of its own" in one_of_many(SqliteHook())
    assert one_of_many(object()) == ""
