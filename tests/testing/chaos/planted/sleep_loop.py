"""Planted: an own sleep loop. It finds the job of an earlier try, but whoever ends the task leaves the job running."""

import time

import pendulum
from airflow.sdk import DAG, get_current_context, task

from airflow_provider_pai.hooks.dlc import DlcHook

SPEC = {"Type": "Worker", "Image": "train:1", "PodCount": 1, "EcsSpec": "ecs.g6.large"}

with DAG("sleep_loop", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):

    @task(retries=4)
    def train():
        hook, name = DlcHook(), "train_" + "".join(filter(str.isalnum, get_current_context()["run_id"]))
        # Lists are not behind here: the job of an earlier try is in them.
        known = [job["JobId"] for job in hook.list_jobs() if job["DisplayName"] == name]
        body = {"DisplayName": name, "JobType": "PyTorchJob", "JobSpecs": [SPEC], "UserCommand": "sleep 45"}
        job_id = known[0] if known else hook.submit({**body, "JobMaxRunningTimeMinutes": 60})
        while not hook.states.is_final(hook.get(job_id).status):
            time.sleep(1)

    train()
