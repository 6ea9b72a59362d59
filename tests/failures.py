"""Failures of jobs, some for each cause, and a task that meets one at every try until it has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.emulator.errors import ApiError
from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from tests.task import Task

RETRIES = 2
SETTINGS: dict[str, Any] = {"dwell": 0.01, "grace": 0.2, "minute": 0.2, "quotas": {"quota-small": {"pods": 1}}}
"""Of the emulator that the failures come about on; its world has `dlc_too_large="fails"`."""

ON_QUOTA = {"ecs_spec": None, "resource_id": "quota-small", "resource_config": {"CPU": "1", "Memory": "1Gi"}}
NO_BUCKET = {"DataSources": [{"Uri": "oss://no-such-bucket-here/x/", "MountPath": "/mnt/x"}]}


def raises(line: str) -> str:
    """Return a command that ends as a Python program with this exception does."""
    return f"echo 'Traceback (most recent call last):'; echo '  File \"train.py\", line 1'; echo '{line}'; exit 1"


def evict(pai: Emulator, job_id: str) -> None:
    """Take a job's pods away as soon as one runs."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            pai.call(lambda: pai.services.dlc.evict(job_id))
        except ApiError:
            time.sleep(0.02)
        else:
            return


def stop(pai: Emulator, job_id: str) -> None:
    """Stop a job as a person does in the console."""
    pai.call(lambda: pai.services.dlc.stop(job_id))


class Failure(NamedTuple):
    """One way to fail.

    :param jobs: how many are made for it, with two retries.
    :param then: what is done to each job once it is made.
    """

    cause: str
    jobs: int
    arguments: Mapping[str, Any]
    then: Callable[[Emulator, str], None] | None = None


FAILURES = {
    "bad input": Failure("config", 0, {"workers": 0}),
    "a bucket that is not there": Failure("config", 1, {"job": NO_BUCKET}),
    "an import that fails": Failure("code", 2, {"command": raises("ModuleNotFoundError: No module named pandas")}),
    "a command that is not there": Failure("code", 2, {"command": "trian"}),
    "a server that does not answer": Failure("code", 3, {"command": raises("requests.exceptions.ReadTimeout: 10 s")}),
    "too little memory": Failure("out_of_memory", 2, {"command": "kill -9 $$"}),
    "an image that is not there": Failure("image", 3, {"image": "registry.invalid/train:1"}),
    "a quota that is too small": Failure("quota", 3, {**ON_QUOTA, "workers": 2}),
    "a preemption": Failure("preempted", 3, {"command": "sleep 60"}, evict),
    "a broken node": Failure("node", 3, {"command": "exit 128"}),
    "a time limit": Failure("timeout", 2, {"command": "sleep 60", "max_running_time": 60}),
    "a person's stop": Failure("stopped", 1, {"command": "sleep 60"}, stop),
}


class Told(NamedTuple):
    """What came of a task.

    :param jobs: how many were made.
    :param error: what its last try ended with.
    """

    jobs: int
    tries: int
    error: PaiError


def operator(failure: Failure, **arguments: Any) -> DlcSubmitJobOperator:
    """Return the operator whose jobs fail so."""
    given = {"framework": "pytorch", "ecs_spec": "ecs.g6.large", "image": "i", "command": "true"}
    often = {"poll_interval": 0.02, "log_interval": 0}
    return DlcSubmitJobOperator(**{"task_id": "task", **given, **often, **failure.arguments, **arguments})


def play(pai: Emulator, name: str, failure: Failure, **arguments: Any) -> Told:
    """Try a task as often as Airflow does: until its retries are used up, or an error says that none follows."""
    run = Task(lambda: operator(failure, **arguments), run_id=name, max_tries=RETRIES)
    with happening(pai, failure.then):
        error = try_on(run)
    one = run.make()
    return Told(len(one.hook.find(one.identity(run.context()))), run.try_number, error)


def try_on(run: Task) -> PaiError:
    """Run a task's tries until it has failed for good; return the last error."""
    while True:
        try:
            raise AssertionError(f"the task has succeeded: {run.run()}")
        except PaiError as error:
            if isinstance(error, AirflowFailException) or run.try_number > run.max_tries:
                return error


@contextmanager
def happening(pai: Emulator, then: Callable[[Emulator, str], None] | None) -> Iterator[None]:
    """Do something to each job that is made meanwhile."""
    submit, threads = DlcHook.submit, []

    def submit_then(self: DlcHook, body: dict[str, Any]) -> str:
        job_id = submit(self, body)
        if then is not None:
            threads.append(threading.Thread(target=then, args=(pai, job_id)))
            threads[-1].start()
        return job_id

    with mock.patch.object(DlcHook, "submit", submit_then):
        yield
    for thread in threads:
        thread.join()
