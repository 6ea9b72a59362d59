"""A TensorBoard over a job's log folder: one a folder, started again, stopped."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.dlc.tensorboards import TensorBoardHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.dlc.tensorboards import DlcStartTensorBoardOperator, DlcStopTensorBoardOperator
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


def start(bucket, **changes):
    given = {"log_uri": f"oss://{bucket.bucket_name}/logs", "poll_interval": 0.02, **changes}
    return Task(lambda: DlcStartTensorBoardOperator(task_id="task", **given))


def stop(tensorboard_id):
    Task(lambda: DlcStopTensorBoardOperator(task_id="task", tensorboard_id=tensorboard_id)).run()


def test_a_folder_has_one_tensorboard_which_is_started_again(bucket):
    OssHook().put(f"oss://{bucket.bucket_name}/logs/events.out.tfevents.1", b"")
    task = start(bucket)
    first = task.run()
    assert first["status"] == "Running"
    assert task.xcoms["pai_tensorboard_url"] == first["url"]
    assert requests.get(first["url"], timeout=10).status_code == 200
    assert start(bucket).run()["tensorboard_id"] == first["tensorboard_id"]
    stop(first["tensorboard_id"])
    assert TensorBoardHook().wait(first["tensorboard_id"], poll_interval=0.02, until=stopped)
    stop(first["tensorboard_id"])
    again = start(bucket).run()
    assert (again["tensorboard_id"], again["status"]) == (first["tensorboard_id"], "Running")
    stop(first["tensorboard_id"])


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": "answer"}, {"drop": "request"}])
def test_one_that_was_not_told_is_asked_for_again_and_made_once(bucket, pai, fault):
    pai.account.faults.add(match="api CreateTensorboard", times=1, **fault)
    made = start(bucket).run()["tensorboard_id"]
    name = TensorBoardHook().describe(made)["DisplayName"]
    assert TensorBoardHook().named(name) == made
    stop(made)


def stopped(board):
    return board.status == "Stopped"


def test_one_that_is_gone_is_stopped():
    stop("tensorboard-gone")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"log_uri": "/logs"}, "log_uri: '/logs' is not allowed; write oss://"),
        ({"max_running_time": timedelta(seconds=1)}, "max_running_time: .* a span of at least 60 s"),
    ],
)
def test_bad_input_is_refused(bucket, changes, message):
    with pytest.raises(PaiConfigError, match=message):
        start(bucket, **changes).run()


def test_the_id_is_needed():
    with pytest.raises(PaiConfigError, match="tensorboard_id: '' is not allowed"):
        stop("")
