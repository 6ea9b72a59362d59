"""Runner of a notebook inside the image: papermill, with a log, and the executed notebook kept while it runs.

    python run_notebook.py [--kernel NAME] [--pip-index URL] [--every SECONDS] [--cwd FOLDER] -- NOTEBOOK FOLDER

`PAI_PARAMS` holds the parameters as JSON. Into FOLDER go `executed.ipynb`, its newest state every SECONDS, and at the
end `executed.html`. Exit codes: 0, 1 for a cell that failed or what `sys.exit` was given, 2 where no cell was run,
137 where the kernel was killed, 143 where the runner was.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

NOTEBOOK, PAGE = "executed.ipynb", "executed.html"

# papermill brings neither a kernel nor what makes a page of a notebook.
NEEDED = ("papermill", "ipykernel", "nbconvert")
DOCKERFILE = "RUN pip install " + " ".join(NEEDED)

LINES = 200
"""Of a cell's output that the log gets at once; of what follows one line every `--every` seconds."""

LONGEST = 500
"""Characters of a line in the log."""

MOST = 64 << 20
"""Characters of a cell's printed output that the executed notebook keeps: one that prints for ever must not fill it."""

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class NoStartError(Exception):
    """No cell was run."""


def log_line(line: str) -> None:
    """Write a line of the log, cut where it is too long."""
    print(line if len(line) <= LONGEST else line[:LONGEST] + " …", flush=True)


class Folder:
    """The run's folder, a mount of OSS: whole files alone are put there, under another name until they are complete."""

    def __init__(self, path: Path, every: float) -> None:
        self.path, self.every = path, every
        self.newest = self.kept = ""
        # SIGTERM comes in the middle of anything.
        self.lock = threading.RLock()
        self.done = threading.Event()
        self.at_once = False
        self.thread = threading.Thread(target=self.copy, daemon=True)

    def copy(self) -> None:
        """Keep the newest state of the notebook until all is done."""
        while not self.done.wait(self.every):
            self.keep()

    def keep(self) -> None:
        """Write the newest state, unless it is there; what a mount refuses is tried again with the next."""
        with self.lock:
            text = self.newest
            if text != self.kept and self.write(NOTEBOOK, text):
                self.kept = text

    def write(self, name: str, text: str) -> bool:
        """Write a file, and tell whether that went well."""
        part, whole = self.path / (name + ".part"), self.path / name
        try:
            part.write_text(text, encoding="utf-8", errors="replace")
            try:
                part.replace(whole)
            except OSError:  # a mount that renames nothing over a file that is there
                whole.write_text(text, encoding="utf-8", errors="replace")
                part.unlink()
        except OSError as error:
            log_line(f"{whole} could not be written: {error}")
            return False
        return True


class Log:
    """What a cell prints, line by line and bounded; of a line that is written over again and again its newest state."""

    def __init__(self, every: float) -> None:
        self.every = every
        self.rest = ""
        self.shown = self.left = 0
        self.due = time.monotonic() + every

    def write(self, text: str) -> None:
        """Take what was printed."""
        *whole, self.rest = re.split(r"(?<=\n)|(?<=\r)(?!\n)", self.rest + ANSI.sub("", text))
        for piece in whole:
            self.line(piece.rstrip("\r\n"), is_passing=piece.endswith("\r"))

    def line(self, line: str, is_passing: bool = False) -> None:
        """Show a line, if it is its turn."""
        is_due = time.monotonic() >= self.due
        if (is_passing or self.shown >= LINES) and not is_due:
            self.left += not is_passing
        elif line or not is_passing:
            self.shown += 1
            self.due = time.monotonic() + self.every
            log_line(line)

    def end(self) -> None:
        """End a cell."""
        if self.rest:
            self.line(self.rest)
        if self.left:
            log_line(f"… {self.left} more lines are in the executed notebook")


