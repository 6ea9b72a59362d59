"""Life of one TensorBoard: mounting its folders, running its server, ending it."""

from __future__ import annotations

import asyncio
import importlib.util
import shlex
import shutil
import sys
from pathlib import Path

from airflow_provider_pai.emulator.account import Account
from airflow_provider_pai.emulator.dlc.tensorboards.board import Board
from airflow_provider_pai.emulator.errors import ApiError
from airflow_provider_pai.emulator.queries import time_range
from airflow_provider_pai.emulator.runtime.logs import read_log
from airflow_provider_pai.emulator.runtime.mounts import FolderSource, Mount, mount_all
from airflow_provider_pai.emulator.runtime.ports import free_ports, is_open
from airflow_provider_pai.emulator.runtime.processes import Process, see_out, stop_all
from airflow_provider_pai.emulator.runtime.root import Root

POLL = 0.02
"""Seconds between two looks whether the server answers."""


class Life:
    """Runs one TensorBoard in the background, from one start to the next stop."""

    def __init__(self, account: Account, board: Board, folder: Path, oss: FolderSource) -> None:
        self._account = account
        self._board = board
        self._folder = folder
        self._oss = oss
        self._log = folder / "logs" / "server.log"
        self._task: asyncio.Task[None] = account.spawn(self._live(), f"dlc-{board.id}")
        self._stopping = False

    def stop(self, code: str, message: str) -> None:
        """Begin to stop; it goes on to Stopped by itself."""
        if not self._stopping and self._board.active:
            self._stopping = True
            self._account.spawn(self._stop(code, message), f"dlc-{self._board.id}-stop")

    async def _stop(self, code: str, message: str) -> None:
        self._task.cancel()
        await see_out(asyncio.gather(self._task, return_exceptions=True))
        self._board.move("Stopped", code, message)

    async def _live(self) -> None:
        try:
            result = await self._run()
        finally:
            # Before the move: who sees the result may start it again in the same folder.
            await see_out(asyncio.ensure_future(asyncio.to_thread(erase, self._folder)))
        self._board.move(*result)

    async def _run(self) -> tuple[str, str, str]:
        """Run until the server ends; returns status, code and message."""
        try:
            await self._account.dwell()
            code = await self._serve(await self._prepare())
        except ApiError as error:
            return "Failed", "DataSourceMountFailed", f"{error.code}: {error.message}"
        except OSError as error:
            return "Failed", "TensorboardFailed", str(error)
        # Servers do not end by themselves; when one does, its exit code tells what became of it.
        last_words = "".join(read_log(self._log, *time_range({}, self._account.now()), 1))
        result = "Failed" if code else "Succeeded"
        return result, "ServerEnded", f"The server ended with exit code {code}: {last_words}"

    async def _prepare(self) -> Root:
        """Mount what is shown for read and write: a copy would not grow with the logs."""
        root, folders = Root(self._folder / "root"), self._board.folders
        mounts = [Mount(uri, path) for path, uri in folders.mounts.items()]
        await mount_all(root, mounts, self._oss)
        root.local(folders.shown).mkdir(parents=True, exist_ok=True)
        return root

    async def _serve(self, root: Root) -> int:
        """Run the server until it ends; returns its exit code."""
        (port,) = free_ports(1)
        process = await Process.start(
            serve_command(root.local(self._board.folders.shown), port),
            environment={},
            folder=root.folder,
            log=self._log,
            grace=self._account.settings.grace,
        )
        timer = None
        try:
            while process.running and not await is_open(port):
                await asyncio.sleep(POLL)
            if process.running:
                self._board.move("Running", url=f"http://127.0.0.1:{port}/")
                timer = self._limit()
            return await process.wait()
        finally:
            if timer is not None:
                timer.cancel()
            await stop_all([process])

    def _limit(self) -> asyncio.TimerHandle | None:
        """Stop it after its MaxRunningTimeMinutes, counted from Running."""
        minutes = self._board.request.get("MaxRunningTimeMinutes")
        if not minutes:
            return None
        message = f"It ran longer than MaxRunningTimeMinutes, {minutes}."
        delay = minutes * self._account.settings.minute
        return asyncio.get_running_loop().call_later(delay, self.stop, "MaxRunningTimeExceeded", message)


def erase(folder: Path) -> None:
    """Delete what a TensorBoard needs while it runs; what it shows stays in its bucket."""
    Root(folder / "root").remove()
    shutil.rmtree(folder, ignore_errors=True)


def serve_command(folder: Path, port: int) -> str:
    """Return the command that serves a folder: TensorBoard, or a list of its files where that is not installed.

    Python runs isolated, so that no file among the logs is imported.
    """
    if importlib.util.find_spec("tensorboard"):
        arguments = ["tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    else:
        arguments = ["http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder)]
    return f"exec {shlex.join([sys.executable, '-I', '-m', *arguments])}"
