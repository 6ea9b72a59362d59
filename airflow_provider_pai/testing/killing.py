"""Processes of a real Airflow that are killed, or stand still."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import psutil

from airflow_provider_pai.testing.stack import Stack


def processes_below(stack: Stack, name: str) -> dict[int, psutil.Process]:
    """Return the processes of one of the stack's components, by id."""
    return {process.pid: process for process in psutil.Process(stack.pid(name)).children(recursive=True)}


def kill(process: psutil.Process) -> bool:
    """SIGKILL a process that may just have ended; tell whether it was there."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def replace_killed(stack: Stack, part: str, name: str = "", *, by: str = "") -> None:
    """SIGKILL all of a part of Airflow and start it anew.

    :param name: of the one that dies, where it is another than the part's.
    :param by: name of the one that takes its place, where it is another.
    """
    name = name or part
    for process in processes_below(stack, name).values():
        kill(process)
    stack.stop(name)
    stack.start(part, by or name)


@contextmanager
def frozen(processes: Sequence[psutil.Process], database: Path) -> Iterator[None]:
    """Let processes stand still: alive for the kernel, dead for Airflow.

    SQLite's lock is the file's: whoever is stopped with it in hand stops all of Airflow.
    """
    suspend(processes)
    while locked(database):
        resume(processes)
        time.sleep(0.3)
        suspend(processes)
    try:
        yield
    finally:
        resume(processes)


def suspend(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        process.suspend()


def resume(processes: Sequence[psutil.Process]) -> None:
    for process in processes[::-1]:
        process.resume()


def locked(database: Path) -> bool:
    """Tell whether a SQLite file stays locked for longer than any statement takes."""
    with closing(sqlite3.connect(database, timeout=3)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return True
    return False
