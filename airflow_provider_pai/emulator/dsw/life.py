"""Life of one instance: starting it, running its on-start command, saving, stopping, deleting it."""

from __future__ import annotations

import asyncio
import shlex
import shutil
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.dsw.idleness import Idleness
from airflow_provider_pai.emulator.dsw.instance import Instance
from airflow_provider_pai.emulator.errors import ApiError
from airflow_provider_pai.emulator.runtime.mounts import FolderSource, Mount, check_prefixes, mount_all
from airflow_provider_pai.emulator.runtime.processes import see_out, stop_all
from airflow_provider_pai.emulator.runtime.root import Root

STARTING = ("ResourceAllocating", "EnvPreparing", "Starting")
USERS = {"root": ("0", "/root"), "user": ("1000", "/home/pai")}
"""Number and home of who runs the on-start command; in truth it is whoever runs the emulator."""

_WORKSPACE = Path("/mnt/workspace")
"""Where an instance has its own disk, unless a dataset is mounted there [CreateInstanceRequest.WorkspaceSource]."""

# What `id -u` says in a shell of the command's.
_ID = '() {{ if [ "$*" = -u ]; then echo {uid}; else command id "$@"; fi; }}'
# The container outlives its on-start command: so does what the command has put into the background.
_CONTAINER = "bash -c {script}; : > {ended}; exec tail -f /dev/null"
_LOOK = 0.01
"""Seconds between two looks for the end of an on-start command that holds its instance back."""


class Life:
    """Runs one instance in the background, one thing at a time."""

    def __init__(self, account: Account, instance: Instance, folder: Path, oss: FolderSource) -> None:
        self._account = account
        self._instance = instance
        self._folder = folder
        self._oss = oss
        self.idleness = Idleness(account, instance)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Go to Running through the statuses of a start."""
        self._next(self._start())

    def stop(self, save_image: bool) -> None:
        """Go to Stopped, through Saving and Saved if the environment is to be saved."""
        self._instance.move("Saving" if save_image else "Stopping")
        self._next(self._stop(self._task, save_image))

    def begin_timer(self, stop: Callable[[], object]) -> None:
        """Stop the instance when its timer is due, unless that has been lifted or the instance is ending anyway."""
        timer = self._instance.timer
        assert timer
        left = (datetime.fromisoformat(timer["DueTime"]) - self._account.now()).total_seconds()

        def act() -> None:
            if self._instance.timer is timer:
                with suppress(ApiError):
                    stop()

        asyncio.get_running_loop().call_later(max(0.0, left) * self._account.settings.minute / 60, act)

    def delete(self, forget: Callable[[], None]) -> None:
        """Delete the instance and its disk."""
        self._instance.move("Deleting")
        self._next(self._delete(forget))

    def _next(self, step: Coroutine[Any, Any, None]) -> None:
        self._task = self._account.spawn(step, f"dsw-{self._instance.id}")

    async def _start(self) -> None:
        try:
            for status in STARTING:
                await self._account.dwell()
                self._instance.move(status)
                if status == "EnvPreparing":
                    root = await self._prepare()
            await self._account.dwell()
        except ApiError as error:
            self._instance.move("Failed", "DatasetMountFailed", f"{error.code}: {error.message}")
            return
        except OSError as error:
            self._instance.move("Failed", "EnvPreparingFailed", str(error))
            return
        await self._run(root)

    async def _prepare(self) -> Root:
        """Mount the datasets; everything else in the root is as the last stop left it, as on a system disk."""
        root = Root(self._folder / "root")
        mounts = [
            Mount(dataset["Uri"], dataset["MountPath"], dataset.get("MountAccess") == "RO", appends=False)
            for dataset in self._instance.request.get("Datasets") or []
        ]
        if self._account.world.dsw_missing_prefix == "fails":
            check_prefixes(mounts, self._oss)
        await mount_all(root, mounts, self._oss)
        if not any(_WORKSPACE.is_relative_to(mount.path) for mount in mounts):
            root.local(str(_WORKSPACE)).mkdir(parents=True, exist_ok=True)
            root.map_path(str(_WORKSPACE), root.local(str(_WORKSPACE)))
        return root

    async def _run(self, root: Root) -> None:
        """Run the on-start command, and what it leaves in the background until the instance is stopped."""
        request, world = self._instance.request, self._account.world
        script = ((request.get("UserCommand") or {}).get("OnStart") or {}).get("Content")
        if not script:
            self._instance.move("Running")
            await self._stop_when_idle()
            return
        uid, home_path = USERS[world.dsw_user]
        home, ended = root.local(home_path), self._folder / "on-start.ended"
        home.mkdir(parents=True, exist_ok=True)
        ended.unlink(missing_ok=True)
        process = await root.start(
            _CONTAINER.format(script=shlex.quote(script), ended=shlex.quote(str(ended))),
            environment={
                "HOME": str(home),
                "BASH_FUNC_id%%": _ID.format(uid=uid),
                **(request.get("EnvironmentVariables") or {}),
            },
            copies=self._folder / "scripts",
            log=self._folder / "logs" / "on-start.log",
            grace=self._account.settings.grace,
        )
        try:
            while world.dsw_on_start == "blocking" and process.running and not ended.exists():
                await asyncio.sleep(_LOOK)
            self._instance.move("Running")
            await self._stop_when_idle(process.pid)
        finally:
            await stop_all([process])

    async def _stop_when_idle(self, guard: int | None = None) -> None:
        await self.idleness.wait(guard)
        if self._instance.status == "Running":  # not one whose environment is being saved
            self.stop(save_image=False)

    async def _stop(self, running: asyncio.Task[None] | None, save_image: bool) -> None:
        if save_image:
            await self._account.dwell()
            self._instance.take_snapshot()
            self._instance.move("Saved")
            await self._account.dwell()
            self._instance.move("Stopping")
        if running is not None:
            running.cancel()
            await see_out(asyncio.gather(running, return_exceptions=True))
        await self._account.dwell()
        self._instance.move("Stopped")

    async def _delete(self, forget: Callable[[], None]) -> None:
        await self._account.dwell()
        forget()
        await asyncio.to_thread(erase, self._folder)


def erase(folder: Path) -> None:
    """Delete the disk of an instance; what was mounted stays in its bucket."""
    Root(folder / "root").remove()
    shutil.rmtree(folder, ignore_errors=True)
