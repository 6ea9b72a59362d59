"""Processes of this machine in place of pods, notebook instances and service instances."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from airflow_provider_pai.emulator.times import now

log = logging.getLogger("airflow_provider_pai.emulator.processes")

_GUARD = Path(__file__).with_name("guard.py")

LAST_WORDS = 2.0
"""Seconds in which the output of an ended process must have been read."""
LONGEST_LINE = 1_000_000
"""Bytes after which a line is cut, for programs that never write a newline."""

# What a process inherits; everything else a real container would not see either.
_INHERITED = ("LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "TMPDIR")
_INHERITED_PREFIXES = ("OPENBLAS_", "GIT_SSL_")


def base_environment() -> dict[str, str]:
    """Return the environment every process starts with; `python` is the emulator's own Python."""
    inherited = {
        name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**inherited, "PATH": path, "PYTHONUNBUFFERED": "1"}


_started: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakSet[Process]] = WeakKeyDictionary()


class Process:
    """One running shell script with its log file.

    Each line of output is written to the log as `<ISO time> <text>`, in the order in which it came.
    """

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._loses = False
        self._copying = asyncio.create_task(self._copy())
        _started.setdefault(asyncio.get_running_loop(), WeakSet()).add(self)

    @classmethod
    async def start(
        cls,
        script: str,
        *,
        environment: Mapping[str, str],
        folder: Path,
        log: Path,
        grace: float,
        memory: int = 0,
        shell: str = "bash",
        shown: Mapping[str, str] | None = None,
    ) -> Process:
        """Start `<shell> -c script` in a folder.

        :param environment: added to the base environment.
        :param grace: seconds between SIGTERM and SIGKILL at a stop.
        :param memory: bytes that the pod may hold; 0: any.
        :param shown: folders by the absolute paths at which it sees them, where that `is_available` (namespace.py).
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        guard = (sys.executable, "-I", "-S", str(_GUARD), str(grace), str(memory), json.dumps(shown) if shown else "")
        spawning = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *(*guard, shell, "-c", script),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                # Who kills the emulator's whole process group must leave the guard to end the pod.
                start_new_session=True,
                cwd=folder,
                env={**base_environment(), "HOME": str(folder), **environment},
            )
        )
        try:
            return cls(await asyncio.shield(spawning), log)
        except asyncio.CancelledError:
            # asyncio would kill the guard, which could then not end what it has started.
            await stop_all([cls(await spawning, log)])
            raise

    @property
    def pid(self) -> int:
        """Return the id of the guard process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Tell whether the process has not ended."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Return the exit code once the process has ended and its log is complete."""
        code = await self._process.wait()
        # Where the guard can't find all descendants (macOS), one of them may hold the pipe for ever.
        await asyncio.wait({self._copying}, timeout=LAST_WORDS)
        return code

    async def stop(self) -> int:
        """Ask the process to end (SIGTERM, then SIGKILL) and return the exit code."""
        self.request_stop()
        return await self.wait()

    def request_stop(self) -> None:
        """Ask for the stop and return at once."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def hurry(self, grace: float) -> None:
        """Let a stop, from now on, wait no longer than this between SIGTERM and SIGKILL."""
        if self.running and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(f"{grace}\n".encode())

    async def _copy(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        self._keep([])
        while chunk := await self._process.stdout.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            self._keep(lines)
        self._keep([rest] if rest else [])

    def _keep(self, lines: Iterable[bytes]) -> None:
        """Append lines to the log.

        On a full disk they are lost: whoever stopped reading would hold the process at its next line, and its end.
        """
        stamp = now().isoformat(timespec="microseconds").encode()
        try:
            with self._log.open("ab", buffering=0) as file:
                file.write(b"".join(stamp + b" " + line + b"\n" for line in lines))
        except FileNotFoundError:
            pass  # deleted with what it is the log of
        except OSError as error:
            if not self._loses:
                log.warning("Lines of %s are lost: %s", self._log, error)
            self._loses = True


def hurry(grace: float) -> None:
    """Let every process of this event loop have at most so many seconds after a SIGTERM."""
    for process in _started.get(asyncio.get_running_loop(), ()):
        process.hurry(grace)


async def stop_all(processes: Iterable[Process]) -> None:
    """End processes and return when they are gone, even if the caller is canceled meanwhile."""
    processes = list(processes)
    for process in processes:
        process.request_stop()
    await see_out(asyncio.gather(*(process.wait() for process in processes)))


async def see_out(work: asyncio.Future[Any]) -> None:
    """Wait until a piece of clean-up has ended; a cancellation in between is raised only then."""
    canceled = False
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            canceled = True
    if canceled:
        raise asyncio.CancelledError
