"""Room of one container of DLC, DSW or EAS: a folder, what is mounted, and how its processes come to see that.

Processes of the emulator share the machine's file system and network. What is mounted at `/mnt/data` is a folder below
the container's own, which its processes see at `/mnt/data` where the system lets a user do that (namespace.py).
Elsewhere their command and environment are rewritten to say that folder; what a program spells out in its own source
is not. Ports are always rewritten, and the address 0.0.0.0 becomes 127.0.0.1: what listens on a container's every
interface must not be reachable from outside this machine.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from airflow_provider_pai.emulator.runtime import namespace
from airflow_provider_pai.emulator.runtime.processes import Process

# What the emulator keeps beside the objects of a bucket.
_PRIVATE = ".pai-emulator"


class Root:
    """One container's view: its paths mapped to folders below `folder`, its ports to local ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths: dict[str, str] = {}
        self._words = {"0.0.0.0": "127.0.0.1"}  # noqa: S104 - rewritten, not bound
        folder.mkdir(parents=True, exist_ok=True)

    def local(self, container_path: str) -> Path:
        """Return where a container path lies on this machine, whether it exists or not."""
        return self.folder / container_path.strip("/")

    def mount(self, mount_path: str, source: Path, *, read_only: bool) -> None:
        """Show `source` at a container path.

        Read and write: a link, so that what is written is an object at once. Read-only: a copy without write
        permission, so that a write never reaches the bucket. A link that a job has left in there is copied as the file
        it leads to, unless it leads to a folder, out of `source` or nowhere: what is no object is not shown.
        """
        target = self.local(mount_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._unmount(target)
        if not read_only:
            source.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source, target_is_directory=True)
        elif source.is_dir():
            shutil.copytree(source, target, ignore=_no_objects(source))
        else:
            target.mkdir()
        if read_only:
            _set_writable(target, writable=False)
        self.map_path(mount_path, target)

    def map_path(self, container_path: str, target: Path) -> None:
        """Let a container path, and everything below it, be a local folder."""
        self._paths["/" + container_path.strip("/")] = str(target)

    def map_port(self, container_port: int, local_port: int) -> None:
        """Rewrite a container port, as a whole word, to a local one."""
        self._words[str(container_port)] = str(local_port)

    async def start(
        self,
        script: str,
        *,
        environment: Mapping[str, str],
        log: Path,
        grace: float,
        copies: Path | None = None,
        **options: Any,
    ) -> Process:
        """Start a script in the folder, for which its mounts are where it looks for them.

        :param copies: folder for copies of the shell scripts on mounts that it names, where those must be rewritten.
        :param options: as of `Process.start`.
        """
        shown = self.shown()
        if copies and not shown:
            script = self._copy_scripts(script, copies)
        return await Process.start(
            self.translate(script),
            environment={name: self.translate(value) for name, value in environment.items()},
            folder=self.folder,
            log=log,
            grace=grace,
            shown=shown,
            **options,
        )

    def shown(self) -> dict[str, str]:
        """Return local folders by the paths at which processes see them; none where paths are rewritten."""
        if not namespace.is_available() or any(namespace.hides(path, self.folder) for path in self._paths):
            return {}
        return {path: os.path.realpath(target) for path, target in self._paths.items()}

    def translate(self, text: str) -> str:
        """Rewrite one text in a single pass, so that nothing is rewritten twice."""
        rewritten = {} if self.shown() else self._paths
        local = {**rewritten, **self._words}
        # A path: not in the middle of a longer one, and a whole component at its end. Others: a whole word.
        paths = "|".join(re.escape(path) for path in sorted(rewritten, key=len, reverse=True))
        forms = [rf"(?<![\w./-])(?:{paths})(?![\w.-])"] if paths else []
        forms += [rf"(?<![\w.-]){re.escape(word)}(?![\w.-])" for word in self._words]
        return re.sub("|".join(forms), lambda match: local[match.group()], text)

    def _copy_scripts(self, command: str, copies: Path) -> str:
        """Name rewritten copies in the place of the shell scripts below mounts that a command names."""
        mounts = "|".join(map(re.escape, self._paths)) or "$^"

        def copied(match: re.Match[str]) -> str:
            script = Path(self.translate(match.group()))
            if not script.is_file():
                return match.group()
            copies.mkdir(parents=True, exist_ok=True)
            copy = copies / script.name
            copy.write_text(self.translate(script.read_text(encoding="utf-8")), encoding="utf-8")
            return str(copy)

        return re.sub(rf"(?<![\w./-])(?:{mounts})/[\w./-]+\.sh\b", copied, command)

    def _unmount(self, target: Path) -> None:
        """Clear the place of a mount of an earlier start."""
        if target.is_symlink():
            target.unlink()
        elif target.exists():
            _set_writable(target, writable=True)
            shutil.rmtree(target)

    def remove(self) -> None:
        """Delete the folder; what is mounted for read and write stays in its bucket."""
        _set_writable(self.folder, writable=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _no_objects(source: Path) -> Callable[[str, list[str]], list[str]]:
    """Return what `copytree` asks for the names in a folder to leave out."""
    inside = f"{os.path.realpath(source)}{os.sep}"

    def is_shown(path: Path) -> bool:
        if path.is_symlink():
            return path.is_file() and os.path.realpath(path).startswith(inside)
        return path.is_file() or path.is_dir()

    return lambda folder, names: [
        name for name in names if name.startswith(_PRIVATE) or not is_shown(Path(folder, name))
    ]


def _set_writable(folder: Path, *, writable: bool) -> None:
    """Give or take the owner's write permission below a folder, without following links."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent), *(Path(parent, name) for name in names)):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | 0o200 if writable else mode & ~0o222)