def known_by(source: str) -> str:
    """Return what a cell is known by."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("#")), lines[0] if lines else "")


def middle_out(lines: list[str], most: int) -> list[str]:
    """Return lines without their middle, if there are too many."""
    if len(lines) <= most:
        return lines
    left, end = len(lines) - most + 1, most - most // 2
    return [*lines[: most // 2 - 1], f"… {left} lines are left out here", *lines[-end:]]


class Cells:
    """The log's view of a notebook that runs: cells are numbered as `In [n]` shows them."""

    def __init__(self, total: int, every: float) -> None:
        self.total, self.every = total, every
        self.number = self.code = 0

    def begin(self, source: str) -> None:
        """Tell of the next cell."""
        self.number += 1
        self.begun = time.monotonic()
        self.source = source
        self.log = Log(self.every)
        log_line(f"cell {self.number} of {self.total}: {known_by(source)}")

    def end(self, word: str = "done") -> None:
        """Tell how a cell has ended, and after what time."""
        self.log.end()
        log_line(f"cell {self.number} of {self.total}: {word} after {time.monotonic() - self.begun:.1f} s")

    def fail(self, name: str, value: str, traceback: list[str]) -> None:
        """Tell why the notebook ends here."""
        if name == "SystemExit" and value in ("", "0", "None"):
            self.end("sys.exit, which ends the notebook,")
            return
        self.end("failed")
        self.code = int(value) % 256 if name == "SystemExit" and value.lstrip("-").isdigit() else 1
        lines = ANSI.sub("", "\n".join(traceback)).splitlines()
        for line in [*middle_out(self.source.splitlines(), 8), *middle_out(lines, 16)]:
            log_line("    " + line)
        reason = ANSI.sub("", value).strip().splitlines() or [""]
        log_line(f"The notebook failed in cell {self.number}: {name}: {reason[0]}".rstrip(": "))

    def lost(self, code: int | None) -> None:
        """Tell that the kernel has died."""
        self.end("failed")
        is_killed = code is not None and abs(code) == signal.SIGKILL
        self.code = 137 if is_killed else 1
        why = "was killed, as what needs too much memory is" if is_killed else "ended"
        log_line(f"The notebook failed in cell {self.number}: DeadKernelError: the kernel {why}")


def read(path: Path) -> None:
    """Look whether there is a notebook, before anything is installed for it."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        there = sorted(each.name for each in path.parent.glob("*.ipynb")) if path.parent.is_dir() else []
        raise NoStartError(f"there is no notebook {path}; notebooks there: {', '.join(there) or 'none'}") from None
    except (OSError, ValueError) as error:
        raise NoStartError(f"{path} is no notebook: {error}") from None
    if not isinstance(cells, dict) or not isinstance(cells.get("nbformat"), int):
        raise NoStartError(f"{path} is no notebook: it has no nbformat")


def bring(index: str) -> None:
    """Install what the image lacks, from the connection's index."""
    missing = [name for name in NEEDED if not importlib.util.find_spec(name)]
    if index:
        # `%pip install` in a cell reads them, too.
        os.environ["PIP_INDEX_URL"] = index
        if index.startswith("http:"):
            os.environ["PIP_TRUSTED_HOST"] = urlsplit(index).hostname or ""
    if index and missing:
        log_line(f"installing {', '.join(missing)}, which the image lacks, from {index}")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *missing]
        subprocess.run(command, check=False)
        importlib.invalidate_caches()
    if not importlib.util.find_spec("papermill"):
        todo = f"add `{DOCKERFILE}` to its Dockerfile, or name an index in the Airflow connection: pip_index"
        raise NoStartError(f"the image has no papermill, which runs notebooks: {todo}")


def kernel_for(notebook: Any, wanted: str) -> dict[str, str]:
    """Return the kernel that runs a notebook, as its metadata name one.

    A name is of the machine that a notebook was written on: where the image has no such kernel, but a single one of the
    same language, that runs it, and the log says so.
    """
    from jupyter_client.kernelspec import KernelSpecManager

    found = {name: each["spec"] for name, each in KernelSpecManager().get_all_specs().items()}
    own = {**notebook.metadata.get("language_info", {}), **notebook.metadata.get("kernelspec", {})}
    name, language = wanted or own.get("name", ""), own.get("language", "python")
    if name not in found:
        alike = [each for each, spec in found.items() if spec["language"].lower() == language.lower()]
        if wanted or len(alike) != 1:
            there = ", ".join(sorted(found)) or f"none, add `{DOCKERFILE}` to its Dockerfile"
            raise NoStartError(f"the image has no kernel {name or language!r}; kernels there: {there}")
        log_line(f"{alike[0]} runs the notebook: " + (f"the image has no kernel {name!r}" if name else "it names none"))
        name = alike[0]
    return {"name": name, "display_name": found[name]["display_name"], "language": found[name]["language"]}


def prepared(path: Path, parameters: dict[str, Any], wanted: str) -> Any:
    """Return the notebook with the kernel that runs it, and a cell with the parameters behind the one that has them."""
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    try:
        notebook = load_notebook_node(str(path))
    except Exception as error:  # noqa: BLE001 (nbformat finds many things wrong)
        raise NoStartError(f"{path} is no notebook: {error}") from None
    if not any(map(runs, notebook.cells)):
        raise NoStartError(f"{path} has no code cells")
    kernel = kernel_for(notebook, wanted)
    notebook.metadata.update({"kernelspec": kernel, "language_info": {"name": kernel["language"]}})
    return parameterize_notebook(notebook, parameters) if parameters else notebook


def runs(cell: Any) -> bool:
    """Tell whether a cell is run."""
    tags = cell.metadata.get("tags", [])
    return bool(cell.cell_type == "code" and cell.source.strip() and "skip-execution" not in tags)


