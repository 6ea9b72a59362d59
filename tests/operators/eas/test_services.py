"""Start, stop, delete, lock and scale a service that exists."""

from __future__ import annotations

import pytest

from airflow_provider_pai.exceptions import PaiConfigError, PaiConflictError, PaiNotFoundError, PaiTimeoutError
from airflow_provider_pai.operators.eas import (
    EasDeleteServiceOperator,
    EasScaleServiceOperator,
    EasSetSafetyLockOperator,
    EasStartServiceOperator,
    EasStopServiceOperator,
)
from tests.service import create
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

both = pytest.mark.parametrize("deferrable", [False, True])

QPS = [{"metricName": "qps", "threshold": "1000"}]


@pytest.fixture
def name(group):
    return create(group)


def run(operator, name, **changes):
    arguments = {"task_id": "task", "service_name": name, "poll_interval": 0.02, "wait_timeout": 20, **changes}
    task = Task(lambda: operator(**arguments))
    task.run()
    return task.xcoms


@both
def test_stop_start_delete(group, name, deferrable):
    for _ in range(2):
        stopped = run(EasStopServiceOperator, name, deferrable=deferrable)
        assert stopped["return_value"] == {"service": name, "status": "Stopped", "instances": 0}
    assert stopped["pai_eas_service_url"].endswith(f"{name}/detail")
    for _ in range(2):
        started = run(EasStartServiceOperator, name, deferrable=deferrable)["return_value"]
        assert started == {"service": name, "status": "Running", "instances": 1}
    for _ in range(2):
        gone = run(EasDeleteServiceOperator, name, deferrable=deferrable)["return_value"]
        assert gone == {"service": name, "status": "Deleted", "instances": 0}
    with pytest.raises(PaiNotFoundError):
        run(EasStartServiceOperator, name)


def test_a_locked_service_is_neither_stopped_nor_deleted(group, name):
    lock = {"task_id": "task", "service_name": name}
    Task(lambda: EasSetSafetyLockOperator(**lock)).run()
    for operator in (EasStopServiceOperator, EasDeleteServiceOperator):
        with pytest.raises(PaiConflictError, match=r"has the safety lock 'dangerous'; .*EasSetSafetyLockOperator"):
            run(operator, name)
    assert group.eas.get(name).status == "Running"
    Task(lambda: EasSetSafetyLockOperator(**lock, lock="none")).run()
    run(EasStopServiceOperator, name)
    with pytest.raises(PaiConfigError, match="lock: 'some' is not allowed; one of all, dangerous, none"):
        Task(lambda: EasSetSafetyLockOperator(**lock, lock="some")).run()


@both
def test_a_fixed_number_of_instances(group, name, deferrable):
    assert run(EasScaleServiceOperator, name, instances="3", deferrable=deferrable)["return_value"]["instances"] == 3
    assert run(EasScaleServiceOperator, name, instances=1, deferrable=deferrable)["return_value"]["instances"] == 1
    assert group.eas.get(name).facts["total"] == 1
    assert run(EasScaleServiceOperator, name, instances=0, deferrable=deferrable)["return_value"]["instances"] == 0


def test_an_autoscaler_is_set_changed_and_removed(group, name, pai):
    pai.account.change_settings({"minute": 2})
    run(EasScaleServiceOperator, name, autoscaler={"min": 1, "max": 2, "scaleStrategies": QPS})
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 30}}
    run(EasScaleServiceOperator, name, autoscaler={"min": "2", "max": 4, "scaleStrategies": QPS, "behavior": behavior})
    found = group.eas.autoscaler(name)
    assert (found["MinReplica"], found["MaxReplica"], found["Behavior"]) == (2, 4, behavior)
    assert found["ScaleStrategies"] == [{"metricName": "qps", "threshold": 1000.0}]
    with pytest.raises(PaiConfigError, match=r"instances: 3 .* has an autoscaler \(2 to 4\); remove_autoscaler"):
        run(EasScaleServiceOperator, name, instances=3)
    run(EasScaleServiceOperator, name, instances=3, remove_autoscaler=True)
    assert group.eas.autoscaler(name) is None
    run(EasScaleServiceOperator, name, remove_autoscaler=True)
    pai.account.change_settings({"minute": 60})


@both
def test_what_takes_too_long_is_given_up_and_left_alone(group, name, pai, deferrable):
    pai.account.change_settings({"dwell": 30})
    try:
        with pytest.raises(PaiTimeoutError, match=f"{name} was Scaling"):
            run(EasScaleServiceOperator, name, instances=2, wait_timeout="0.2", deferrable=deferrable)
    finally:
        pai.account.change_settings({"dwell": 0.01})
    assert group.eas.get(name).facts["total"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "instances: None is not allowed; either instances or autoscaler"),
        ({"instances": 1, "autoscaler": {}}, "not both"),
        ({"instances": -1}, "instances: -1 is not allowed; a whole number of at least 0"),
        ({"autoscaler": {"min": 1}}, r"autoscaler\['max'\]: None"),
        ({"autoscaler": {"min": 2, "max": 2}}, r"autoscaler\['max'\]: 2 is not allowed; more than min, 2"),
        ({"autoscaler": {"min": 1, "max": 2}}, r"autoscaler\['scaleStrategies'\]: None"),
        ({"autoscaler": {"minimum": 1}}, "autoscaler: 'minimum' is not allowed; fields: min, max"),
        ({"autoscaler": {"min": 1, "max": 2, "scaleStrategies": [{"metricName": "qps"}]}}, r"threshold'\]: None"),
        ({"autoscaler": {"min": 1, "max": 2, "scaleStrategies": [{"threshold": 1}]}}, r"metricName'\]: None"),
        (
            {"autoscaler": {"min": 1, "max": 2, "scaleStrategies": QPS, "behavior": {"scaleUp": {"seconds": 1}}}},
            r"autoscaler\['behavior'\]\['scaleUp'\]: 'seconds'",
        ),
        ({"service_name": " ", "instances": 1}, "service_name: ' '"),
    ],
)
def test_bad_input_is_refused(name, changes, message):
    with pytest.raises(PaiConfigError, match=message):
        run(EasScaleServiceOperator, changes.pop("service_name", name), **changes)


def test_a_stopped_or_missing_service_is_not_scaled(group, name):
    run(EasStopServiceOperator, name)
    with pytest.raises(PaiConflictError, match="is Stopped; a service that runs is scaled"):
        run(EasScaleServiceOperator, name, instances=2)
    with pytest.raises(PaiNotFoundError):
        run(EasScaleServiceOperator, f"{name}_none", instances=2)
