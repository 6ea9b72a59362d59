"""Ledger as a task uses it: what can't be written waits on OSS, and what can't be believed is not asked.

Nothing here raises for a database or a bucket: they fail no paid work and bar no way back. Each is waited for a few
seconds, once a task.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.ledger.anchors import Anchors
from airflow_provider_pai.ledger.databases import database
from airflow_provider_pai.ledger.events import Event, EventKind, LedgerError, Row
from airflow_provider_pai.ledger.executors import one_of_many
from airflow_provider_pai.ledger.outbox import Flushed, Outbox, Waiting, outbox_folder
from airflow_provider_pai.ledger.store import Ledger
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

SERVED = (EventKind.DEPLOYED, EventKind.PROMOTED, EventKind.ROLLED_BACK, EventKind.RESTORED)
"""What tells which versions a group has served."""

DATABASE_SECONDS = 5.0
"""How long one answer of the database is waited for."""

OUTBOX_SECONDS = 10.0
"""How long OSS is waited for."""

FLUSH_SECONDS = 30.0
"""How long a task writes what others have left."""

COMMAND = "airflow pai ledger flush"

_AT_ONCE = 100

T = TypeVar("T")


class Told(NamedTuple):
    """What the ledger tells.

    :param doubt: why it is not to be believed of what served; empty: it is.
    """

    rows: Sequence[Row] = ()
    doubt: str = ""


class TaskLedger:
    """The ledger of a connection, as one task uses it.

    :param hook: any hook of the `pai` connection.
    :param conn_id: the database's connection; by default the one that the `pai` connection names, else a file.
    """

    def __init__(self, hook: PaiHook, conn_id: str | None, log: Any) -> None:
        self._hook = hook
        self._conn_id = conn_id or hook.connection.ledger_conn_id
        self._log = log
        self._oss = hook.sibling(OssHook)
        self._oss.retry_seconds = OUTBOX_SECONDS / 2
        self._failure: Exception | None = None
        self._emptied: set[OssUri] = set()
        self._heads: list[Row] = []

    def record(self, event: Event, beside: str | OssUri | None = None) -> None:
        """Write an event behind those that wait; where it can't be written, let it wait.

        :param beside: address in whose bucket it waits where the connection names no `state_uri`.
        """
        outbox = None
        try:
            outbox = self._outbox(beside)
            self._empty(outbox)
            self._write(event)
        except Exception as error:  # noqa: BLE001 - each driver of a database has errors of its own
            self._failure = error
            self._keep(outbox, Waiting.of(event, self._hook.clock.utc()), error)
        self._anchor()

    def served(self, group: str, beside: str | OssUri | None = None) -> Told:
        """Return what the ledger tells of a group, once what waits for it is in.

        :param beside: as of `record`.
        """
        told = self._ask(lambda ledger: list(ledger.of_subject(group, SERVED)), beside)
        return told._replace(rows=told.rows[::-1])

    def artifact_uri(self, version: str, beside: str | OssUri | None = None) -> str | None:
        """Return where the artifact of a version lies, as its training has recorded it; None: nothing tells.

        :param beside: as of `record`.
        """
        found = self._ask(lambda ledger: list(filter(None, [ledger.produced(version)])), beside).rows
        return str(json.loads(found[0].payload)["uri"]) if found else None

    def refusals(self, version: str, digest: str, beside: str | OssUri | None = None) -> Told:
        """Return the rows of those who have refused a model or taken it out of service.

        :param beside: as of `record`.
        """
        return self._ask(lambda ledger: list(ledger.refusals(version, digest)), beside)

    def used(self, dag_id: str, beside: str | OssUri | None = None) -> list[Row]:
        """Return the rows of what a DAG has used, once what waits for the ledger is in.

        :param beside: as of `record`.
        :raises LedgerError: it can't be read, or others have one of their own: what they have spent nobody knows.
        """
        try:
            rows = self._read(lambda ledger: list(ledger.of_subject(dag_id, (EventKind.USAGE,))), beside)
            why = one_of_many(self._database)
        except Exception as error:
            raise LedgerError(f"What the DAG has spent can't be read of the ledger ({_in_words(error)})") from error
        if why:
            raise LedgerError(f"What the DAG has spent is not in one ledger: {why}")
        return rows

    def _ask(self, question: Callable[[Ledger], list[Row]], beside: str | OssUri | None) -> Told:
        try:
            return Told(self._read(question, beside), one_of_many(self._database))
        except Exception as error:  # noqa: BLE001 - each driver of a database has errors of its own
            doubt = f"the ledger can't be read ({_in_words(error)})"
            self._log.warning("What served before is told by the services that stand alone: %s", doubt)
            return Told(doubt=doubt)

    def _read(self, question: Callable[[Ledger], list[Row]], beside: str | OssUri | None) -> list[Row]:
        """Return the rows that answer a question, once what waits is in.

        :raises Exception: there is no answer.
        """
        try:
            self._empty(self._outbox(beside))
            rows = _within(DATABASE_SECONDS, partial(question, self._ledger))
            for row in rows:
                row.check()
        except Exception as error:
            self._failure = error
            raise
        else:
            return rows
        finally:
            self._anchor()

    @cached_property
    def _database(self) -> DbApiHook:
        found = database(self._conn_id)
        if why := one_of_many(found):
            text = "The ledger is ONE OF MANY: %s; let ledger_conn_id name a Postgres or MySQL connection"
            self._log.warning(text, why)
        return found

    @cached_property
    def _ledger(self) -> Ledger:
        return Ledger(self._database, self._heads.append)

    def _anchor(self) -> None:
        """Keep the heads of the rows that were written on OSS: for that no database is kept waiting."""
        anchors = Anchors.of(self._oss, self._conn_id)
        while self._heads:
            row = self._heads.pop()
            if anchors is not None:
                try:
                    _within(OUTBOX_SECONDS, partial(anchors.keep, row))
                except Exception as error:  # noqa: BLE001 - the row is written
                    self._log.warning("Row %d of the ledger has no anchor: %s", row.seq, _in_words(error))

    def _empty(self, outbox: Outbox | None) -> None:
        """Write what waits, once a task.

        :raises Exception: the database does not take it, has not answered before, or others wait still.
        """
        if self._failure is not None:
            raise self._failure
        if outbox is None or outbox.folder in self._emptied:
            return
        self._emptied.add(outbox.folder)
        try:
            waiting, broken = _within(OUTBOX_SECONDS, partial(outbox.waiting, _AT_ONCE))
        except Exception as error:  # noqa: BLE001 - whatever OSS answers, the ledger itself can be written
            self._log.warning("What waits in %s can't be looked at: %s", outbox.folder, _in_words(error))
            return
        flushed = _within(FLUSH_SECONDS, partial(outbox.flush, waiting, self._write)) if waiting else Flushed()
        for line in [*broken, *flushed.left]:
            self._log.warning("A ledger row waits: %s", line)
        if flushed.written:
            self._log.info("%d ledger rows that waited in %s are written", flushed.written, outbox.folder)
        if flushed.stopped or len(waiting) == _AT_ONCE:
            raise LedgerError(f"others wait before it in {outbox.folder}")

    def _write(self, event: Event) -> None:
        _within(DATABASE_SECONDS, partial(self._ledger.record, event))

    def _keep(self, outbox: Outbox | None, waiting: Waiting, error: Exception) -> None:
        """Let an event wait on OSS; where that is not to be had either, the log has it whole."""
        missing = "there is none: the connection names no state_uri"
        if outbox is not None:
            try:
                uri = _within(OUTBOX_SECONDS, partial(outbox.put, waiting))
            except Exception as silence:  # noqa: BLE001 - the row must not be lost, whatever OSS answers
                missing = _in_words(silence)
            else:
                text = "Ledger row %s waits in %s (%s); the next task that records writes it, or `%s`"
                self._log.warning(text, waiting.event.key, uri, _in_words(error), COMMAND)
                return
        text = "LEDGER ROW IN NO DATABASE AND NO OUTBOX, keep this line for `%s --file`: %s (database: %s; outbox: %s)"
        self._log.error(text, COMMAND, waiting.text, _in_words(error), missing)

    def _outbox(self, beside: str | OssUri | None) -> Outbox | None:
        folder = outbox_folder(self._hook.connection, self._conn_id, beside)
        return Outbox(self._oss, folder) if folder else None


def _within(seconds: float, ask: Callable[[], T]) -> T:
    """Return what is asked of a database or of OSS, whose clients wait for ever or have time-outs of their own.

    What comes later is nobody's: a row's key is unique, so that it does no harm.

    :raises TimeoutError: no answer in time.
    """
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(ask())
        except BaseException as error:  # noqa: BLE001 - raised again where it was asked
            errors.append(error)

    # Not a pool: its threads would be waited for when the process ends.
    thread = Thread(target=copy_context().run, args=(run,), daemon=True, name="pai-ledger")
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return answers[0]


def _in_words(error: Exception) -> str:
    """Return an error in one line; drivers put details below it."""
    name = "" if isinstance(error, PaiError) else f"{type(error).__name__}: "
    return name + " ".join(str(error).split())
