"""Checkouts of code sources, made by git."""

from __future__ import annotations

import asyncio
import base64
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from airflow_provider_pai.emulator.runtime.processes import Process, stop_all
from airflow_provider_pai.emulator.runtime.root import Root


class CloneError(Exception):
    """git refused; the message is git's own."""


@dataclass(frozen=True)
class Checkout:
    """A commit or branch of a repository, to be checked out at a path; a commit wins over a branch."""

    repository: str
    mount_path: str
    branch: str = ""
    commit: str = ""
    user_name: str = ""
    access_token: str = ""
    new_folder: bool = True
    """Into a folder of the repository's name below the mount path (CloneType 0), or into the path itself."""

    @property
    def container_path(self) -> str:
        """Return where the working tree lies in the container."""
        name = PurePosixPath(self.repository.rstrip("/").replace(":", "/")).name.removesuffix(".git")
        return f"{self.mount_path.rstrip('/')}/{name}" if self.new_folder else self.mount_path

    async def clone(self, folder: Path, *, log: Path) -> None:
        """Clone into a folder that does not exist.

        :raises CloneError: with git's message.
        """
        branch = ["--branch", self.branch] if self.branch and not self.commit else []
        steps = [["git", "clone", "--quiet", *branch, "--", self.repository, str(folder)]]
        if self.commit:
            steps.append(["git", "-C", str(folder), "checkout", "--quiet", "--detach", self.commit])
        script = " && ".join(map(shlex.join, steps))
        folder.parent.mkdir(parents=True, exist_ok=True)
        git = await Process.start(script, environment=self._environment(), folder=folder.parent, log=log, grace=1.0)
        try:
            code = await git.wait()
        except asyncio.CancelledError:
            await stop_all([git])
            raise
        if code:
            lines = (line.partition(" ")[2] for line in log.read_text(errors="replace").splitlines())
            raise CloneError(" ".join(lines).strip() or f"git ended with exit code {code}")

    async def place(self, root: Root, source: Path) -> None:
        """Put a copy of a clone into a root; each pod may change its own."""
        target = root.local(self.container_path)
        if target.exists():
            await asyncio.to_thread(shutil.rmtree, target)
        await asyncio.to_thread(shutil.copytree, source, target, symlinks=True)
        root.map_path(self.mount_path, root.local(self.mount_path))

    def _environment(self) -> dict[str, str]:
        """Hand credentials to git so that neither the clone's configuration nor a process list shows them."""
        environment = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        if self.access_token:
            login = base64.b64encode(f"{self.user_name or 'git'}:{self.access_token}".encode()).decode()
            environment |= {
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "http.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: Basic {login}",
            }
        return environment
