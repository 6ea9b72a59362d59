"""Asset events from OSS, for Airflow 3: `AssetWatcher(name=…, trigger=OssObjectTrigger(uri="oss://bucket/in/*.csv"))`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Asset
from airflow.triggers import base
from airflow.triggers.base import TriggerEvent

from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError
from airflow_provider_pai.inputs import Span, flag, parse_uri, seconds
from airflow_provider_pai.remote import Json
from airflow_provider_pai.schemas import TRIGGER
from airflow_provider_pai.triggers.oss import ListingTrigger

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss import OssHook
    from airflow_provider_pai.hooks.oss.objects import ObjectInfo

# Airflow 2.11 has no event triggers.
_Base: Any = getattr(base, "BaseEventTrigger", base.BaseTrigger)

CURSOR = "pai_oss_cursor"
OVERLAP = 600.0
"""Seconds by which an object may show later than its own time says."""

_AT_ONCE = 1000
"""Objects in an event, which lies in Airflow's database."""


@dataclass
class Cursor:
    """Which objects were reported: everything older than the newest by `OVERLAP`, and of the others those named."""

    newest: float = 0.0
    """Seconds since 1970, of the newest object that was seen."""
    seen: dict[str, list[Any]] = field(default_factory=dict)
    """ETag and time by key."""

    def news(self, infos: Iterable[ObjectInfo]) -> list[ObjectInfo]:
        """Return the objects that were not reported, the oldest first."""
        new = [
            info
            for info in infos
            if _time(info) >= self.newest - OVERLAP and self.seen.get(info.uri.key) != _state(info)
        ]
        return sorted(new, key=lambda info: (_time(info), info.uri.key))

    def note(self, infos: Sequence[ObjectInfo]) -> None:
        """Count objects as reported."""
        self.newest = max([self.newest, *map(_time, infos)])
        self.seen |= {info.uri.key: _state(info) for info in infos}
        self.seen = {key: state for key, state in self.seen.items() if state[1] >= self.newest - OVERLAP}

    @classmethod
    def read(cls, kept: Json) -> Cursor:
        """Read what `to_dict` wrote."""
        return cls(newest=kept["newest"], seen=kept["seen"])

    def to_dict(self) -> Json:
        """Return plain JSON."""
        return {"newest": self.newest, "seen": self.seen}


class OssObjectTrigger(ListingTrigger, _Base):  # type: ignore[misc]
    """Yields `{"objects": [{"uri", "size", "etag", "last_modified"}, …]}` when objects have come or been overwritten.

    What one look finds is one event (of a thousand objects at most): Airflow makes no run for an event that comes while
    another one waits for its run, it is left to the next. Each object is reported once, also when the triggerer starts
    anew: what was reported is kept in the asset's state store (Airflow 3.3; before it, a new triggerer begins with what
    comes from then on). Errors are logged and do not end it.

    :param uri: a prefix, or a key with `*`, `?` and `[…]`.
    :param pai_conn_id: connection of type `pai`.
    :param region: overrides the connection's region.
    :param poll_interval: seconds between two looks.
    :param existing: report what is there already at the very first look.
    :param asset: name of the asset whose store is used; needed where assets share this very trigger.
    :param schema_version: of these arguments, as they lie in Airflow's database.
    """

    def __init__(
        self,
        *,
        uri: str,
        pai_conn_id: str = "pai_default",
        region: str | None = None,
        poll_interval: Span = 60.0,
        existing: bool = False,
        asset: str | None = None,
        schema_version: int = TRIGGER.number,
    ) -> None:
        arguments = {"pai_conn_id": pai_conn_id, "region": region}
        interval = seconds("poll_interval", poll_interval)
        super().__init__(hook_arguments=arguments, poll_interval=interval, schema_version=schema_version)
        self.uri = str(parse_uri("uri", uri))
        self.existing = flag("existing", existing)
        self.asset = asset

    def arguments(self) -> Json:
        """Return the constructor's arguments."""
        own = {"uri": self.uri, "poll_interval": self.poll_interval, "existing": self.existing, "asset": self.asset}
        return {**self.hook_arguments, **own}

    async def poll(self, hook: OssHook) -> Json | None:
        """Not used: this trigger does not end with its first event."""
        raise NotImplementedError

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield events for ever."""
        hook, cursor = await self.connected(), await self._restored()
        rest = 0.0
        while True:
            await self.rest(hook, rest)
            try:
                infos = await self._look(hook)
            except PaiApiError as error:
                self.log.warning("No answer, looking again: %s", error)
                rest = self.longer(max(rest, self.poll_interval))
                continue
            cursor = cursor or await self._first(infos)
            rest = self.poll_interval
            news = cursor.news(infos)
            for first in range(0, len(news), _AT_ONCE):
                some = news[first : first + _AT_ONCE]
                yield TriggerEvent({"objects": [_payload(info) for info in some]})  # type: ignore[no-untyped-call]
                cursor.note(some)
                await self._keep(cursor)

    async def _look(self, hook: OssHook) -> list[ObjectInfo]:
        (infos,) = await self.find(hook, [self.uri])
        return [info for info in infos if not info.is_marker]

    async def _first(self, infos: list[ObjectInfo]) -> Cursor:
        """Return where to begin when nothing was ever reported."""
        cursor = Cursor()
        cursor.note([] if self.existing else infos)
        await self._keep(cursor)
        return cursor

    @property
    def _store(self) -> Any:
        store = getattr(self, "asset_state_store", None)
        return store[Asset(name=self.asset)] if store is not None and self.asset else store

    async def _restored(self) -> Cursor | None:
        if self._store is None:
            return None
        try:
            kept = await self._store.aget(CURSOR)
        except ValueError as error:
            raise PaiConfigError("asset", self.asset, f"the name of one of the assets: {error}") from None
        return Cursor.read(kept) if kept else None

    async def _keep(self, cursor: Cursor) -> None:
        if self._store is not None:
            await self._store.aset(CURSOR, cursor.to_dict())


def _time(info: ObjectInfo) -> float:
    return info.last_modified.timestamp()


def _state(info: ObjectInfo) -> list[Any]:
    return [info.etag, _time(info)]


def _payload(info: ObjectInfo) -> Json:
    return {
        "uri": str(info.uri),
        "size": info.size,
        "etag": info.etag,
        "last_modified": info.last_modified.isoformat(),
    }
