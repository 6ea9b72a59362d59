"""Mount namespace of one command: folders of this machine at the absolute paths of a container, without root (Linux).

The guard runs `enter` between its fork and the command. The command sees this machine as it is, with what is shown put
over it: a new root holds the old one's entries as bind mounts, and the folders on the way to a path that is shown are
opened in the same way, so that nothing has to be there, and nobody has to be root, to have `/mnt/data`.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

NEW_NAMESPACE, NEW_USER = 0x20000, 0x10000000
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000
DETACH = 2

MEETING = "/tmp"  # noqa: S108 - the new root is mounted there, for nobody else to see, until it is the root
OLD = "/.old"
NEEDED = ("/usr", "/bin", "/lib", "/proc", "/dev", "/tmp", sys.prefix, sys.base_prefix)  # noqa: S108
"""What a command can't be without: a mount at one of these, or above, would hide it."""


def enter(shown: Mapping[str, str]) -> None:
    """Show folders to this process, which must have one thread, and to all that it starts.

    :param shown: folders of this machine by the paths at which they are to be seen.
    :raises OSError: the system does not allow it.
    """
    folder, libc = os.getcwd(), ctypes.CDLL(None, use_errno=True)  # noqa: PTH109 - as text
    _unshare(libc)
    _call(libc.mount, b"none", b"/", None, RECURSIVE | PRIVATE, None)
    _call(libc.mount, b"tmpfs", MEETING.encode(), b"tmpfs", 0, b"mode=755")
    os.mkdir(MEETING + OLD)  # noqa: PTH102 - as text
    _call(libc.pivot_root, MEETING.encode(), (MEETING + OLD).encode())
    os.chdir("/")

    def bind(source: str, path: str) -> None:
        _call(libc.mount, os.fsencode(OLD + source), os.fsencode(path), None, BIND | RECURSIVE, None)

    places = {_real(path): shown[path] for path in sorted(shown)}
    _open("/", places, {str(parent) for path in places for parent in Path(path).parents}, bind)
    for path, source in places.items():
        os.makedirs(path, exist_ok=True)  # noqa: PTH103 - as text
        bind(source, path)
    _call(libc.umount2, OLD.encode(), DETACH)
    os.chdir(folder)


def _unshare(libc: ctypes.CDLL) -> None:
    """Get a mount namespace; who may not have one gets a user namespace, too, and is in it who they were."""
    user, group = os.geteuid(), os.getegid()
    if not libc.unshare(NEW_NAMESPACE):
        return
    _call(libc.unshare, NEW_NAMESPACE | NEW_USER)
    for name, text in {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}.items():
        Path("/proc/self", name).write_text(text)


def _call(function: Callable[..., int], *arguments: object) -> None:
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(arguments))


def _real(path: str) -> str:
    """Return where a path leads with the old root's links."""
    return os.path.realpath(OLD + path).removeprefix(OLD)


def _open(folder: str, places: Mapping[str, str], opened: Iterable[str], bind: Callable[[str, str], None]) -> None:
    """Fill a folder of the new root with the entries of the old one, but for those that others are put over."""
    entries: list[os.DirEntry[str]] = []
    with suppress(OSError):  # it is not there, or not for us: so it is empty
        entries = list(os.scandir(OLD + folder))
    for entry in entries:
        path = entry.path.removeprefix(OLD)
        if path in places or entry.path == OLD + OLD:
            continue
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), path)  # noqa: PTH115, PTH211 - as text
        elif path in opened:
            os.mkdir(path)  # noqa: PTH102 - as text
            _open(path, places, opened, bind)
        else:
            _place(path, entry.is_dir())
            with suppress(OSError):
                bind(path, path)


def _place(path: str, is_folder: bool) -> None:
    if is_folder:
        os.mkdir(path)  # noqa: PTH102 - as text
    else:
        Path(path).touch()


@cache
def is_available() -> bool:
    """Tell whether this system lets a user show folders at paths of their own."""
    script = f"import runpy; runpy.run_path({__file__!r})['enter']({{'/pai-emulator/here': '/usr'}})"
    trial = [sys.executable, "-I", "-S", "-c", script]
    return sys.platform == "linux" and subprocess.run(trial, capture_output=True, check=False).returncode == 0


def hides(path: str, folder: Path) -> bool:
    """Tell whether a mount at a path would hide what a command needs, or its own folder."""
    return any(Path(needed).is_relative_to(path) for needed in (*NEEDED, folder))
