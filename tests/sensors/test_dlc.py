from __future__ import annotations

import asyncio
import time

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException

from airflow_provider_pai.exceptions import PaiConfigError, PaiJobFailedError, PaiNotFoundError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.sensors.dlc import DlcJobSensor
from airflow_provider_pai.states import DLC_JOB, Verdict
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

both = pytest.mark.parametrize("deferrable", [False, True])


def submit(command):
    """Make a job as something outside Airflow would: it bears no tags of ours."""
    spec = {"Type": "Worker", "PodCount": 1, "Image": "train:1", "EcsSpec": "ecs.g6.large"}
    body = {"DisplayName": "other", "JobType": "XGBoostJob", "JobSpecs": [spec], "UserCommand": command}
    return DlcHook().submit(body)


def sensor(job_id, **changes):
    given = {"task_id": "task", "poke_interval": 0.02, "timeout": 20, "job_id": job_id}
    return Task(lambda: DlcJobSensor(**{**given, **changes}))


def test_waits_until_a_job_has_succeeded_the_same_in_every_way():
    outcomes = []
    for deferrable, job_id in ((False, submit("sleep 0.3")), (True, submit("sleep 0.3"))):
        for _ in range(2):  # the second time it has ended before the first look
            run = sensor(job_id, deferrable=deferrable)
            run.run()
            outcomes.append(str(run.xcoms).replace(job_id, "ID"))
    assert len(set(outcomes)) == 1
    assert "'status': 'Succeeded'" in outcomes[0]
    assert "pai_dlc_job_url" in outcomes[0]


@both
def test_a_failed_job_fails_the_task_with_its_reason_and_last_lines(deferrable):
    job_id = submit("sleep 0.2; echo 'no such column' >&2; exit 3")
    with pytest.raises(PaiJobFailedError, match="no such column") as caught:
        sensor(job_id, deferrable=deferrable).run()
    assert (caught.value.job_id, caught.value.status) == (job_id, "Failed")
    assert caught.value.reason_code


@both
def test_a_stopped_job_is_no_success(deferrable):
    job_id = submit("sleep 60")
    DlcHook().request_stop(job_id)
    with pytest.raises(PaiJobFailedError, match="Stopped"):
        sensor(job_id, deferrable=deferrable).run()


@both
def test_gives_up_at_the_timeout_and_leaves_the_job_alone(deferrable):
    job_id = submit("sleep 60")
    with pytest.raises(AirflowSensorTimeout):
        sensor(job_id, deferrable=deferrable, timeout=0.1).run()
    with pytest.raises(AirflowSkipException):
        sensor(job_id, deferrable=deferrable, timeout=0.1, soft_fail=True).run()
    assert DLC_JOB.judge(DlcHook().get(job_id).status) is Verdict.ACTIVE
    DlcHook().request_stop(job_id)


def test_a_killed_trigger_leaves_the_job_alone():
    job_id = submit("sleep 0.5")
    trigger = sensor(job_id).make().make_trigger(0.02, "2100-01-01T00:00:00+00:00")
    asyncio.run(trigger.on_kill())
    sensor(job_id).make().on_kill()
    time.sleep(0.05)
    assert DlcHook().wait(job_id, poll_interval=0.05).status == "Succeeded"


@both
def test_server_errors_never_fail_the_task(pai, deferrable):
    job_id = submit("sleep 0.5")
    pai.account.faults.add(match="api (GetJob|ListJobs)", status=503, code="ServiceUnavailable", probability=0.3)
    assert sensor(job_id, deferrable=deferrable).run()["job_id"] == job_id


@both
def test_a_job_that_does_not_exist_is_an_error(deferrable):
    with pytest.raises(PaiNotFoundError):
        sensor("dlc0nosuchjob", deferrable=deferrable).run()


@both
def test_a_job_needs_an_id(deferrable):
    with pytest.raises(PaiConfigError, match="job_id: None is not allowed"):
        sensor(None, deferrable=deferrable).run()
