"""Intervals of operators, sensors and triggers: spans of time in any form, refused by name when the DAG is parsed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.operators.dlc import DlcStopJobOperator, DlcSubmitJobOperator
from airflow_provider_pai.operators.eas import EasStartServiceOperator
from airflow_provider_pai.sensors.oss import OssPrefixUnchangedSensor
from airflow_provider_pai.triggers.oss_events import OssObjectTrigger

LEAVES = {
    "poll_interval of a job": lambda span: (
        DlcSubmitJobOperator(
            task_id="t", framework="xgboost", ecs_spec="s", image="i", command="c", poll_interval=span
        ).poll_interval
    ),
    "log_interval of a job": lambda span: (
        DlcSubmitJobOperator(
            task_id="t", framework="xgboost", ecs_spec="s", image="i", command="c", log_interval=span
        ).log_interval
    ),
    "poll_interval of a stop": lambda span: (
        DlcStopJobOperator(task_id="t", job_id="j", poll_interval=span).poll_interval
    ),
    "poll_interval of a service": lambda span: (
        EasStartServiceOperator(task_id="t", service_name="s", poll_interval=span).poll_interval
    ),
    "quiet_seconds of a sensor": lambda span: (
        OssPrefixUnchangedSensor(task_id="t", uri="oss://bucket/in/", quiet_seconds=span).quiet_seconds
    ),
    "poll_interval of a watcher": lambda span: (
        OssObjectTrigger(uri="oss://bucket/in/", poll_interval=span).poll_interval
    ),
}


@pytest.mark.parametrize("leaf", LEAVES)
@pytest.mark.parametrize("span", [90, "90", "90s", "1m30s", "PT1M30S", timedelta(seconds=90)])
def test_a_span_is_read_in_every_form(leaf, span):
    assert LEAVES[leaf](span) == 90


@pytest.mark.parametrize("leaf", LEAVES)
@pytest.mark.parametrize("span", ["soon", "nan", None, -1, [90]])
def test_what_is_no_span_is_refused_by_name(leaf, span):
    with pytest.raises(PaiConfigError, match=leaf.partition(" ")[0]):
        LEAVES[leaf](span)
