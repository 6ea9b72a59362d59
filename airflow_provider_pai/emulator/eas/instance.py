"""One instance: a process with a port of its own, checked, restarted when it ends, drained at a stop."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.eas.probe import passes
from airflow_provider_pai.emulator.eas.service_json import HealthCheck, ServiceSpec
from airflow_provider_pai.emulator.errors import ApiError
from airflow_provider_pai.emulator.runtime.mounts import FolderSource, mount_all
from airflow_provider_pai.emulator.runtime.ports import free_ports
from airflow_provider_pai.emulator.runtime.processes import Process
from airflow_provider_pai.emulator.runtime.root import Root

GIVE_UP_AFTER = 3
"""Starts that may fail in a row before an instance that never served is given up."""
LONGEST_BACKOFF = 10.0
KILLED = 137
"""Exit code of a process that was killed, as the guard does with one that outgrows its memory."""
NOWHERE = ".invalid"
"""End of a registry's host that no image can be pulled from: a domain that never resolves (RFC 2606)."""
IMAGE = "exec python -m http.server {port} --bind 127.0.0.1"
"""Stands in for what an image starts by itself, since images are not run."""


class Instance:
    """Life of one instance; `on_change` hears when it becomes ready, stops being ready or is given up."""

    def __init__(
        self,
        account: Account,
        spec: ServiceSpec,
        version: int,
        folder: Path,
        oss: FolderSource,
        on_change: Callable[[str], None],
    ) -> None:
        self.account = account
        self.spec = spec
        self.version = version
        self.name = f"{spec.name.replace('_', '-')}-{secrets.token_hex(5)}-{secrets.token_hex(3)[:5]}"
        self.log = folder / "logs" / f"{self.name}.log"
        self._folder = folder / "roots" / self.name
        self._oss = oss
        self._on_change = on_change
        self.last_message = ""
        self.port = 0
        self.started = self.account.timestamp()
        self.ready = False
        self.leaving = False
        self.given_up = False
        self.restarts = 0
        self.in_flight = 0
        self.last_exit: int | None = None
        self.last_reason = ""
        """Why the container ended, or does not start, in Kubernetes' words."""
        self._runs = False
        self._failed_starts = 0
        self._served = self._ever_served = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def status(self) -> str:
        """Return the status as ListServiceInstances shows it.

        One that runs is not ready yet: its containers tell (*FAQ about EAS*, a service stuck in Waiting).
        """
        if self.leaving:
            return "Terminating"
        if self.given_up:
            return "Failed"
        return "Running" if self._runs else "Pending"

    @property
    def available(self) -> bool:
        """Tell whether it takes new requests."""
        return self.ready and not self.leaving

    def fits(self, spec: ServiceSpec) -> bool:
        """Tell whether a service of this spec can keep the instance."""
        return not (self.leaving or self.given_up) and replace(self.spec, instances=spec.instances) == spec

    def start(self) -> None:
        """Begin the life in the background."""
        self._task = self.account.spawn(self._metered(), f"eas-{self.name}")

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Count a request as in flight."""
        self.in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if self.in_flight == 0:
                self._idle.set()

    async def stop(self) -> None:
        """Take no new requests, let those in flight finish within the grace, end the process."""
        self.leaving = True
        if self.account.settings.drain:
            grace = self.account.settings.grace if self.spec.grace is None else self.spec.grace
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), grace)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _metered(self) -> None:
        """Live, and count on the meter meanwhile."""
        meter, now = self.account.meter, self.account.now
        nodes = [{"Type": self.spec.instance_type, "Count": 1, "Spot": False}]
        meter.begin("eas", self.name, nodes, now().timestamp())
        try:
            await self._live()
        finally:
            meter.end("eas", self.name, now().timestamp())

    async def _live(self) -> None:
        if self.spec.image.partition("/")[0].endswith(NOWHERE):
            self.given_up, self.last_reason = True, "ImagePullBackOff"
            self._crashed()
        while not self.given_up:
            try:
                root = await self._new_root()
            except ApiError as error:
                self.given_up = True
                self._changed(error.message)
                return
            try:
                await self._attempt(root)
            finally:
                await asyncio.to_thread(root.remove)
                with contextlib.suppress(OSError):
                    self._folder.rmdir()
            await self._back_off()

    async def _attempt(self, root: Root) -> None:
        """Run the process once, from its start to its end."""
        process = await root.start(
            self.spec.script or IMAGE.format(port=self.spec.port),
            environment=self.spec.environment,
            log=self.log,
            grace=self.account.settings.grace,
            memory=self.spec.memory,
        )
        watching = asyncio.create_task(self._watch(process))
        self._served, self._runs = False, True
        try:
            self.last_exit = await process.wait()
            out_of_memory = self.last_exit == KILLED and self.spec.memory
            self.last_reason = "OOMKilled" if out_of_memory else "Error" if self.last_exit else "Completed"
        finally:
            watching.cancel()
            await asyncio.wait({watching})
            self.ready = self._runs = False
            await process.stop()
        self._ended()

    def _ended(self) -> None:
        self._failed_starts = 0 if self._served else self._failed_starts + 1
        self.given_up = not self._ever_served and self._failed_starts >= GIVE_UP_AFTER
        self._crashed()

    def _crashed(self) -> None:
        self._changed(f"Instance <{self.name}> not healthy: Instance crashed, please inspect instance log.")

    async def _back_off(self) -> None:
        if self.given_up:
            return
        self.restarts += 1
        await asyncio.sleep(min(self.account.settings.dwell * 2.0**self._failed_starts, LONGEST_BACKOFF))

    async def _new_root(self) -> Root:
        """Build a fresh root, as a restarted container has a fresh file system."""
        root = Root(self._folder / str(self.restarts))
        await mount_all(root, self.spec.mounts, self._oss)
        self.port = free_ports(1)[0]
        root.map_port(self.spec.port, self.port)
        return root

    async def _watch(self, process: Process) -> None:
        """Wait until the process serves, then keep checking it."""
        if not await self._becomes_ready():
            process.request_stop()
            return
        self._served = self._ever_served = True
        self._set_ready(True)
        await asyncio.gather(self._keep_alive(process), self._keep_healthy())

    async def _becomes_ready(self) -> bool:
        check = self.spec.startup
        await asyncio.sleep(check.initial_delay)
        good = bad = 0
        while good < check.successes:
            if await self._passes(check):
                good += 1
            else:
                good, bad = 0, bad + 1
                if 0 < check.failures <= bad:
                    return False
            if good < check.successes:
                await asyncio.sleep(check.period)
        return True

    async def _keep_alive(self, process: Process) -> None:
        """Restart a process whose liveness check keeps failing."""
        check, bad = self.spec.liveness, 0
        while check is not None:
            await asyncio.sleep(check.period)
            bad = 0 if await self._passes(check) else bad + 1
            if bad >= check.failures > 0:
                process.request_stop()
                return

    async def _keep_healthy(self) -> None:
        """Take an instance out while its health check fails."""
        check, bad, good = self.spec.health, 0, 0
        while check is not None:
            await asyncio.sleep(check.period)
            if await self._passes(check):
                bad, good = 0, good + 1
            else:
                bad, good = bad + 1, 0
            if bad >= check.failures > 0:
                self._set_ready(False)
            elif good >= check.successes:
                self._set_ready(True)

    async def _passes(self, check: HealthCheck) -> bool:
        port = self.port if check.port == self.spec.port else check.port
        return await passes(port, check.path, check.timeout)

    def _set_ready(self, ready: bool) -> None:
        if self.ready is not ready:
            self.ready = ready
            self._changed(f"Instance <{self.name}> is {'ready' if ready else 'not ready'}.")

    def _changed(self, sentence: str) -> None:
        self.last_message = sentence
        self._on_change(sentence)

    def describe(self) -> dict[str, object]:
        """Return the item of ListServiceInstances."""
        told = self.account.world.eas_exit_reason == "instances"
        return {
            "InstanceName": self.name,
            "InstancePort": self.port,
            "InnerIP": "127.0.0.1",
            "HostIP": "127.0.0.1",
            "HostName": socket.gethostname(),
            "Namespace": self.spec.name,
            "Role": "Standard",
            "ResourceType": "PublicResource",
            "Isolated": False,
            "IsSpot": False,
            "Status": self.status,
            "Reason": self.last_reason if told and not self.ready else "",
            "ReadyProcesses": int(self.ready),
            "TotalProcesses": 1,
            "RestartCount": self.restarts,
            "StartAt": self.started,
            "StartTime": self.started,
            "LastState": [{"exitCode": self.last_exit}] if told and self.last_exit is not None else [],
        }

    def describe_container(self) -> dict[str, object]:
        """Return the item of ListServiceContainers, with the field that the API itself misspells."""
        told = self.account.world.eas_exit_reason == "containers"
        ended = told and self.last_exit is not None
        return {
            "Name": "worker0",
            "Image": self.spec.image,
            "Port": self.spec.port,
            "Ready": self.ready,
            "RestartCount": self.restarts,
            "CurrentStatus": "Running" if self._runs else "Waiting",
            "CurrentReaon": self.last_reason if told and not (self._runs or ended) else "",
            "CurrentTimestamp": self.started,
            "LastStatus": "Terminated" if ended else "",
            "LastReason": self.last_reason if ended else "",
            "LastTimestamp": self.started if ended else "",
        }
