"""Shell blocks of the documentation, run page by page as their reader pastes them, against an emulated account."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from tests.conftest import airflow_connection
from tests.docs.blocks import PAGES, ROOT, Block, blocks_of
from tests.docs.test_blocks import make_buckets

pytestmark = pytest.mark.system

PORT = 8640
"""Of the emulator, on all pages."""
LONGEST = 600
"""Seconds for a page, on a machine with other work."""


def is_run(block: Block) -> bool:
    return block.language == "bash" and not block.mark.startswith("not run")


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The metadata database of an Airflow that was just set up."""
    home = tmp_path_factory.mktemp("metadata")
    run(["airflow", "db", "migrate"], environment(home))
    return (home / "airflow.db").read_bytes()


@pytest.mark.timeout(LONGEST + 30)
@pytest.mark.parametrize("page", [page for page in PAGES if any(map(is_run, blocks_of(page)))], ids=lambda p: p.stem)
def test_a_reader_pastes_a_page(page, pai, metadata, tmp_path):
    make_buckets(pai, page.read_text())
    (tmp_path / "airflow.db").write_bytes(metadata)
    blocks = on_free_ports(blocks_of(page))
    for block in blocks:
        if block.title:
            (tmp_path / block.title).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block.title).write_text(block.text)
    account = {
        "AIRFLOW_CONN_PAI_DEFAULT": json.dumps(airflow_connection(pai)),
        "endpoint_url": pai.endpoints.endpoint_url,
    }
    printed = run(["bash", "-c", "".join(script(filter(is_run, blocks)))], environment(tmp_path) | account)
    printed += "".join(path.read_text() for path in tmp_path.glob("*.out"))
    lacking = [line for block in blocks if block.mark == "printed" for line in missing(block.text, printed)]
    assert not lacking, f"{page.name} shows what its blocks do not print:\n" + "\n".join(lacking)


def missing(text: str, printed: str) -> Iterator[str]:
    """Yield the lines of a block that nothing has printed."""
    for line in text.splitlines():
        pattern = ".*".join(re.escape(part.strip()) for part in line.split("…"))
        if not re.search(pattern, printed):
            yield line


def on_free_ports(blocks: Iterable[Block]) -> list[Block]:
    """Return blocks with another port for the emulator, and the next two: those may be taken on this machine."""
    first = next(port for port in range(20_000, 30_000, 3) if all(map(is_free, range(port, port + 3))))
    return [
        block._replace(text=re.sub(rf"\b{PORT // 10}([0-2])\b", lambda at: str(first + int(at[1])), block.text))
        for block in blocks
    ]


def is_free(port: int) -> bool:
    with suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False


def script(blocks: Iterator[Block]) -> Iterator[str]:
    """Yield a script of all blocks: one shell, as the reader's; what stays has a terminal of its own."""
    yield "set -eo pipefail\ntrap 'echo \"$BLOCK: ended with $?\" >&2' ERR\n"
    for block in blocks:
        yield f"BLOCK={block.place}\n"
        if block.mark == "stays":
            yield f"{{\n{block.text}}} > {block.file}.out &\n"
            yield f"until [ -s {block.file}.out ]; do kill -0 $!; sleep 0.1; done\n"
        else:
            yield block.text


def environment(home: Path) -> dict[str, str]:
    """Return the variables of a reader whose Airflow lives in a folder of its own."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }


def run(command: list[str], variables: dict[str, str]) -> str:
    """Return what a command prints; what it has left running is ended."""
    with TemporaryFile("w+") as output:
        shell = subprocess.Popen(
            command,
            cwd=variables["HOME"],
            env=variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(LONGEST)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)
        output.seek(0)
        printed = output.read()
    assert code == 0, printed[-6000:]
    return printed
