"""The emulator and a real Airflow as child processes, everything on 127.0.0.1 and below one folder."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from airflow_provider_pai.emulator.connection import connection_to
from airflow_provider_pai.testing.airflow_api import AirflowApi
from airflow_provider_pai.testing.processes import Component, ComponentError, FolderLock, stop_all

HOST = "127.0.0.1"
USER = "admin"

_PACKAGES = Path(__file__).resolve().parents[2]
# Nothing of the caller's own Airflow, Python or network may reach into it.
_DROPPED = ("AIRFLOW", "PYTHON", "VIRTUAL_ENV", "ALIBABA_CLOUD", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
# Scheduler and triggerer would serve running tasks' logs on every interface; finished logs are read from disk.
_AIRFLOW = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
    "worker": ["celery", "worker", "--celery-hostname", "{name}", "--skip-serve-logs"],
}


def free_port(preferred: int = 0) -> int:
    """Return a port of 127.0.0.1 that is free now: the preferred one if it can be had."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, preferred))
        except OSError:
            return free_port()
        port: int = probe.getsockname()[1]
        return port


def clean_environment() -> dict[str, str]:
    """Return the caller's environment without what would change how the components behave."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_DROPPED)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    # Two cores are shared by a dozen processes: a thread pool in each would only add waiting.
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    # Code that is run from a checkout is what the components run, too.
    here = {} if "site-packages" in _PACKAGES.parts else {"PYTHONPATH": str(_PACKAGES)}
    return {**kept, **single, **here, "PATH": path, "PYTHONUNBUFFERED": "1", "NO_PROXY": HOST, "no_proxy": HOST}


@dataclass
class Stack:
    """What runs. Use as a context manager: whatever ends the block ends every process.

    :param say: takes progress lines.
    :param variables: environment of Airflow on top, e.g. defaults of the DAG's params; filled in by
        `before_airflow`, which runs while the metadata database is made.
    :param port: preferred port of the Airflow UI.
    :param folder: holds AIRFLOW_HOME, logs and the emulator's data; cleared at the start.
    :param dags: folder of the DAG files.
    :param emulator: further arguments of the emulator's command.
    :param parts: what Airflow consists of: the parts by their names.
    :param apart: give each part a home and a user's name of its own, as if it had a machine of its own; Airflow tells
        by that name which part had what.
    :param extra: fields of the connection on top.
    :param patience: seconds that Airflow may take until it is healthy.
    """

    say: Callable[[str], None]
    port: int = 0
    variables: dict[str, str] = field(default_factory=dict)
    folder: Path = field(kw_only=True)
    dags: Path = field(kw_only=True)
    emulator: Sequence[str] = ()
    parts: dict[str, str] = field(default_factory=lambda: {name: name for name in _AIRFLOW if name != "worker"})
    apart: bool = False
    extra: dict[str, str] = field(default_factory=dict)
    patience: float = 120.0
    pai: dict[str, str] = field(default_factory=dict)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    _components: list[Component] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.logs = self.folder / "logs"
        self.home = self.folder / "airflow"
        self.database = self.home / "airflow.db"
        self._lock = FolderLock(self.folder.with_suffix(".lock"))

    def __enter__(self) -> Stack:
        """Clear what an earlier run left behind, once its processes are gone."""
        self._lock.take(30, lambda: self.say("waiting for what runs in this folder to end"))
        shutil.rmtree(self.folder, ignore_errors=True)
        self.logs.mkdir(parents=True)
        self.port = free_port(self.port)
        return self

    def __exit__(self, *_: object) -> None:
        """End every process."""
        if self._components:
            self.say("stopping Airflow and the emulator")
        stop_all(self._components[::-1])
        self._lock.release()

    @property
    def url(self) -> str:
        """Return the address of the Airflow UI."""
        return f"http://{HOST}:{self.port}"

    @property
    def connection(self) -> dict[str, Any]:
        """Return the Airflow connection of type `pai` that leads to the emulator."""
        return connection_to(self.pai, console_url=self.pai["console_url"], **self.extra)

    def connection_environment(self) -> dict[str, str]:
        """Return what leads Airflow's hooks, in any process, to the emulator and this AIRFLOW_HOME."""
        return {"AIRFLOW_HOME": str(self.home), "AIRFLOW_CONN_PAI_DEFAULT": json.dumps(self.connection)}

    def start_emulator(self) -> None:
        """Start the emulator and read its endpoints."""
        emulator = self._start(
            "emulator",
            [sys.executable, "-m", "airflow_provider_pai.emulator", "--data", str(self.folder / "pai"), *self.emulator],
            clean_environment(),
            captured=True,
        )
        line = emulator.output.readline()
        if not line:
            emulator.wait(10)
            raise ComponentError(f"the emulator printed no endpoints\n{emulator.tail()}")
        self.pai = json.loads(line)
        self.say(f"PAI emulator at {self.pai['endpoint_url']}, OSS at {self.pai['oss_endpoint']}")

    def control(self, method: str, what: str, body: Any = None) -> Any:
        """Ask the emulator's control endpoint."""
        url = f"{self.pai['endpoint_url']}/_emulator/{what}"
        answer = httpx.request(method, url, json=body, timeout=60, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def become_user(self) -> None:
        """Let the connection hold a key of its own from now on: what it asks for is written down."""
        user = self.control("POST", "users", {"policy": None})
        self.pai |= {name: user[name] for name in ("access_key_id", "access_key_secret")}

    def actions(self) -> list[str]:
        """Return the RAM actions that the connection's key has asked for."""
        asked: list[str] = self.control("GET", "users")[self.pai["access_key_id"]]["asked"]
        return asked

    def start_airflow(self, meanwhile: Callable[[], None]) -> AirflowApi:
        """Start Airflow and return its API once every part is healthy.

        :param meanwhile: work that is done while Airflow makes its metadata database.
        """
        self.home.mkdir()
        passwords = self.home / "passwords.json"
        passwords.write_text(json.dumps({USER: self.password}))
        environment = self._airflow_environment(passwords)
        migrating = self._start("migrate", ["airflow", "db", "migrate"], environment | self.variables)
        meanwhile()
        migrating.wait(self.patience)
        self._components.remove(migrating)
        self._environment = environment | self.variables
        for name, part in self.parts.items():
            self.start(part, name)
        self.say("Airflow: " + ", ".join(self.parts) + " starting")
        return self._healthy()

    def start(self, part: str, name: str = "") -> None:
        """Start one part of Airflow, a second one of its kind under a name of its own."""
        name = name or part
        own = {"AIRFLOW_HOME": str(self.folder / "homes" / name), "LOGNAME": name} if self.apart else {}
        command = [word.format(name=name) for word in _AIRFLOW[part]]
        self._start(name, ["airflow", *command], self._environment | own)

    def run(self, name: str, command: list[str]) -> Component:
        """Start something else that Airflow needs."""
        return self._start(name, command, clean_environment())

    def pid(self, name: str) -> int:
        """Return the process below which everything of a component runs."""
        return next(component.pid for component in self._components if component.name == name)

    def command(self, *command: str) -> str:
        """Run a command in Airflow's environment and return what it prints; a failure raises."""
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=True)
        return done.stdout

    def stop(self, name: str) -> None:
        """End one component and wait for it."""
        component = next(component for component in self._components if component.name == name)
        self._components.remove(component)
        stop_all([component])

    def check(self) -> None:
        """Raise ComponentError, with the tail of its log, if a component has ended."""
        for component in self._components:
            component.check()

    def _start(
        self, name: str, command: list[str], environment: dict[str, str], *, captured: bool = False
    ) -> Component:
        component = Component(
            name, command, environment=environment, logs=self.logs, captured=captured, keeps=[self._lock.descriptor]
        )
        self._components.append(component)
        return component

    def _healthy(self) -> AirflowApi:
        deadline = time.monotonic() + self.patience
        waiting_for = ""
        while True:
            self.check()
            ill = self._ill()
            if not ill:
                self.say(f"Airflow is healthy at {self.url}")
                return AirflowApi(self.url, USER, self.password)
            if ill != waiting_for:
                self.say(f"waiting for {ill}")
                waiting_for = ill
            if time.monotonic() > deadline:
                raise ComponentError(f"not healthy after {self.patience:.0f} s: {ill}; logs are in {self.logs}")
            time.sleep(0.5)

    def _ill(self) -> str:
        try:
            health = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=5).json()
        except (httpx.HTTPError, ValueError):
            return "the API server"
        return ", ".join(name for name, part in health.items() if (part or {}).get("status") != "healthy")

    def _airflow_environment(self, passwords: Path) -> dict[str, str]:
        settings = {
            "core__executor": "LocalExecutor",
            "core__parallelism": "4",
            "core__dags_folder": self.dags,
            "core__load_examples": "False",
            "core__hostname_callable": "socket.gethostname",
            "core__execution_api_server_url": f"{self.url}/execution/",
            "core__simple_auth_manager_users": f"{USER}:admin",
            "core__simple_auth_manager_passwords_file": passwords,
            "core__fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "api__host": HOST,
            "api__port": self.port,
            "api__base_url": self.url,
            "api__expose_stacktrace": "True",
            "api__secret_key": secrets.token_urlsafe(64),
            "api_auth__jwt_secret": secrets.token_urlsafe(64),
            # SQLite has one writer at a time; on a slow disk it takes longer than the default of five seconds.
            "database__sql_alchemy_conn": f"sqlite:///{self.database}?timeout=30",
            "logging__colored_console_log": "False",
            "dag_processor__parsing_processes": "1",
            "scheduler__scheduler_idle_sleep_time": "0.5",
            # A worker may notice a task's end this late. If the task was deferred and is resumed meanwhile,
            # Airflow takes the late notice for a failure and tries again.
            "workers__min_heartbeat_interval": "1",
        }
        return {
            **clean_environment(),
            **self.connection_environment(),
            **{f"AIRFLOW__{name.upper()}": str(value) for name, value in settings.items()},
        }
