"""Planted: retries without exactly-once. A try that dies behind CreateJob is followed by one that makes another job."""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.sensors.dlc import DlcJobSensor

BODY = {
    "DisplayName": "train",
    "JobType": "PyTorchJob",
    "JobSpecs": [{"Type": "Worker", "Image": "train:1", "PodCount": 1, "EcsSpec": "ecs.g6.large"}],
    "UserCommand": "sleep 2",
    "JobMaxRunningTimeMinutes": 60,
}

with DAG("twice", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):

    @task(retries=3, retry_delay=timedelta(minutes=5))
    def train():
        return DlcHook().submit(dict(BODY))

    DlcJobSensor(task_id="trained", job_id=train(), retries=3, poke_interval=30)
