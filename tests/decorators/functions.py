"""A function for every test, and how it is run."""

from __future__ import annotations

from decimal import Decimal

from airflow.providers.common.compat.sdk import task

from airflow_provider_pai.hooks.dlc import DlcHook
from tests.task import Task


@task.pai_dlc
def facts(first, *rest, scale: Decimal | None = None, **named):
    import os

    return {"first": first, "rest": rest, "scale": scale, "named": named, "rank": os.environ["RANK"]}


def operator(bucket, function, *args, options=None, **kwargs):
    given = {
        "task_id": "task",
        "image": "python:3.12",
        "ecs_spec": "ecs.g6.large",
        "poll_interval": 0.02,
        "staging_uri": f"oss://{bucket.bucket_name}/calls",
    }
    return function.override(**{**given, **(options or {})})(*args, **kwargs).operator


def run_of(bucket, function, *args, run="run", options=None, **kwargs):
    make = lambda: operator(bucket, function, *args, options=options, **kwargs)  # noqa: E731
    return Task(make, run_id=f"{bucket.bucket_name}-{run}")


def jobs_of(run):
    return {job.job_id: job.status for job in DlcHook().find(run.make().identity(run.context()))}
