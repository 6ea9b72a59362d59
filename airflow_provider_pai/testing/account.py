"""Emulated account as a test sees it: objects, jobs, groups, faults."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.remote import Json
from airflow_provider_pai.testing.speed import hastened
from airflow_provider_pai.testing.traffic import ServiceGroup
from airflow_provider_pai.uri import OssUri

SPEED = 60.0
"""A minute of a DAG's waiting is a second of a test's."""

# Seconds: what a service takes for nothing but to be one is kept short, too.
_TIMES = {"dwell": 0.02, "grace": 1.0, "gateway_lag": 0.05}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One DLC job."""

    id: str
    name: str
    status: str
    command: str
    image: str
    pods: int
    tags: Mapping[str, str]
    datasets: Mapping[str, str]
    """What is mounted: path in the container to `oss://` address."""
    environment: Mapping[str, str]
    described: Json = field(repr=False)
    """GetJob's answer, with everything else."""

    @classmethod
    def of(cls, job: Json) -> Job:
        """Read GetJob's answer."""
        specs = job.get("JobSpecs") or []
        return cls(
            id=job["JobId"],
            name=job.get("DisplayName", ""),
            status=job["Status"],
            command=job.get("UserCommand", ""),
            image=next((spec.get("Image", "") for spec in specs), ""),
            pods=sum(int(spec.get("PodCount") or 1) for spec in specs),
            tags=(job.get("Settings") or {}).get("Tags") or {},
            datasets={each.get("MountPath", ""): each.get("Uri", "") for each in job.get("DataSources") or []},
            environment=job.get("Envs") or {},
            described=job,
        )


class Pai:
    """One emulated account.

    :param emulator: the emulator itself, for what is not here.
    """

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def bucket(self, name: str) -> str:
        """Make a bucket and return its address."""
        OssHook().create_bucket(name)
        return f"oss://{name}/"

    def put(self, uri: str, content: str | bytes | Path) -> None:
        """Write an object; of a path, that file, or all files below that folder."""
        if isinstance(content, str | bytes):
            OssHook().put(uri, content)
        elif content.is_dir():
            OssHook().upload_folder(content, uri)
        else:
            OssHook().upload(content, uri)

    def read(self, uri: str) -> bytes:
        """Return an object's bytes."""
        return OssHook().get(uri)

    def files(self, uri: str) -> list[str]:
        """Return the addresses of the objects below a prefix."""
        return [str(info.uri) for info in OssHook().list_objects(OssUri.parse(uri))]

    @property
    def jobs(self) -> list[Job]:
        """Return the DLC jobs that were made, oldest first."""
        dlc = DlcHook()
        jobs = [dlc.describe(job["JobId"]) for job in dlc.list_jobs()]
        return [Job.of(job) for job in sorted(jobs, key=lambda job: str(job.get("GmtCreateTime")))]

    def group(self, name: str) -> ServiceGroup:
        """Return a service group of EAS, which need not be there yet."""
        return ServiceGroup(name)

    def fail_next(self, call: str, times: int = 1, **fault: Any) -> None:
        """Let the next calls fail: by default with 503, of which nothing was done.

        :param call: the API's action, `CreateJob`, or a regular expression as in docs/emulator.md, "Faults".
        :param fault: further fields of a fault there: `drop="answer"` does the work and loses the answer.
        """
        self.emulator.account.faults.add(match=call, times=times, **(fault or {"status": 503}))

    def world(self, **switches: Any) -> None:
        """Turn switches of the emulated cloud: docs/emulator.md, "Worlds"."""
        self.emulator.account.change_world(switches)

    def evict(self, job_id: str) -> None:
        """Take a running job's pods away, as a spot instance goes."""
        self.emulator.call(lambda: self.emulator.services.dlc.evict(job_id))


@contextmanager
def opened(*, speed: float = SPEED, world: Mapping[str, Any] | None = None, **settings: Any) -> Iterator[Pai]:
    """Start an emulated account and point the connection `pai_default` at it; what waits passes fast.

    :param settings: the emulator's.
    """
    times = {**_TIMES, "minute": 60 / speed}
    with Emulator(world=world, speed=speed, **{**times, **settings}) as emulator:
        connection = emulator.endpoints.connection(deployment="https://airflow.test")
        environment = {
            "AIRFLOW_CONN_PAI_DEFAULT": json.dumps(connection),
            # The audit ledger lies there: each account has its own.
            "AIRFLOW_HOME": str(emulator.data / "airflow"),
        }
        with patch.dict(os.environ, environment), hastened(speed, emulator.account.metrics_time):
            yield Pai(emulator)
