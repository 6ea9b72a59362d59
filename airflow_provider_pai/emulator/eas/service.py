"""One service: its record, its instances and the life that leads from one status to the next."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from copy import copy
from pathlib import Path

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.eas.fleet import Fleet, InstanceFailedError
from airflow_provider_pai.emulator.eas.records import LIVES, ServiceRecord, ServiceVersion
from airflow_provider_pai.emulator.eas.series import Series
from airflow_provider_pai.emulator.eas.service_json import ServiceSpec, parse
from airflow_provider_pai.emulator.past import Past
from airflow_provider_pai.emulator.runtime.mounts import FolderSource
from airflow_provider_pai.emulator.types import Json


class Service:
    """A service of the emulated account; every command replaces the life that goes on."""

    def __init__(self, account: Account, record: ServiceRecord, oss: FolderSource) -> None:
        self.account = account
        self.record = record
        # What has a status already is an earlier emulator's.
        self.since = 0.0 if record.status else account.now().timestamp()
        self.spec: ServiceSpec = parse(record.config)
        self.folder: Path = account.data / "eas" / record.name
        self.fleet = Fleet(account, self.folder, oss, self._on_instance_event)
        self.series = Series(account.metrics_time)
        self.route = (record.traffic_state, record.weight)
        """Traffic state and weight that the gateway acts on; they follow the record after `weight_lag`."""
        self.mirror_credit = 0
        """Hundredths of a request that are still to be mirrored."""
        self.scaler: asyncio.Task[None] | None = None
        """Moves the number of instances."""
        self._up: tuple[float, float] | None = None
        """When it came up since its last start, and how long the gateway takes to learn of it."""
        self._life: asyncio.Task[None] | None = None
        self._past = Past()

    @property
    def total_instances(self) -> int:
        """Return how many instances there are or should be."""
        return max(self.spec.instances, len(self.fleet.instances)) if self.record.wanted == "Running" else 0

    @property
    def exposed(self) -> bool:
        """Tell whether it came up since its last start: before that it takes no share of a group's traffic."""
        return self._up is not None

    @property
    def refusal(self) -> int:
        """Return the status with which the gateway, which has not learnt of it yet, answers in its place; 0: none.

        That it answers 404 without a body, then 503, for some time after Running stands in `_wait_for_gateway_ready`
        of Alibaba's own pai-python-sdk (pai/predictor.py).
        """
        since, lag = self._up or (0.0, 0.0)
        age = time.monotonic() - since
        return 0 if age >= lag else 404 if age < lag / 2 else 503

    def run(self, life: str) -> None:
        """Begin one of `LIVES`: pass through its statuses, then run the current version."""
        self.spec = parse(self.record.config)
        self.record.wanted = "Running"
        self._set_status(LIVES[life][0])
        self._begin(lambda: self._come_up(LIVES[life], keep=life == "scale"))

    def stop(self) -> None:
        """Begin to stop: no share of traffic, drain, end the processes."""
        self.record.wanted = "Stopped"
        self._leave("Stopping")
        self._begin(self._stop)

    def delete(self, then: Callable[[], None]) -> None:
        """Begin to delete; `then` runs when everything is gone."""
        self.record.wanted = "Deleted"
        self._leave("Deleting")
        self._begin(lambda: self._delete(then))

    def configure(self, config: Json, *, scales: bool) -> None:
        """Take a service JSON as a new version; whether one that only scales makes one, the world tells."""
        record = self.record
        if scales and self.account.world.eas_scaling == "in_place":
            record.versions[record.current - 1].config = config
            return
        record.versions.append(ServiceVersion(config=config, built=self.account.timestamp()))
        record.current = len(record.versions)

    def scale(self, count: int) -> None:
        """Change the number of instances."""
        config = self.record.config
        self.configure({**config, "metadata": {**config.get("metadata", {}), "instance": count}}, scales=True)
        self.run("scale")

    def release(self, traffic_state: str, weight: int) -> None:
        """Set the traffic state and the weight; the gateway follows after `weight_lag`."""
        if traffic_state == "standalone" and self.account.world.eas_weight_standalone == "lost":
            weight = 0
        self.record.traffic_state, self.record.weight = traffic_state, weight
        self.save()
        lag = self.account.settings.weight_lag
        if lag:
            asyncio.get_running_loop().call_later(lag, self._apply, traffic_state, weight)
        else:
            self._apply(traffic_state, weight)

    def save(self) -> None:
        """Write the record to the store."""
        self.record.updated = self.account.timestamp()
        text = self.account.store.put("eas_service", self.record.name, self.record.to_document())
        self._past.add(self.account.now().timestamp(), text, self.account.settings.list_lag)

    def as_of(self, moment: float) -> Service | None:
        """Return the service as lists show it that are up to date with a moment; None if it did not exist then."""
        if self.since > moment:
            return None
        then, shown = self._past.as_of(moment), copy(self)
        shown.record = ServiceRecord.from_document(then) if then else self.record
        return shown

    def _apply(self, traffic_state: str, weight: int) -> None:
        self.route = (traffic_state, weight)

    def _begin(self, life: Callable[[], Awaitable[None]]) -> None:
        before = self._life
        if before is not None:
            before.cancel()

        async def run() -> None:
            if before is not None:
                # Not gather: that would cancel it once more, in the middle of its clean-up.
                await asyncio.wait({before})
            await life()

        self._life = self.account.spawn(run(), f"eas-{self.record.name}")

    def _leave(self, status: str) -> None:
        """Take the service out of traffic at once, before anything is awaited."""
        self._up = None
        for instance in self.fleet.instances:
            instance.leaving = True
        self._set_status(status)

    async def _come_up(self, statuses: tuple[str, ...], *, keep: bool) -> None:
        for status in statuses:
            self._set_status(status)
            await self.account.dwell()
        try:
            await self.fleet.become(self.spec, self.record.current, keep=keep)
        except InstanceFailedError as error:
            self._set_status("Failed", str(error), "InstanceCrashed")
        else:
            self._up = self._up or (time.monotonic(), self.account.settings.gateway_lag)
            self._set_status("Running")
        while True:
            await self.fleet.changed.wait()
            self.fleet.changed.clear()
            self._follow_instances()

    def _follow_instances(self) -> None:
        """Keep a service that came up in step with its instances."""
        if self.record.status == "Failed":
            return
        serving = bool(self.fleet.ready) or self.spec.instances == 0
        if serving and self.record.status == "Waiting":
            self._set_status("Running")
        elif not serving and self.record.status == "Running":
            self._set_status("Waiting", self.record.message)

    async def _stop(self) -> None:
        await self.fleet.retire(list(self.fleet.instances))
        await self.account.dwell()
        self._set_status("Stopped")

    async def _delete(self, then: Callable[[], None]) -> None:
        await self.fleet.retire(list(self.fleet.instances))
        await self.account.dwell()
        await asyncio.to_thread(shutil.rmtree, self.folder, True)
        then()

    def _set_status(self, status: str, message: str = "", reason: str = "") -> None:
        changed = self.record.status != status
        self.record.status = status
        self.record.message = message or f"Service [{self.record.name}] is {status}"
        self.record.reason = reason or status
        if changed:
            self._event(status, self.record.message, "Warning" if status == "Failed" else "Normal")
        self.save()

    def _on_instance_event(self, sentence: str) -> None:
        reason, kind = ("InstanceCrashed", "Warning") if "crashed" in sentence else ("InstanceChanged", "Normal")
        self._event(reason, sentence, kind)
        self.save()

    def _event(self, reason: str, message: str, kind: str) -> None:
        self.record.event(self.account.timestamp(), reason, message, kind)
