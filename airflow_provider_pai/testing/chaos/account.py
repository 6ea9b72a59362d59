"""The emulated account after and during a night: what was made, what serves, what lies on OSS."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from airflow_provider_pai.emulator.store import Store
from airflow_provider_pai.labels import Key, read_labels
from airflow_provider_pai.states import DLC_JOB, DSW_INSTANCE

Json = dict[str, Any]


class Made(NamedTuple):
    """Something on PAI that costs money.

    :param labels: the provider's, where it has any.
    :param active: it runs, and nobody has asked for its end.
    :param created: Unix time.
    :param asked: the request as it arrived; a service's JSON.
    :param limit: seconds after which the service itself ends it.
    """

    kind: str
    id: str
    status: str
    active: bool
    labels: Mapping[str, str]
    created: float
    asked: Json
    limit: float = math.inf

    @property
    def task(self) -> str:
        """Return the task that made it, as its labels tell; empty: they tell none."""
        return read_labels(self.labels).get(Key.TASK_ID, "")

    @property
    def place(self) -> str:
        """Return the task with its map index: what one job is paid for."""
        index = read_labels(self.labels).get(Key.MAP_INDEX, "")
        return f"{self.task}[{index}]" if index not in ("", "-1") else self.task

    def __str__(self) -> str:
        """Return how people call it."""
        return f"{self.kind} {self.id} ({self.status})"


class Serving(NamedTuple):
    """A member of a service group, or a service of its own.

    :param version: number of the service's configuration that serves.
    """

    group: str
    name: str
    version: int
    share: bool
    """It gets the group's traffic."""


class Written(NamedTuple):
    """One state of an object."""

    moment: int
    size: int
    digest: str


class EmulatedAccount:
    """Read from the emulator's own store, so that no fault stands between.

    :param data: its folder.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._store = Store(data / "state.sqlite")

    def made(self) -> list[Made]:
        """Return every job, instance and service, oldest first."""
        found = [read(document) for kind, read in _READERS.items() for document in self._store.all(kind)]
        return sorted(found, key=lambda made: made.created)

    def members(self) -> list[Serving]:
        """Return every service that runs."""
        return [
            Serving(each["group"] or "", each["name"], each["current"], _carries(each))
            for each in self._store.all("eas_service")
            if each["wanted"] == "Running"
        ]

    def serving(self) -> set[Serving]:
        """Return who answers people: those that get a group's traffic, and services of no group."""
        return {member for member in self.members() if member.share or not member.group}

    def group_tokens(self) -> dict[str, str]:
        """Return the groups of which somebody gets traffic, and their tokens."""
        served = {member.group for member in self.members() if member.share}
        return {each["name"]: each["token"] for each in self._store.all("eas_group") if each["name"] in served}

    def tokens(self) -> list[str]:
        """Return every token of the gateway's."""
        return [each["token"] for kind in ("eas_service", "eas_group") for each in self._store.all(kind)]

    def read(self, uri: str) -> bytes:
        """Return an object's bytes."""
        return (self._data / "oss" / uri.removeprefix("oss://")).read_bytes()

    def objects(self) -> dict[str, Written]:
        """Return every object by its address."""
        root = self._data / "oss"
        return dict(_objects(root)) if root.exists() else {}


def _carries(service: Json) -> bool:
    return bool(service["group"] and service["traffic_state"] == "grouping" and service["weight"])


def _objects(root: Path) -> Iterator[tuple[str, Written]]:
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        if parts[0].startswith(".") or not path.is_file():
            continue
        try:
            yield f"oss://{'/'.join(parts)}", Written(path.stat().st_mtime_ns, path.stat().st_size, _digest(path))
        except FileNotFoundError:  # it was written anew this moment
            continue


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _job(document: Json) -> Made:
    asked, status = document["Request"], document["Status"]
    labels = (asked.get("Settings") or {}).get("Tags") or {}
    active = not DLC_JOB.is_final(status) and status not in DLC_JOB.stopping
    limit = 60 * (asked.get("JobMaxRunningTimeMinutes") or math.inf)
    return Made("DLC job", document["JobId"], status, active, labels, document["CreatedAt"], asked, limit)


def _instance(document: Json) -> Made:
    asked, status = document["Request"], document["Status"]
    labels = {each["Key"]: each["Value"] for each in asked.get("Labels") or ()}
    active = status not in DSW_INSTANCE.resting | DSW_INSTANCE.stopping
    due = (document.get("ShutdownTimer") or {}).get("DueTime")
    limit = datetime.fromisoformat(due).timestamp() - document["CreatedAt"] if due else math.inf
    return Made("DSW instance", document["InstanceId"], status, active, labels, document["CreatedAt"], asked, limit)


def _service(document: Json) -> Made:
    created = datetime.fromisoformat(document["created"]).timestamp()
    asked, labels = document["versions"][document["current"] - 1]["config"], document["labels"]
    active = document["wanted"] == "Running"
    return Made("EAS service", document["name"], document["status"], active, labels, created, asked)


_READERS: Mapping[str, Callable[[Json], Made]] = {
    "dlc-job": _job,
    "dsw-instance": _instance,
    "eas_service": _service,
}
