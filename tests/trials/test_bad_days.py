"""Days on which networks, services or people's own habits are bad."""

from __future__ import annotations

import pytest

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.sensors.oss import OssArtifactSensor, OssKeySensor
from tests.dead import dead
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


def train(bucket, **changes):
    given = {"framework": "python", "ecs_spec": "ecs.g6.large", "image": "python:3.11", "poll_interval": 0.02}
    given |= {"task_id": "train", "output": f"oss://{bucket.bucket_name}/models", **changes}
    return Task(lambda: DlcSubmitJobOperator(**given), run_id=bucket.bucket_name)


def test_a_person_trains_while_a_proxy_answers_in_html_and_the_ledger_is_down_and_the_model_is_there(pai, bucket):
    pai.account.faults.add(match="api ListJobs", status=200, spoil="html", times=2)
    with dead("refused"):
        artifact = train(bucket, command="echo m > $PAI_OUTPUT_DIR/model", deferrable=True).run()
    sensor = Task(lambda: OssArtifactSensor(task_id="model", artifact=artifact, poke_interval=0.02))
    assert sensor.run()["digest"] == artifact["digest"]


def test_a_person_waits_for_a_file_while_answers_of_oss_break_off_and_it_is_found(pai, bucket):
    bucket.put_object("in/a.csv", b"1")
    pai.account.faults.add(match="oss GET", cut_after=20, times=2)
    uri = f"oss://{bucket.bucket_name}/in/*.csv"
    for deferrable in (False, True):
        given = {"task_id": "wait", "uri": uri, "poke_interval": 0.02, "deferrable": deferrable}
        assert Task(lambda given=given: OssKeySensor(**given)).run()


def test_a_person_puts_a_token_into_a_repositorys_url_and_nothing_is_made_and_nobody_sees_it(bucket):
    code = {"repo": "https://me:my-own-token@github.com/my-team/digits.git", "commit": "main"}
    with pytest.raises(PaiConfigError, match="git_conn_id") as refused:
        train(bucket, command="python train.py", code=code).run()
    assert "my-own-token" not in str(refused.value)
