"""SIGKILL for processes of a real Airflow."""

from __future__ import annotations

import psutil

from demo.stack import Stack


def below(stack: Stack, name: str) -> dict[int, psutil.Process]:
    """Return the processes of one of the stack's components, by id."""
    return {process.pid: process for process in psutil.Process(stack.pid(name)).children(recursive=True)}


def kill(process: psutil.Process) -> bool:
    """SIGKILL a process that may just have ended; tell whether it was there."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def replace_killed(stack: Stack, part: str) -> None:
    """SIGKILL all of a part of Airflow and start it anew."""
    for process in below(stack, part).values():
        kill(process)
    stack.stop(part)
    stack.start(part)
