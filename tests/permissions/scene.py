"""Stage of the stories: an account, its owner, and a user who may do just so much."""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_pai.artifact import ModelArtifact
from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.manifests import write_artifact
from tests.conftest import airflow_connection
from tests.group import ServiceGroup
from tests.said import said
from tests.service import delete_all
from tests.task import Task

Act = Callable[[], Any]
"""What the user does, after the account's owner has prepared it."""
SENSOR = {"poke_interval": 0.01, "timeout": 20}
# Half of what these stories cost is the start of servers: this one imports little.
SERVER = r"""
import socket, sys

listening = socket.create_server(("127.0.0.1", int(sys.argv[2])))
body = b'{"version": "1", "answer": 42}'
head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
while True:
    caller, _ = listening.accept()
    asked = b""
    while b"\r\n\r\n" not in asked:
        asked += caller.recv(65536)
    header, _, got = asked.lower().partition(b"\r\n\r\n")
    length = int(header.partition(b"content-length:")[2].split()[0]) if b"content-length:" in header else 0
    while len(got) < length:
        got += caller.recv(65536)
    caller.sendall(head + body)
    caller.close()
"""

Tell = Callable[["Scene"], Act]

STORIES: dict[str, list[Tell]] = {}
"""By the class, or what else a person knows: all that it does, from begin to end."""
SISTERS = {
    "@task.pai_dlc": "DlcSubmitJobOperator",
    "DswRunNotebookOperator": "DswRunCommandOperator",
    "EasBlueGreenDeployOperator": "EasCanaryDeployOperator",
}
"""Who makes the same calls as another in the same code: what that one can't do without is tried there alone."""


def story(kind: type | str) -> Callable[[Tell], Tell]:
    """Keep a function as a story of a class."""

    def keep(tell: Tell) -> Tell:
        STORIES.setdefault(kind if isinstance(kind, str) else kind.__name__, []).append(tell)
        return tell

    return keep


@dataclass
class Scene:
    """An account with one story's things."""

    pai: Emulator
    bucket: str
    folder: str

    @cached_property
    def oss(self) -> OssHook:
        """Return the owner's OSS."""
        return OssHook()

    @cached_property
    def group(self) -> ServiceGroup:
        """Return a service group of its own."""
        group = ServiceGroup(self.bucket)
        self.oss.put(f"{self.uri}code/server.py", SERVER)
        return group

    @property
    def uri(self) -> str:
        """Return the bucket's address."""
        return f"oss://{self.bucket}/"

    def artifact(self) -> dict[str, Any]:
        """Return a model that was not made for EAS."""
        uri = f"{self.uri}models/{uuid.uuid4().hex[:8]}/"
        self.oss.put(uri + "metrics.json", '{"accuracy": 0.5}')
        return write_artifact(self.oss, ModelArtifact(name="m", version="20260101T0000Z-0", uri=uri)).to_dict()

    def job(self, command: str = "true") -> str:
        """Submit somebody's job."""
        spec = {"Type": "Worker", "PodCount": 1, "Image": "train:1", "EcsSpec": "ecs.g6.large"}
        body = {"DisplayName": "x", "JobType": "XGBoostJob", "JobSpecs": [spec], "UserCommand": command}
        return DlcHook().submit(body)

    def connect(self, **key: str) -> None:
        """Let the connection hold a user's key, or the owner's; each scene is an Airflow of its own."""
        connection = airflow_connection(self.pai, deployment=f"https://{self.bucket}.test")
        os.environ["AIRFLOW_CONN_PAI_DEFAULT"] = json.dumps(connection | key)

    def file(self, name: str) -> Path:
        """Return a path on this machine."""
        path = Path(self.folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def close(self) -> None:
        """Take away what costs."""
        if "group" in self.__dict__:
            delete_all(self.group)


def run(kind: type, **arguments: Any) -> Task:
    """Return an operator's task."""
    return Task(lambda: kind(**{"task_id": "task", **arguments}), run_id=uuid.uuid4().hex)


def failing(act: Act, *errors: type[BaseException]) -> Act:
    """Return what ends in one of these errors, as it should."""

    def end() -> None:
        with pytest.raises(errors) as caught:
            act()
        print(caught.value)

    return end


def policy(actions: Set[str], bucket: str) -> dict[str, Any]:
    """Return the policy that allows these actions."""
    of_oss = {action for action in actions if action.startswith("oss:")} - {"oss:ListBuckets"}
    objects = [f"acs:oss:*:*:{bucket}", f"acs:oss:*:*:{bucket}/*"]
    statements = [
        {"Effect": "Allow", "Action": sorted(group), "Resource": resource}
        for group, resource in ((actions - of_oss, "*"), (of_oss, objects))
        if group
    ]
    nothing = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    return {"Version": "1", "Statement": statements or [nothing]}


@contextmanager
def scene(pai: Emulator) -> Iterator[Scene]:
    """Give the account's owner a bucket and a folder."""
    with tempfile.TemporaryDirectory() as folder:
        at = Scene(pai, f"story-{uuid.uuid4().hex[:12]}", folder)
        at.connect()
        at.oss.create_bucket(at.bucket)
        try:
            yield at
        finally:
            at.connect()
            pai.account.faults.clear()
            at.close()


def play(pai: Emulator, tell: Tell, allowed: Set[str] | None = None) -> Set[str]:
    """Let a user who may do just so much act a story; return what it asked for."""
    with scene(pai) as at:
        act = tell(at)
        key = pai.account.add_user(None if allowed is None else policy(allowed, f"{at.bucket}*"))
        at.connect(login=key.access_key_id, password=key.access_key_secret)
        act()
        return pai.account.asked[key.access_key_id]


def can_do_without(pai: Emulator, tell: Tell, allowed: Set[str], action: str) -> bool:
    """Tell whether a story goes on when an action is taken away; whatever it does, it names the action."""
    error, told = None, StringIO()
    try:
        with said(told):
            play(pai, tell, allowed - {action})
    except Exception as caught:  # noqa: BLE001 - whatever it is, it has to name the action
        error = caught
    assert action in f"{error} {told.getvalue()}", f"without {action}: {error!r}"
    return error is None


Asked = dict[str, dict[str, bool]]
"""By whom; by action: whether it goes on without."""


def first_askers(pai: Emulator, name: str, allowed: Set[str] | None = None) -> dict[str, Tell]:
    """Play the stories of one name; return the first that asked for each action."""
    first: dict[str, Tell] = {}
    for tell in STORIES[name]:
        first |= dict.fromkeys(play(pai, tell, allowed) - first.keys(), tell)
    return first


def look(pai: Emulator, name: str, known: Asked, allowed: Set[str] | None = None) -> dict[str, bool]:
    """Play the stories of one name with all that is allowed, then without each action in turn.

    :param known: of its sister, whose actions are not tried again.
    """
    first = first_askers(pai, name, allowed)
    sister = known.get(SISTERS.get(name, ""), {})
    own = {
        action: can_do_without(pai, tell, first.keys() | sister.keys(), action)
        for action, tell in first.items()
        if action not in sister
    }
    return {**sister, **own}


@contextmanager
def account() -> Iterator[Emulator]:
    """Run an account of the stories' own, and leave the environment as it was."""
    before = dict(os.environ)
    try:
        with tempfile.TemporaryDirectory() as home, Emulator(dwell=0.005, grace=0.2, gateway_lag=0) as pai:
            os.environ["AIRFLOW_HOME"] = home  # for the ledger
            yield pai
    finally:
        os.environ.clear()
        os.environ.update(before)
