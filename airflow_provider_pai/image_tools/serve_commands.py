"""Resident runner of a DSW instance: it takes commands from a queue folder on OSS, one after another.

A script of its own (`python serve_commands.py QUEUE SECONDS`), which an instance starts at each of its starts; QUEUE is
mounted, SECONDS lie between two looks at it. Of a command the queue holds:

    <name>.json    environment, folders on OSS, time limit; what runs is the script in its run's folder
    <name>.taken   it is begun, here and never again
    <name>.stop    it is to end, or not to begin
    <name>.result  how it has ended

It needs nothing but the standard library of Python 3.8: it runs in images of any age.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

GRACE = 30.0
"""Seconds between SIGTERM and SIGKILL."""
LONGEST_POLL = 30.0
COMMAND, TAKEN, STOP, RESULT = ".json", ".taken", ".stop", ".result"
NAME, MARK = "PAI_COMMAND", "PAI_COMMAND_MARK"
"""Environment variables that all processes of a command have, however far they went from the first: its name, and what
no other instance's command has, should one machine hold several, as the emulator's does."""
MOUNTS = "PAI_MOUNTS"
"""Environment variable of the instance: JSON of addresses on OSS and where they are mounted."""
RUN_DIR = "PAI_RUN_DIR"
SCRIPT_NAME, SCRIPT_RESULT = "_start.sh", "_result.json"
TERMINATED = 128 + signal.SIGTERM
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
"""What a command raises that is none."""


class Queue:
    """The queue folder."""

    def __init__(self, folder: str, seconds: float) -> None:
        self.folder = Path(folder)
        self.seconds = min(seconds, LONGEST_POLL)

    def names(self) -> set[str]:
        """Return what lies in the folder: by a list, since a mount may remember that a file was not there."""
        return {path.name for path in self.folder.iterdir()}

    def waiting(self) -> list[tuple[str, set[str]]]:
        """Return the commands without a result, the oldest first, each with the kinds of files that it has."""
        names = self.names()
        stems = {name[: -len(COMMAND)] for name in names if name.endswith(COMMAND)}
        open_ones = [stem for stem in stems if stem + RESULT not in names]
        found = [((self.folder / f"{stem}{COMMAND}").stat().st_mtime, stem) for stem in open_ones]
        return [(stem, {kind for kind in (TAKEN, STOP) if stem + kind in names}) for _, stem in sorted(found)]

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Write JSON until it is there: nobody else will."""
        while True:
            try:
                publish(self.folder / name, json.dumps(value))
                return
            except OSError as error:
                note(f"{name} is written again: {error}")
                time.sleep(self.seconds)

    def settle(self, stem: str, ended_by: str, *, folder: str = "", code: int = TERMINATED, why: str = "") -> None:
        """Write how a command has ended: as its script says, unless it was ended before that could say it."""
        told = written(Path(folder, SCRIPT_RESULT)) if folder else {}
        own = {"exit_code": code, "finished_at": now(), "ended_by": ended_by, "why": why}
        self.write(stem + RESULT, told or own)


def publish(path: Path, text: str) -> None:
    """Write a file on a mount under another name until it is complete; where nothing is renamed, write it anew."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    try:
        part.replace(path)
    except OSError:
        shutil.copyfile(part, path)
        part.unlink()


def written(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file, empty where it has none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def now() -> str:
    """Return the time, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def note(line: str) -> None:
    """Write a line into the runner's own log."""
    print(now(), line, flush=True)


def local(uri: str, mounts: dict[str, Any]) -> str:
    """Return where an address on OSS is mounted: by the mount that reaches nearest to it."""
    fitting = [mount for mount in mounts if uri.startswith(mount)]
    if not fitting:
        raise ValueError(f"nothing is mounted that holds {uri}")
    mount = max(fitting, key=len)
    return str(Path(mounts[mount], uri[len(mount) :]))


def environment_of(stem: str, command: dict[str, Any]) -> dict[str, str]:
    """Return a command's environment: the instance's, its own, and its folders where they are mounted."""
    mounts = json.loads(os.environ[MOUNTS])
    folders = {name: local(uri, mounts) for name, uri in command["folders"].items()}
    return {
        **os.environ,
        **command["environment"],
        **folders,
        RUN_DIR: folders[RUN_DIR],
        NAME: stem,
        MARK: mark_of(stem),
    }


def mark_of(stem: str) -> str:
    """Return what only the processes of this instance's command have."""
    return f"{Path.home()}:{stem}"


def processes_of(mark: str) -> list[int]:
    """Return the ids of all processes that a command has started."""
    mine, found = f"{MARK}={mark}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mine in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def sweep(stem: str) -> None:
    """Kill what is left of a command: the next one finds a quiet machine."""
    for pid in processes_of(mark_of(stem)):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def watch(queue: Queue, stem: str, process: subprocess.Popen[bytes], limit: float | None) -> str:
    """Wait for a command's end, or bring it about; return what did."""
    deadline = time.monotonic() + limit if limit else float("inf")
    ended_by = ""
    while not ended_by and not ends_within(process, queue.seconds):
        with suppress(OSError):
            ended_by = "stop" if stem + STOP in queue.names() else ""
        ended_by = ended_by or ("limit" if time.monotonic() > deadline else "")
    if ended_by:
        process.terminate()  # the script hands it on, and brings the log home
        ends_within(process, GRACE)
    sweep(stem)
    process.wait()
    return ended_by


def ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a process's end, so long; tell whether it came."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def run_command(queue: Queue, stem: str) -> None:
    """Run one command to its end."""
    command: dict[str, Any] = json.loads((queue.folder / f"{stem}{COMMAND}").read_text(encoding="utf-8"))
    environment = environment_of(stem, command)
    folder = environment[RUN_DIR]
    for name in command["folders"]:
        with suppress(OSError):  # one that is mounted for reading alone
            Path(environment[name]).mkdir(parents=True, exist_ok=True)
    queue.write(stem + TAKEN, {"taken_at": now()})
    note(f"{stem} begins")
    arguments = ["bash", str(Path(folder, SCRIPT_NAME))]
    process = subprocess.Popen(arguments, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    ended_by = watch(queue, stem, process, command.get("limit_seconds"))
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    queue.settle(stem, ended_by, folder=folder, code=code)
    note(f"{stem} has ended: {code} {ended_by}")


def close(queue: Queue, stem: str) -> None:
    """Settle a command that an earlier start of the instance, or of this runner, has begun: it is not begun again."""
    sweep(stem)
    folder = ""
    with suppress(*UNREADABLE):
        folder = environment_of(stem, written(queue.folder / f"{stem}{COMMAND}"))[RUN_DIR]
    queue.settle(stem, "restart", folder=folder)


def serve_next(queue: Queue) -> bool:
    """Run the oldest command that waits; tell whether there was one."""
    for stem, kinds in queue.waiting():
        if TAKEN in kinds:
            close(queue, stem)
        elif STOP in kinds:
            queue.settle(stem, "stop")
        else:
            try:
                run_command(queue, stem)
            except UNREADABLE as error:
                queue.settle(stem, "refusal", code=126, why=f"{type(error).__name__}: {error}")
            return True
    return False


def serve(queue: Queue) -> None:
    """Serve commands, for ever; what goes wrong with the mount is tried again."""
    while True:
        try:
            if serve_next(queue):
                continue
        except OSError as error:
            note(f"trying again: {error}")
        time.sleep(queue.seconds)


if __name__ == "__main__":
    serve(Queue(sys.argv[1], float(sys.argv[2])))
