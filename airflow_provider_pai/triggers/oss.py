"""Triggers that wait for objects, prefixes at rest and artifacts on OSS."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_pai.exceptions import PaiArtifactError
from airflow_provider_pai.remote import Json
from airflow_provider_pai.triggers.base import PollTrigger
from airflow_provider_pai.triggers.hub import hub_for, next_tick
from airflow_provider_pai.triggers.oss_quiet import Quiet
from airflow_provider_pai.triggers.threads import in_thread

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss import OssHook
    from airflow_provider_pai.hooks.oss.objects import ObjectInfo
    from airflow_provider_pai.triggers.oss_listings import ListingHub


class _OssTrigger(PollTrigger["OssHook"]):
    @property
    def hook_class(self) -> type[OssHook]:
        """Return the hook's class."""
        from airflow_provider_pai.hooks.oss import OssHook

        return OssHook


class ListingTrigger(_OssTrigger):
    """Looks through the hub, so that all who watch the same account share their listings."""

    async def connected(self) -> OssHook:
        """Return the hub's hook."""
        from airflow_provider_pai.triggers.oss_listings import ListingHub

        self._hub: ListingHub = hub_for(ListingHub, await super().connected())
        return cast("OssHook", self._hub.hook)

    async def rest(self, hook: OssHook, seconds: float) -> None:
        """Say when to look next; the hub waits for it."""
        self._due = next_tick(seconds, self.poll_interval)

    async def find(self, hook: OssHook, uris: list[str]) -> list[list[ObjectInfo]]:
        """Return the objects that fit each address."""
        return list(await asyncio.gather(*(self._hub.find(uri, self._due) for uri in uris)))


class OssKeyTrigger(ListingTrigger):
    """Yields `{"found": [uri, …]}` when there is an object for every address.

    :param uris: `oss://bucket/key` each; `*`, `?` and `[…]` are wildcards.
    :param min_size: smaller objects do not count.
    :param delay: seconds before the first look.
    """

    def __init__(self, *, uris: list[str], min_size: int = 0, delay: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.uris = uris
        self.min_size = min_size
        self.delay = delay

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        return {**super().arguments(), "uris": self.uris, "min_size": self.min_size, "delay": self.delay}

    async def poll(self, hook: OssHook) -> Json | None:
        """Look for all of them."""
        found = dict(zip(self.uris, await self.find(hook, self.uris), strict=True))
        complete, missing = sort_found(found, self.min_size)
        if missing:
            self.log.info("Waiting for %s", ", ".join(missing))
        return None if missing else {"found": complete}


class OssPrefixUnchangedTrigger(ListingTrigger):
    """Yields `{"found": [uri, …]}` when nothing below a prefix has changed for some time.

    :param uri: the prefix.
    :param quiet_seconds: how long.
    :param min_objects: how many objects there must be.
    """

    def __init__(self, *, uri: str, quiet_seconds: float, min_objects: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.uri = uri
        self.quiet_seconds = quiet_seconds
        self.min_objects = min_objects
        self._quiet = Quiet(quiet_seconds, min_objects)

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        own = {"uri": self.uri, "quiet_seconds": self.quiet_seconds, "min_objects": self.min_objects}
        return {**super().arguments(), **own}

    async def poll(self, hook: OssHook) -> Json | None:
        """Look at the whole prefix."""
        (infos,) = await self.find(hook, [self.uri])
        if reason := self._quiet.restless(infos, hook.service_clock.utc()):
            self.log.info("Waiting for %s to come to rest: %s", self.uri, reason)
            return None
        return {"found": [str(info.uri) for info in infos]}


class OssArtifactTrigger(_OssTrigger):
    """Yields `{"found": artifact}` when the manifest is there, fits every file, and is the one that is awaited.

    :param uri: the artifact's prefix.
    :param digest: that it must have; empty: any.
    :param newer_than: ISO 8601; the end of its data interval must lie behind.
    """

    def __init__(self, *, uri: str, digest: str = "", newer_than: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.uri = uri
        self.digest = digest
        self.newer_than = newer_than

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        return {**super().arguments(), "uri": self.uri, "digest": self.digest, "newer_than": self.newer_than}

    async def poll(self, hook: OssHook) -> Json | None:
        """Read and verify the manifest."""
        from airflow_provider_pai.manifests import check_awaited, read_artifact

        try:
            artifact = await in_thread("poll", hook.address, read_artifact, hook, self.uri)
            check_awaited(artifact, self.digest, self.newer_than)
        except PaiArtifactError as error:
            self.log.info("Waiting: %s", error)
            return None
        return {"found": artifact.to_dict()}


def sort_found(found: dict[str, list[ObjectInfo]], min_size: int) -> tuple[list[str], list[str]]:
    """Return the addresses of the objects that count, and the questions that none answers."""
    large = {uri: [info for info in infos if info.size >= min_size] for uri, infos in found.items()}
    there = dict.fromkeys(str(info.uri) for infos in large.values() for info in infos)
    return list(there), [uri for uri, infos in large.items() if not infos]
