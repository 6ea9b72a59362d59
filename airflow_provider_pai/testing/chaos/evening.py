"""Evening of bad nights: set up, played, judged, torn down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from airflow_provider_pai.testing.chaos.account import EmulatedAccount
from airflow_provider_pai.testing.chaos.dagfile import FILE
from airflow_provider_pai.testing.chaos.evidence import evidence
from airflow_provider_pai.testing.chaos.given import Given
from airflow_provider_pai.testing.chaos.loopback import SETTINGS, is_here
from airflow_provider_pai.testing.chaos.nights import nights
from airflow_provider_pai.testing.chaos.people import LiveTraffic
from airflow_provider_pai.testing.chaos.place import Place
from airflow_provider_pai.testing.chaos.report import Report
from airflow_provider_pai.testing.chaos.rules import judged
from airflow_provider_pai.testing.stack import Stack, clean_environment

Json = dict[str, Any]

# What Airflow notices after minutes by default, it notices within seconds here.
_QUICK = {
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
    # The file does not change; with SQLite all of Airflow may wait while the DAG processor writes.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "7200",
    "AIRFLOW__DAG_PROCESSOR__PRINT_STATS_INTERVAL": "0",
}
_EMULATOR = ("--dwell", "0.1")


class ChaosError(Exception):
    """Bad nights can't be played with what they were given; the message says why."""


def play(given: Given, folder: Path, say: Callable[[str], None] = lambda line: None) -> Report:
    """Play bad nights and judge them.

    :param folder: holds the Airflow, its logs and the account; what lies there is cleared.
    :param say: takes progress lines.
    :raises ChaosError: the file has no such DAG, or something would leave this machine.
    """
    began = time.monotonic()
    dags = folder / "dags"
    stack = Stack(say, folder=folder / "stack", dags=dags, variables=_environment(given), emulator=_EMULATOR)
    with stack:
        dag_id, found = _look(given, folder)
        stack.start_emulator()
        _check_connections(given, stack)
        stack.become_user()
        dags.mkdir(exist_ok=True)
        (dags / "dag_of_the_night.py").write_text(FILE.format(path=str(given.dag_file.resolve()), dag_id=dag_id))
        refused = folder / "refused"
        refused.unlink(missing_ok=True)

        def meanwhile() -> None:
            config = stack.home / "config"
            config.mkdir()
            (config / "airflow_local_settings.py").write_text(SETTINGS.format(file=str(refused)))
            stack.variables |= {
                f"AIRFLOW_CONN_{name.upper()}": json.dumps(stack.connection) for name in found["connections"]
            }
            _seed(given, found)

        with _connected(stack):
            api = stack.start_airflow(meanwhile)
            api.wait_for_dag(dag_id)
            api.set_paused(dag_id, False)
            account = EmulatedAccount(stack.folder / "pai")
            people = LiveTraffic(account, stack.pai["eas_gateway"], given.asks)
            place = Place(given=given, stack=stack, api=api, account=account, people=people, dag_id=dag_id, say=say)
            with people:
                lived = list(nights(place))
            seen = evidence(place, lived, refused)
            return Report.of(
                dag_id,
                seen,
                judged(seen),
                requests=people.requests.total(),
                actions=stack.actions(),
                seconds=round(time.monotonic() - began, 1),
            )


def _environment(given: Given) -> dict[str, str]:
    """Return what Airflow's processes have in their environment; modules beside the DAG file are found."""
    here = clean_environment().get("PYTHONPATH")
    path = os.pathsep.join(filter(None, (here, str(given.dag_file.resolve().parent))))
    return {**given.env, **_QUICK, "PYTHONPATH": path}


def _look(given: Given, folder: Path) -> tuple[str, Json]:
    """Return the DAG's id and what its tasks name.

    :raises ChaosError: the file can't be read as DAGs, or has none of this id.
    """
    environment = {**clean_environment(), **given.env, "AIRFLOW_HOME": str(folder / "look")}
    command = [sys.executable, "-m", "airflow_provider_pai.testing.chaos.dagfile", str(given.dag_file)]
    looked = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if looked.returncode:
        raise ChaosError(f"{given.dag_file} does not import:\n{looked.stderr[-3000:]}")
    found: dict[str, Json] = json.loads(looked.stdout.splitlines()[-1])
    dag_id = given.dag_id or (next(iter(found)) if len(found) == 1 else "")
    if dag_id not in found:
        raise ChaosError(f"--dag: {given.dag_id!r} is none of the DAGs in {given.dag_file}: {', '.join(found)}")
    return dag_id, found[dag_id]


def _check_connections(given: Given, stack: Stack) -> None:
    """Refuse what would speak to another machine.

    :raises ChaosError: an address is not this machine's.
    """
    addresses = {name: str(value) for name, value in stack.pai.items() if str(value).startswith("http")}
    for name, value in given.env.items():
        if name.startswith("AIRFLOW_CONN_"):
            addresses |= dict(_addresses(name, value))
    for name, address in addresses.items():
        host = urlsplit(address).hostname if "//" in address else address
        if not is_here(host):
            raise ChaosError(f"{name} leads to {host}: bad nights speak to this machine alone")


def _addresses(name: str, value: str) -> Iterator[tuple[str, str]]:
    """Yield the hosts that a connection names."""
    if not value.lstrip().startswith("{"):
        yield name, value
        return
    connection = json.loads(value)
    extra = connection.get("extra") or {}
    fields = {**connection, **(json.loads(extra) if isinstance(extra, str) else extra)}
    if connection.get("conn_type") == "pai" and not fields.get("endpoint_url"):
        yield name, "Alibaba Cloud"
    for field, text in fields.items():
        if field == "host" or field.endswith(("endpoint", "endpoint_url")):
            yield f"{name}, {field},", str(text)


def _seed(given: Given, found: Mapping[str, Any]) -> None:
    """Make the buckets that the DAG names, bring what was given, and give each input an object."""
    from airflow_provider_pai.hooks.oss import OssHook
    from airflow_provider_pai.uri import OssUri

    oss = OssHook()
    buckets = {*found["buckets"], *(OssUri.parse(uri).bucket for uri in given.data.values())}
    for bucket in sorted(buckets):
        oss.create_bucket(bucket)
    for source, uri in given.data.items():
        if source.is_dir():
            oss.upload_folder(source, uri)
        else:
            oss.upload(source, uri)
    for uri in found["inputs"]:
        if not any(oss.list_objects(OssUri.parse(uri))):
            oss.put(f"{uri.rstrip('/')}/made_for_a_bad_night.csv", "1\n")


@contextmanager
def _connected(stack: Stack) -> Iterator[None]:
    """Lead this process's hooks to the emulator, too."""
    with patch.dict(os.environ, stack.connection_environment()):
        yield
