"""Child processes: each below a guard, each with a log file, all ended together."""

from __future__ import annotations

import fcntl
import itertools
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

from airflow_provider_pai.emulator.runtime import guard

# Ends everything below it when its standard input closes, even if this process is killed.
_GUARD = Path(guard.__file__)


class ComponentError(Exception):
    """A component ended, or did not come up; the message ends with the tail of its log."""


class Component:
    """One running command.

    :param name: what it is called in messages, and the name of its log file.
    :param grace: seconds it gets to end by itself.
    :param captured: hand its standard output to this process instead of the log.
    :param keeps: file descriptors that the guard keeps open as long as anything of it runs.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        logs: Path,
        grace: float = 4.0,
        captured: bool = False,
        keeps: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        self.grace = grace
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARD), str(grace), "0", "", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if captured else log,
                stderr=log,
                env=dict(environment),
                pass_fds=keeps,
                text=True,
            )

    @property
    def pid(self) -> int:
        """Return the guard's process id."""
        return self._guard.pid

    @property
    def output(self) -> IO[str]:
        """Return the captured standard output."""
        assert self._guard.stdout is not None
        return self._guard.stdout

    def check(self) -> None:
        """Raise ComponentError if it has ended."""
        code = self._guard.poll()
        if code is not None:
            raise ComponentError(f"{self.name} ended with exit code {code}\n{self.tail()}")

    def wait(self, timeout: float) -> None:
        """Wait until it has ended by itself; any exit code but 0 raises ComponentError."""
        if self._guard.wait(timeout) != 0:
            self.check()

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of its log."""
        with self.log.open(errors="replace") as log:
            text = "".join(f"  | {line}" for line in deque(log, lines))
        return f"  last lines of {self.log}:\n{text}"

    def request_stop(self) -> None:
        """Ask for its end and return at once."""
        if self._guard.stdin is not None:
            self._guard.stdin.close()

    def join(self) -> None:
        """Return when it and everything it started are gone."""
        self._guard.wait(self.grace + 30)


def stop_all(components: Sequence[Component]) -> None:
    """End all at the same time and wait for them."""
    for component in components:
        component.request_stop()
    for component in components:
        component.join()


def end_on_signals() -> None:
    """Turn Ctrl-C, SIGTERM and SIGHUP into one KeyboardInterrupt; a second must not cut the tidying up short."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(*_: object) -> NoReturn:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in numbers:
        signal.signal(number, interrupt)


class FolderLock:
    """Keeps two stacks out of one folder; held until every process that keeps its descriptor is gone."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a")

    @property
    def descriptor(self) -> int:
        """Return what the processes have to keep open."""
        return self._file.fileno()

    def take(self, patience: float, waiting: Callable[[], None]) -> None:
        """Take the lock, after `patience` seconds give up; `waiting` is called once if it is not free."""
        deadline = time.monotonic() + patience
        for attempt in itertools.count():
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ComponentError("another one runs in this folder; end it first") from None
            if attempt == 0:
                waiting()
            time.sleep(0.2)

    def release(self) -> None:
        """Close this process's descriptor."""
        self._file.close()
