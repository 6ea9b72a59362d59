"""Guard process of one command: nothing that the command started outlives it.

A script of its own (`python -I -S guard.py GRACE MEMORY SHOWN COMMAND...`), started for each pod. Its standard input is
a pipe that the emulator holds: when that closes, because the emulator asks for a stop or has died, all of the
command's processes get SIGTERM and, after GRACE seconds, SIGKILL. On Linux that includes those that made a
session of their own; elsewhere it is the command's process group. A number that comes in over the pipe is the longest
GRACE from then on: an emulator that ends is in a hurry.

MEMORY is what all processes together may hold, in bytes; when they hold more, the largest is killed, as a container's
limit does it (Linux; 0: no limit). SHOWN is JSON, or nothing: folders by the paths at which the command sees them, as
namespace.py does it.
"""

import contextlib
import ctypes
import json
import math
import os
import runpy
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
POLL = 1.0
"""Seconds between two looks for an emulator that died while a fork of it still holds the pipe."""
STOP_POLL = 0.05
MEMORY_POLL = 0.5
"""Seconds between two looks at the memory."""


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> list[int]:
    """Return the ids of all processes below one, each before its children (Linux; elsewhere none).

    Not by a look at every process of the machine: where hundreds of guards end at once, that is the square of them.
    """
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, children.read_text().split()):
                found += [child, *descendants(child)]
    return found


def memory_below(pid: int) -> dict[int, int]:
    """Return the resident bytes of each process below one (Linux), but of those that threads have started.

    A look at every thread of a busy server would cost more than the server.
    """
    sizes: dict[int, int] = {}
    with contextlib.suppress(OSError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            sizes |= memory_below(child)
            sizes[child] = int(Path(f"/proc/{child}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return sizes


def enforce(limit: int) -> None:
    """Kill the largest process if all together hold more than the limit."""
    sizes = memory_below(os.getpid())
    if sum(sizes.values()) > limit:
        with contextlib.suppress(ProcessLookupError):
            os.kill(max(sizes, key=sizes.__getitem__), signal.SIGKILL)


class Command:
    """The command and everything it started."""

    def __init__(self, arguments: list[str], before: Callable[[], None] | None) -> None:
        # Kept: a Popen that is dropped collects the exit code of a child that has ended already.
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=before,  # noqa: PLW1509 - the guard has one thread
        )
        self.pid = self._process.pid
        self.code: int | None = None

    def reap(self) -> bool:
        """Collect what has ended, and tell whether a process is left; on Linux orphans are children of the guard, too.

        Remembers the command's own exit code, 128 + n where signal n ended it.
        """
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.pid:
                    code = os.waitstatus_to_exitcode(ended[1])
                    self.code = code if code >= 0 else 128 - code
            return True
        return False

    def signal(self, number: int) -> bool:
        """Signal every process; tell whether there was one (number 0 only asks).

        A shell gets its signal no later than what it waits for: it would run the next line of its script otherwise.
        """
        below = descendants(os.getpid())
        is_group_left = True
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            is_group_left = False
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return is_group_left or bool(below)


def entrance(shown: str) -> Callable[[], None] | None:
    """Return what the command does first, to see folders at paths of its own."""
    if not shown:
        return None
    enter = runpy.run_path(str(Path(__file__).with_name("namespace.py")))["enter"]

    def go_in() -> None:
        try:
            enter(json.loads(shown))
        except OSError as error:
            os.write(2, f"Mounts can't be shown: {error}\n".encode())
            raise

    return go_in


def main() -> int:
    """Run the command; exit as it did once nothing of it is left."""
    grace, memory, emulator = float(sys.argv[1]), int(sys.argv[2]), os.getppid()
    awake = wake_at_signals()
    adopt_orphans()
    command = Command(sys.argv[4:], entrance(sys.argv[3]))
    deadline = math.inf
    while True:
        left = command.reap()
        stopping = deadline < math.inf
        # At its own end the command's background processes end too; at a stop they have their grace.
        if command.code is not None and not (stopping and (left or command.signal(0))):
            break
        if memory:
            enforce(memory)
        if time.monotonic() > deadline:
            command.signal(signal.SIGKILL)
        watched, patience = ([awake], STOP_POLL) if stopping else ([awake, 0], MEMORY_POLL if memory else POLL)
        ready, _, _ = select.select(watched, [], [], patience)
        if awake in ready:
            os.read(awake, 4096)
        said = os.read(0, 64) if 0 in ready else None
        if said:
            grace = min(grace, float(said))
        if not stopping and (said == b"" or os.getppid() != emulator):
            deadline = time.monotonic() + grace
            command.signal(signal.SIGTERM)
    # Lists of children may miss one of a process that is ending; it is the guard's own the next time.
    while command.signal(signal.SIGKILL) | command.reap():
        time.sleep(0.005)
    return command.code


def wake_at_signals() -> int:
    """Return a descriptor that becomes readable when a child ends.

    Signals that would end the guard do nothing: whoever holds the pipe alone decides when a pod ends. They
    get a handler because the command would inherit that they are ignored.
    """
    awake, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return awake


if __name__ == "__main__":
    sys.exit(main())
