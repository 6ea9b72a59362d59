"""Logs of any kind beside a triggerer's event loop: how long it stands still at most while their ends are copied.

Part of `triggerer.py`. For each kind new waits begin once a second and copy a log that is new to them:

- quiet: no log is copied.
- line: GetPodLogs answers one line of 20 MB.
- lines: it answers its 2,000 lines, of 10,000 that are written between two looks.
- run: the log of a DSW run has 1 GB on OSS.

worked_ms: the most that the loop's own thread worked in one go, in CPU time; longest_ms: the longest time for which
nothing could run on it, also because threads held the interpreter or others the machine: `quiet` tells how much of it
others had; p99_ms: how late a 1 ms sleep woke; looks: how often a log was read.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from children import ask, child, hear, p99, say
from polling import HOOK, TASK

from airflow_provider_pai.emulator.connection import connection_to

Json = dict[str, Any]

KINDS = ("quiet", "line", "lines", "run")
LINE_BYTES, LINES = 20_000_000, 10_000
SAMPLE = 0.001
_JOB = {"JobType": "PyTorchJob", "UserCommand": "sleep 3600"}
_SPEC = {"Type": "Worker", "PodCount": 1, "Image": "image", "EcsSpec": "ecs.g6.large"}


def serve(run_bytes: int) -> None:
    """Run an emulator with a job for each kind of log."""
    from airflow_provider_pai.emulator import Emulator

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    logging.getLogger("airflow_provider_pai.emulator.requests").setLevel(logging.WARNING)
    with Emulator(dwell=0.01) as pai:
        os.environ["AIRFLOW_CONN_PAI_DEFAULT"] = json.dumps(connection_to(pai.endpoints.to_dict()))
        jobs = {**_jobs(pai), "run": _run(run_bytes)}
        say({"connection": os.environ["AIRFLOW_CONN_PAI_DEFAULT"], "jobs": jobs})
        sys.stdin.readline()
        say({})


def _jobs(pai: Any) -> dict[str, str]:
    from airflow_provider_pai.hooks.dlc import DlcHook

    hook, number = DlcHook(), itertools.count()
    jobs = {kind: hook.submit({**_JOB, "DisplayName": kind, "JobSpecs": [_SPEC]}) for kind in KINDS if kind != "run"}
    written = {
        jobs["line"]: lambda: [f"{'x' * LINE_BYTES}{next(number)}"],
        jobs["lines"]: lambda: [f"line {next(number)} of an epoch, loss 0.123" for _ in range(LINES)],
    }

    def logs(job_id: str, pod_id: str, pod_uid: str, _: Any, limit: int) -> Json:
        return {"JobId": job_id, "PodId": pod_id, "PodUid": pod_uid, "Logs": written[job_id]()[-limit:]}

    pai.services.dlc.logs = logs
    for job_id in jobs.values():
        hook.wait(job_id, poll_interval=0.05, until=lambda job: job.status == "Running")
    return jobs


def _run(run_bytes: int) -> str:
    from airflow_provider_pai.hooks.dsw import DswHook
    from airflow_provider_pai.hooks.oss import OssHook
    from airflow_provider_pai.remote import LOG_NAME, RUN_URI

    oss, dsw = OssHook(), DswHook()
    oss.create_bucket("bench-logs")
    block = b"step 1234 of an epoch, loss 0.123456789\n" * 100_000
    with oss.writer(f"oss://bench-logs/run/{LOG_NAME}") as log:
        for _ in range(max(1, run_bytes // len(block))):
            log.write(block)
    variables = {RUN_URI: "oss://bench-logs/run/"}
    body = {"InstanceName": "bench", "EcsSpec": "ecs.g6.large", "ImageId": "cpu", "EnvironmentVariables": variables}
    run = dsw.submit(body)
    dsw.wait(run, poll_interval=0.05, until=lambda job: job.status == "Running")
    return run


def watch(seconds: float) -> None:
    """Be the loop's process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    jobs = json.loads(sys.stdin.readline())
    say({kind: asyncio.run(_beside(kind, jobs[kind], seconds)) for kind in KINDS})
    os._exit(0)


async def _beside(kind: str, job_id: str, seconds: float) -> Json:
    looks = _counted()
    await _waits(kind, job_id, 2)  # what is imported and called once
    looks.clear()
    lags: list[float] = []
    works: list[float] = []
    sampling = asyncio.create_task(_sample(lags, works))
    await _waits(kind, job_id, seconds)
    sampling.cancel()
    return {
        "worked_ms": round(1000 * max(works), 1),
        "longest_ms": round(1000 * max(lags), 1),
        "p99_ms": round(1000 * p99(lags), 1),
        "looks": len(looks),
    }


def _counted() -> list[float]:
    from airflow_provider_pai.hooks.waiting import LogCopy

    looks: list[float] = []
    real = getattr(LogCopy.look, "real", LogCopy.look)

    def look(copy: LogCopy) -> None:
        real(copy)
        looks.append(time.monotonic())

    look.real = real  # type: ignore[attr-defined]
    LogCopy.look = look  # type: ignore[method-assign]
    return looks


async def _waits(kind: str, job_id: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        wait = asyncio.create_task(anext(_trigger(kind, job_id).run()))
        await asyncio.sleep(1)
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)


async def _sample(lags: list[float], works: list[float]) -> None:
    while True:
        begun, worked = time.monotonic(), time.thread_time()
        await asyncio.sleep(SAMPLE)
        lags.append(time.monotonic() - begun - SAMPLE)
        works.append(time.thread_time() - worked)


def _trigger(kind: str, job_id: str) -> Any:
    from airflow_provider_pai.triggers.job import PaiJobTrigger

    return PaiJobTrigger(
        hook_path="airflow_provider_pai.hooks.dsw.DswRunHook" if kind == "run" else HOOK,
        hook_arguments={"pai_conn_id": "pai_default", "region": None, "workspace_id": None},
        job_id=job_id,
        poll_interval=0.2,
        log_interval=0 if kind == "quiet" else 0.2,
        task=dict(TASK),
    )


def measure(options: argparse.Namespace) -> Json:
    """Measure each kind, one after the other."""
    arguments = ("--serve-logs", "--run-mb", options.run_mb)
    with tempfile.TemporaryDirectory() as home, child(*arguments) as emulator:
        plan = hear(emulator)
        environment = {"AIRFLOW_CONN_PAI_DEFAULT": plan["connection"], "AIRFLOW_HOME": str(Path(home))}
        with child("--watch-logs", "--log-seconds", options.log_seconds, environment=environment) as loop:
            found = ask(loop, json.dumps(plan["jobs"]))
    return {"run_mb": options.run_mb, **found}
