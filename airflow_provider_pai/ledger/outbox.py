"""Outbox of a ledger on OSS: events that wait below a home of our state until somebody writes them to the database.

An event has one object, named after its key: who puts it twice puts it once, in any bucket, and who deletes it deletes
one that is in the ledger, where the key is unique. So any number of processes may empty an outbox at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError, PaiNotFoundError
from airflow_provider_pai.hooks.connection import PaiConnection
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.home import bucket_home, configured_home, ledger_folder
from airflow_provider_pai.ledger.events import Event, EventKind, lookup, plain_json, with_schema
from airflow_provider_pai.uri import OssUri


class Waiting(NamedTuple):
    """An event that waits, and when it happened: by that, then by its key, it stands in its turn."""

    since: str
    """ISO 8601 in UTC, with microseconds."""
    event: Event

    @classmethod
    def of(cls, event: Event, now: datetime) -> Waiting:
        """Return an event that begins to wait; its row tells since when."""
        since = now.isoformat(timespec="microseconds")
        return cls(since, event._replace(payload={**with_schema(event.payload), "waited_since": since}))

    @classmethod
    def read(cls, text: str | bytes) -> Waiting:
        """Read what `text` wrote.

        :raises ValueError: it is no event.
        """
        try:
            fields = json.loads(text)
            event = Event(**{**fields, "kind": EventKind(fields["kind"]), "payload": dict(fields["payload"])})
            since = str(event.payload["waited_since"])
            datetime.fromisoformat(since)
        except (LookupError, TypeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        texts = (event.key, event.subject, event.version, event.digest)
        if not event.key or not all(isinstance(one, str) for one in texts):
            raise ValueError("its key, subject, version or digest is no text")
        return cls(since, event)

    @property
    def text(self) -> str:
        """Return the event as one line of JSON."""
        return json.dumps(plain_json(self.event._asdict()), sort_keys=True, default=str)

    @property
    def turn(self) -> tuple[str, str]:
        """Return what its turn goes by."""
        return self.since, self.event.key


class Placed(NamedTuple):
    """An event that waits, and where: its object's address, or what else tells it to a person."""

    waiting: Waiting
    where: OssUri | str


class Flushed(NamedTuple):
    """What became of the events that waited."""

    written: int = 0
    left: Sequence[str] = ()
    """One line each: which object, and why."""
    stopped: bool = False
    """Two in a row could not be written: it is the database, and others wait behind them."""


def flush(waiting: Iterable[Placed], write: Callable[[Event], object], done: Callable[[Placed], object]) -> Flushed:
    """Write events that wait, each in its turn; one that can't be written stays, and keeps no other from its turn.

    :param write: returns when the row is there, whoever has written it.
    :param done: called with each that is.
    :raises TimeoutError: nobody answers: those behind would be waited for as long.
    """
    written, left, failed = 0, [], 0
    for placed in waiting:
        try:
            write(placed.waiting.event)
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 - each driver of a database has errors of its own
            left.append(f"{placed.where} can't be written, and stays: {error}")
            failed += 1
            if failed == 2:
                return Flushed(written, left, stopped=True)
            continue
        failed = 0
        written += 1
        done(placed)
    return Flushed(written, left)


def outbox_folder(connection: PaiConnection, conn_id: str | None, beside: object) -> OssUri | None:
    """Return where events wait for a ledger; None: no place is known.

    :param conn_id: the ledger's connection; None: it is a file.
    :param beside: address in whose bucket they wait where the connection names no `state_uri`; None: there is none.
    """
    home = configured_home(connection)
    if home is None and beside:
        home = bucket_home(OssUri.parse(str(beside)).bucket)
    return ledger_folder(home, connection.deployment, conn_id).join("outbox").folder if home else None


class Outbox:
    """The events that wait in a folder.

    :param oss: a hook whose `retry_seconds` are as long as its caller has time.
    """

    def __init__(self, oss: OssHook, folder: OssUri) -> None:
        self._oss = oss
        self.folder = folder

    def put(self, waiting: Waiting) -> OssUri:
        """Let an event wait, and return where; one that waits already is left as it is."""
        uri = self.folder.join(f"{lookup(waiting.event.key)}.json")
        try:
            # An answer that was lost does no harm: it waits already.
            self._oss.call(f"AppendObject {uri}", partial(self._oss.put_once, uri, waiting.text))
        except PaiConfigError:  # a bucket that keeps versions and takes no appends: the same event is put over itself
            self._oss.put(uri, waiting.text)
        return uri

    def waiting(self, most: int | None = None) -> tuple[list[Placed], list[str]]:
        """Return the events that wait, each in its turn, and what can't be read, one line each.

        :param most: how many of the oldest; None: all.
        """
        found: list[Placed] = []
        broken: list[str] = []
        for info in sorted(self._oss.list_objects(self.folder), key=lambda info: info.last_modified):
            if len(found) == most:
                break
            try:
                found.append(Placed(Waiting.read(self._oss.get(info.uri)), info.uri))
            except PaiNotFoundError:  # somebody else has written it meanwhile
                continue
            except (ValueError, PaiApiError) as error:
                broken.append(f"{info.uri} is no event that can be read, and stays: {error}")
        return sorted(found, key=lambda placed: placed.waiting.turn), broken

    def flush(self, waiting: Iterable[Placed], write: Callable[[Event], object]) -> Flushed:
        """Write events that wait here, and delete those that are known to be in the ledger."""
        return flush(waiting, write, self._delete)

    def _delete(self, placed: Placed) -> None:
        try:
            self._oss.delete(placed.where)
        except PaiApiError as error:  # whoever finds it again finds its key in the ledger, too
            self._oss.log.warning("%s is in the ledger, and can't be deleted: %s", placed.where, error)
