"""Processes of a benchmark: emulators whose jobs only seem to run, event loops, and the lines of JSON between them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_pai.emulator import Emulator

Json = dict[str, Any]

BODY = {
    "DisplayName": "bench",
    "JobType": "PyTorchJob",
    "UserCommand": "true",
    "WorkspaceId": "10001",
    "Priority": 1,
    "Accessibility": "PRIVATE",
    "JobSpecs": [{"Type": "Worker", "PodCount": 1, "Image": "image", "EcsSpec": "ecs.g6.large"}],
    "Settings": {"Tags": {"task": "0123456789abcdef0123456789abcdef", "cycle": "1", "generation": "1"}},
}


def stub_jobs(pai: Emulator, count: int) -> list[str]:
    """Put jobs into an emulator's store, Running, without pods, and return their ids; called on its loop."""
    from airflow_provider_pai.emulator.dlc.job import Job

    jobs = [Job.create(pai.account, BODY) for _ in range(count)]
    for job in jobs:
        job.move("Running")
        pai.services.dlc._jobs[job.id] = job
        pai.services.dlc._lives[job.id] = _Life(job)
    return [job.id for job in jobs]


class _Life:
    """The life of a stub: it has nothing to end."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def stop(self, code: str, message: str) -> None:
        self.job.move("Stopping", code, message)


@contextlib.contextmanager
def child(*arguments: Any, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, sys.argv[0], *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, env={**os.environ, **(environment or {})}
    ) as child:
        try:
            yield child
        finally:
            child.stdin.close()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()


def tell(child: subprocess.Popen[str], line: str) -> None:
    child.stdin.write(line + "\n")
    child.stdin.flush()


def hear(child: subprocess.Popen[str]) -> Json:
    if line := child.stdout.readline():
        return json.loads(line)
    raise RuntimeError("a process of the benchmark ended before its time; see above")


def ask(child: subprocess.Popen[str], line: str) -> Json:
    tell(child, line)
    return hear(child)


def say(answer: Json) -> None:
    _answers.write(json.dumps(answer) + "\n")
    _answers.flush()


# Airflow logs to stdout. That must reach no pipe that is read later: a full one would stop the loop.
_answers = os.fdopen(os.dup(1), "w")


def p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]
