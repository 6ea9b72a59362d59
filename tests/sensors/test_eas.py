from __future__ import annotations

import threading
import time

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException

from airflow_provider_pai.exceptions import PaiConfigError, PaiJobFailedError
from airflow_provider_pai.sensors.eas import EasServiceSensor
from tests.service import config
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

both = pytest.mark.parametrize("deferrable", [False, True])


def sensor(group, **changes):
    given = {"task_id": "task", "poke_interval": 0.02, "timeout": 20, "service_name": f"{group.name}_one"}
    return Task(lambda: EasServiceSensor(**{**given, **changes}))


def test_waits_for_every_instance_the_same_in_every_way(group):
    outcomes = []
    for deferrable in (False, True):
        timer = threading.Timer(0.3, group.eas.create, [config(group, instances=2)])
        timer.start()
        for _ in range(2):  # the second time it is ready before the first look
            run = sensor(group, deferrable=deferrable)
            run.run()
            outcomes.append(str(run.xcoms))
        group.eas.delete(f"{group.name}_one")
        assert sensor(group, deferrable=deferrable, until="deleted").run()["status"] == "Deleted"
    assert len(set(outcomes)) == 1
    assert "'instances': 2" in outcomes[0]
    assert "pai_eas_service_url" in outcomes[0]


@both
def test_a_failed_service_fails_the_task_with_its_last_lines(group, deferrable):
    group.eas.create(config(group, script="echo no such module >&2; exit 3"))
    with pytest.raises(PaiJobFailedError, match="no such module"):
        sensor(group, deferrable=deferrable).run()


@both
def test_a_stopped_service_is_waited_for(group, deferrable):
    group.eas.create(config(group))
    sensor(group).run()
    group.eas.stop(f"{group.name}_one")
    assert sensor(group, deferrable=deferrable, until="stopped").run()["status"] == "Stopped"
    threading.Timer(0.2, group.eas.start, [f"{group.name}_one"]).start()
    assert sensor(group, deferrable=deferrable).run()["status"] == "Running"


@both
def test_gives_up_at_the_timeout_and_leaves_the_service_alone(group, deferrable):
    group.eas.create(config(group, script="sleep 60"))
    with pytest.raises(AirflowSensorTimeout):
        sensor(group, deferrable=deferrable, timeout=0.1).run()
    with pytest.raises(AirflowSkipException):
        sensor(group, deferrable=deferrable, timeout=0.1, soft_fail=True).run()
    time.sleep(0.05)
    assert group.eas.get(f"{group.name}_one").status in ("Creating", "Waiting")


@both
def test_server_errors_never_fail_the_task(group, pai, deferrable):
    group.eas.create(config(group))
    pai.account.faults.add(match="api DescribeService ", status=503, code="ServiceUnavailable", probability=0.3)
    assert sensor(group, deferrable=deferrable).run()["status"] == "Running"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"service_name": None}, "service_name: None"),
        ({"until": "happy"}, "until: 'happy' is not allowed; one of ready"),
    ],
)
def test_bad_input_is_refused(group, changes, message):
    with pytest.raises(PaiConfigError, match=message):
        sensor(group, **changes).run()
