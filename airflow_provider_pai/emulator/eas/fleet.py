"""Fleet of one service: the instances that take its requests, and the replacement of an old set by a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.eas.instance import Instance
from airflow_provider_pai.emulator.eas.service_json import ServiceSpec
from airflow_provider_pai.emulator.runtime.mounts import FolderSource


class InstanceFailedError(Exception):
    """An instance of the new set was given up; the text is the cloud's message."""


class Fleet:
    """Instances of a service; `on_event` hears every sentence about one of them."""

    def __init__(self, account: Account, folder: Path, oss: FolderSource, on_event: Callable[[str], None]) -> None:
        self.account = account
        self.instances: list[Instance] = []
        self.changed = asyncio.Event()
        self._folder = folder
        self._oss = oss
        self._on_event = on_event
        self._turn = 0

    @property
    def ready(self) -> list[Instance]:
        """Return the instances that take requests."""
        return [instance for instance in self.instances if instance.available]

    def pick(self, exclude: Collection[Instance] = ()) -> Instance | None:
        """Return the ready instance with the fewest requests in flight, in turn among equals."""
        ready = [instance for instance in self.instances if instance.available and instance not in exclude]
        if not ready:
            return None
        self._turn += 1
        turn = self._turn % len(ready)
        return min(ready[turn:] + ready[:turn], key=lambda instance: instance.in_flight)

    async def become(self, spec: ServiceSpec, version: int, *, keep: bool) -> None:
        """Bring up what the spec asks for, then retire the rest, which serves until then.

        :param keep: let instances stay that the spec would start again as they are.
        :raises InstanceFailedError: when an instance can't come up; what served goes on serving.
        """
        staying = [instance for instance in self.instances if keep and instance.fits(spec)][: spec.instances]
        leaving = [instance for instance in self.instances if instance not in staying]
        new = self._start(spec, version, spec.instances - len(staying))
        try:
            await self._all_ready(staying + new)
        except InstanceFailedError:
            await self.retire([instance for instance in new if not instance.given_up])
            raise
        await self.retire(leaving)

    async def retire(self, instances: list[Instance]) -> None:
        """Drain and stop instances; they take no new request from now on."""
        await asyncio.gather(*(instance.stop() for instance in instances))
        self.instances = [instance for instance in self.instances if instance not in instances]
        self.changed.set()

    def _start(self, spec: ServiceSpec, version: int, count: int) -> list[Instance]:
        new = [Instance(self.account, spec, version, self._folder, self._oss, self._on_change) for _ in range(count)]
        self.instances.extend(new)
        for instance in new:
            instance.start()
        return new

    async def _all_ready(self, instances: list[Instance]) -> None:
        while not all(instance.ready for instance in instances):
            for instance in instances:
                if instance.given_up:
                    raise InstanceFailedError(instance.last_message)
            self.changed.clear()
            await self.changed.wait()

    def _on_change(self, sentence: str) -> None:
        self._on_event(sentence)
        self.changed.set()