def classes(folder: Folder, cells: Cells) -> tuple[Any, Any]:
    """Return papermill's manager and client, which save into the folder and tell the log."""
    import nbformat
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NotebookExecutionManager

    class Manager(NotebookExecutionManager):  # type: ignore[misc]
        """What saves the notebook, before and after each cell and while one runs."""

        def save(self, **_: Any) -> None:
            """Hand on the newest state."""
            folder.newest = nbformat.writes(self.nb)
            if folder.at_once:
                folder.keep()
            self.last_save_time = self.now()

    class Client(PapermillNotebookClient):  # type: ignore[misc]
        """What runs the cells."""

        def execute_cell(self, cell: Any, *arguments: Any, **options: Any) -> Any:
            """Run a cell between the log's lines about it."""
            if not runs(cell):
                return super().execute_cell(cell, *arguments, **options)
            self.printed = 0
            cells.begin(cell.source)
            try:
                result = super().execute_cell(cell, *arguments, **options)
            except CellExecutionError as error:
                told = [each for each in cell.outputs if each.output_type == "error"]
                cells.fail(error.ename, error.evalue, told[-1].traceback if told else [])
                raise
            except DeadKernelError:
                process = getattr(getattr(self.km, "provisioner", None), "process", None)
                cells.lost(process.poll() if process else None)
                self.nb_man.cell_exception(cell)
                raise
            except SystemExit:
                self.shutdown_kernel = "immediate"  # it hears of nothing else before its cell ends
                self.nb_man.cell_exception(cell)
                cells.end("stopped")
                raise
            cells.end()
            return result

        async def _async_check_alive(self) -> None:
            """Look each second, for an answer, too, that a widget's message has hidden: nbclient's issue 312."""
            await self.kc.shell_channel.socket.poll(1)
            await super()._async_check_alive()

        def output(self, outs: Any, message: Any, *arguments: Any) -> Any:
            """Take a message with output."""
            text = message["content"].get("text", "") if message["msg_type"] == "stream" else ""
            self.printed += len(text)
            cells.log.write(text)
            if self.printed - len(text) > MOST:
                return None
            if self.printed > MOST:
                message["content"]["text"] = text + "\n… what follows is left out\n"
            output = super().output(outs, message, *arguments)
            if output and output.output_type == "execute_result":
                cells.log.write(output.data.get("text/plain", "") + "\n")
            return output

    return Manager, Client


def execute(notebook: Any, folder: Folder, every: float, cwd: Path) -> int:
    """Run the cells, and return the exit code."""
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from papermill.log import logger

    cells = Cells(sum(map(runs, notebook.cells)), every)
    make_manager, make_client = classes(folder, cells)
    manager = make_manager(notebook, progress_bar=False, autosave_cell_every=every)
    options = {"timeout": None, "coalesce_streams": True, "resources": {"metadata": {"path": str(cwd)}}}
    client = make_client(manager, kernel_name=notebook.metadata["kernelspec"]["name"], log=logger, **options)
    manager.notebook_start()
    try:
        with contextlib.suppress(CellExecutionError, DeadKernelError):
            client.execute()
    finally:
        manager.notebook_complete()
    return cells.code


def page_of(notebook: Any, folder: Folder) -> None:
    """Make a page of the notebook, where the image can."""
    try:
        from nbconvert import HTMLExporter

        folder.write(PAGE, HTMLExporter().from_notebook_node(notebook)[0])
    except Exception as error:  # noqa: BLE001 (a notebook that ended well fails for no page)
        log_line(f"no {PAGE}: {error}")


def run_and_keep(given: argparse.Namespace) -> int:
    """Run the notebook and keep what there is of it, however it ends."""
    path = given.notebook.absolute()
    read(path)
    bring(given.pip_index)
    notebook = prepared(path, json.loads(os.environ.get("PAI_PARAMS") or "{}"), given.kernel)
    folder = Folder(given.folder, given.every)
    folder.thread.start()

    def stop(number: int, _: Any) -> None:
        folder.at_once = True
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    try:
        return execute(notebook, folder, given.every, given.cwd or path.parent)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        folder.done.set()
        folder.keep()
        page_of(notebook, folder)
        log_line("executed notebook: " + os.environ.get("PAI_RUN_URI", str(given.folder) + "/") + NOTEBOOK)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Run a notebook.")
    parser.add_argument("--kernel", default="")
    parser.add_argument("--pip-index", default="")
    parser.add_argument("--every", type=float, default=30.0)
    parser.add_argument("--cwd", type=Path)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("folder", type=Path)
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    try:
        return run_and_keep(parser.parse_args())
    except NoStartError as error:
        log_line(f"The notebook was not started: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
