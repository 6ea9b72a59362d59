"""Databases of a ledger that do not answer, each in a way of its own."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.providers.sqlite.hooks.sqlite import SqliteHook

from airflow_provider_pai.ledger import Ledger, default_path


class Elsewhere(DbApiHook):
    """A server's database on a port of this machine."""

    conn_name_attr = "ledger_conn_id"
    conn_type = "postgres"

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.asked = 0

    def get_conn(self) -> Any:
        """Say hello, and wait for the answer for as long as it takes."""
        self.asked += 1
        with socket.create_connection(("127.0.0.1", self.port)) as to:
            to.sendall(b"hello")
            raise ConnectionError(to.recv(1) or "closed")


class ReadOnly(SqliteHook):
    """A file that this user may read, and not write."""

    placeholder = "?"

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def get_conn(self) -> sqlite3.Connection:
        """Connect as who may only read."""
        return sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)


@contextmanager
def refused() -> Iterator[DbApiHook]:
    """A port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield Elsewhere(held.getsockname()[1])


@contextmanager
def silent() -> Iterator[DbApiHook]:
    """A server that takes a connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Elsewhere(server.getsockname()[1])


@contextmanager
def no_right() -> Iterator[DbApiHook]:
    """A table that may be read."""
    list(Ledger.at(default_path()).rows())
    yield ReadOnly(default_path())


@contextmanager
def no_table() -> Iterator[DbApiHook]:
    """A database in which nobody has made the table, and this user may not."""
    path = default_path().with_name("empty.sqlite")
    sqlite3.connect(path).close()
    path.touch()
    yield ReadOnly(path)


WAYS: dict[str, Callable[[], Any]] = {each.__name__: each for each in (refused, silent, no_right, no_table)}


@contextmanager
def dead(way: str, seconds: float = 0.5) -> Iterator[DbApiHook]:
    """Let the ledger's database be dead for a while.

    :param seconds: how long a task waits for an answer.
    """
    with WAYS[way]() as hook, pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_pai.ledger.task.database", lambda _: hook)
        patch.setattr("airflow_provider_pai.ledger.task.DATABASE_SECONDS", seconds)
        yield hook
