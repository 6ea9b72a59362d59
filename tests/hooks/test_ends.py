"""Ends that are refused: each stop and each delete is asked again until it holds, or says what goes on."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from airflow_provider_pai.exceptions import PaiApiError, PaiNotFoundError, PaiPermissionError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.dlc.tensorboards import TensorBoardHook
from airflow_provider_pai.hooks.dsw import DswHook, DswRunHook
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.states import DLC_JOB, DLC_TENSORBOARD, DSW_INSTANCE, EAS_GONE, EAS_SERVICE
from tests.service import create

pytestmark = pytest.mark.usefixtures("connection")


def job(_group, _number):
    spec = {"Type": "Worker", "PodCount": 1, "Image": "i", "EcsSpec": "ecs.g6.large"}
    body = {"DisplayName": "x", "JobType": "PyTorchJob", "UserCommand": "sleep 60", "JobSpecs": [spec]}
    return running(DlcHook(), DlcHook().submit(body))


def instance(_group, _number):
    body = {"InstanceName": f"n_{uuid.uuid4().hex[:8]}", "EcsSpec": "ecs.g6.large", "ImageId": "cpu"}
    return running(DswHook(), DswHook().submit(body))


def instance_at_rest(group, number):
    instance_id = instance(group, number)
    DswHook().stop(instance_id)
    DswHook().wait(instance_id, poll_interval=0.02, until=lambda one: one.status == "Stopped")
    return instance_id


def board(group, number):
    region = DlcHook().connection.region
    logs = f"oss://{group.bucket}.oss-{region}-internal.aliyuncs.com/logs/"
    body = {"DisplayName": f"{group.name}-{number}", "DataSourceType": "OSS", "Uri": logs, "SummaryRelativePath": "/"}
    return running(TensorBoardHook(), TensorBoardHook().create({**body, "MaxRunningTimeMinutes": 60}))


def service(group, number):
    return create(group, f"s{number}")


def running(hook, job_id):
    hook.wait(job_id, poll_interval=0.02, until=lambda one: one.status in {"Running", "Failed"})
    return job_id


JOB_OVER = DLC_JOB.failed | DLC_JOB.stopping
ENDS = {
    "StopJob": (job, DlcHook, DlcHook.request_stop, JOB_OVER),
    "StopInstance": (instance, DswRunHook, DswRunHook.request_stop, DSW_INSTANCE.resting | DSW_INSTANCE.stopping),
    "DeleteInstance": (instance_at_rest, DswHook, DswHook.delete, DSW_INSTANCE.deleting),
    "StopTensorboard": (board, TensorBoardHook, TensorBoardHook.stop, DLC_TENSORBOARD.resting),
    "StopService": (service, EasHook, EasHook.stop, EAS_SERVICE.stopped | EAS_SERVICE.stopping),
    "DeleteService": (service, EasHook, EasHook.delete, EAS_SERVICE.deleting | {EAS_GONE}),
}
REFUSALS = {
    "once": {"status": 400, "code": "InternalError", "times": 1},
    "as if it were not there": {"status": 404, "code": "InternalError", "times": 1},
    "three times": {"status": 409, "code": "Conflict", "times": 3},
    "answer lost": {"drop": "answer", "times": 1},
    "unavailable": {"status": 503, "code": "ServiceUnavailable", "times": 2},
}


@pytest.mark.parametrize("action", ENDS)
def test_an_end_is_asked_for_again_until_it_holds(group, pai, action):
    make, hook_class, end, over = ENDS[action]
    for number, refusal in enumerate(REFUSALS.values()):
        made, hook = make(group, number), hook_class()
        pai.account.faults.add(match=f"api {action}", **refusal)
        end(hook, made)
        pai.account.faults.clear()
        look = hook.sibling(DswHook) if hook_class is DswRunHook else hook
        deadline = hook.clock.utc() + timedelta(seconds=5)
        try:
            look.wait(made, poll_interval=0.02, deadline=deadline, until=lambda one: one.status in over)
        except PaiNotFoundError:
            assert action == "DeleteInstance"


@pytest.mark.parametrize("action", ENDS)
def test_an_end_that_is_refused_all_the_while_says_what_goes_on(group, pai, action):
    make, hook_class, end, _ = ENDS[action]
    made, hook = make(group, 0), hook_class()
    hook.retry_seconds = 0
    pai.account.faults.add(match=f"api {action}", status=400, code="InternalError", message="not now")
    with pytest.raises(PaiApiError, match=f"{made} is .* and can't be ended yet: .*not now"):
        end(hook, made)
    pai.account.faults.clear()
    hook.retry_seconds = 60
    pai.account.faults.add(match=f"api {action}", status=403, code="Forbidden.RAM", message="no")
    with pytest.raises(PaiPermissionError, match="no"):
        end(hook, made)
    pai.account.faults.clear()
