"""Notebooks as people write them, each run by the image's runner: how it ends, what its log and its notebook tell."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.dsw import DswRunNotebookOperator
from tests.emulator.pai_sdk import until
from tests.image_tools.test_run_notebook import PROGRAM
from tests.task import Task

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"

# Name, exit code, what the log says, what it does not say.
TABLE = [
    ("conda kernel", 0, ["python3 runs the notebook: the image has no kernel 'conda-env-ml-py'", "3\n"], []),
    ("colab", 0, ["cell 1 of 2: n = 3", "3\n"], []),
    ("no kernel", 0, ["python3 runs the notebook: it names none", "any\n"], []),
    ("matplotlib", 0, ["cell 2 of 2: done"], []),
    ("tqdm", 0, ["200/200", "trained\n"], []),
    ("20 MB", 0, ["more lines are in the executed notebook", "after\n"], []),
    ("input", 1, ["The notebook failed in cell 1: StdinNotImplementedError: "], ["cell 2"]),
    ("sys exit", 0, ["nothing to do\n", "cell 2 of 3: sys.exit, which ends the notebook"], ["cell 3"]),
    ("sys exit 3", 3, ["The notebook failed in cell 1: SystemExit: 3\n"], ["cell 2"]),
    ("pip install", 0, ["tiny thing\n"], []),
    ("pip install of nothing", 1, ["No matching distribution", "failed in cell 2: ModuleNotFoundError: "], []),
    ("widgets", 0, ["inside\n", "x is 2\n", "cell 4 of 4: done"], []),
    ("夜间 报表 (最终版)", 0, ["上海 完成\n"], []),
    ("run out of order", 1, ["The notebook failed in cell 1: NameError: name 'price' is not defined\n"], []),
    ("error on purpose", 0, ["went on\n"], ["The notebook failed"]),
    ("kernel killed", 137, ["failed in cell 2: DeadKernelError: the kernel was killed"], ["cell 3"]),
    ("shell", 1, ["from a shell\n", "from a magic\n", "failed in cell 2: CalledProcessError: "], ["cell 3"]),
    ("rich error", 1, ["    prepare()\n", "failed in cell 2: FileNotFoundError: [Errno 2]"], []),
    ("await", 0, ["awaited\n"], []),
    ("subprocess and threads", 0, ["1\n", "thread 0\n", "thread 1\n"], []),
    ("of 2014", 0, ["42\n"], []),
    ("text alone", 2, ["text alone.ipynb has no code cells"], ["cell 1"]),
]


class Ended(NamedTuple):
    """How a notebook ended."""

    code: int
    log: str
    folder: Path

    @property
    def cells(self) -> list[dict[str, Any]]:
        return json.loads((self.folder / "executed.ipynb").read_text())["cells"]


def start(tmp_path: Path, name: str, **env: str) -> subprocess.Popen[str]:
    """Start a notebook in a folder of its own."""
    shutil.copy(NOTEBOOKS / f"{name}.ipynb", tmp_path)
    (tmp_path / "run").mkdir()
    given = ["--every", "0.3", *(["--pip-index", env.pop("index")] if "index" in env else [])]
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *given, "--", f"{name}.ipynb", "run"],
        cwd=tmp_path,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(tmp_path: Path, process: subprocess.Popen[str]) -> Ended:
    log, _ = process.communicate()
    return Ended(process.returncode, log, tmp_path / "run")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A package index of one package, by HTTP."""
    home = tmp_path_factory.mktemp("index")
    wheel = home / "tiny_thing-1.0-py3-none-any.whl"
    info = "tiny_thing-1.0.dist-info"
    texts = {
        "tiny_thing.py": "NAME = 'tiny thing'\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(wheel, "w") as packed:
        for name, text in texts.items():
            packed.writestr(name, text)
        packed.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*texts, f"{info}/RECORD"]))
    page = home / "simple/tiny-thing/index.html"
    page.parent.mkdir(parents=True)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    page.write_text(f'<a href="/{wheel.name}#sha256={digest}">{wheel.name}</a>')
    handler = functools.partial(SimpleHTTPRequestHandler, directory=home)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple/"
        server.shutdown()


@pytest.mark.parametrize(("name", "code", "said", "unsaid"), TABLE, ids=[row[0] for row in TABLE])
def test_a_notebook_ends_as_its_writer_expects(tmp_path, index, name, code, said, unsaid):
    parameters = {"城市": "上海"} if name.startswith("夜间") else {}
    # Other indexes of this machine do not count.
    alone = {"PIP_CONFIG_FILE": os.devnull, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    ended = end(tmp_path, start(tmp_path, name, PAI_PARAMS=json.dumps(parameters), index=index, **alone))
    assert ended.code == code, ended.log
    assert [text for text in said if text not in ended.log] == [], ended.log
    assert [text for text in unsaid if text in ended.log] == []
    assert len(ended.log) < 40_000
    kept = sorted(path.name for path in ended.folder.iterdir())
    assert kept == ([] if code == 2 else ["executed.html", "executed.ipynb"])


def test_every_notebook_has_its_row():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == {row[0] for row in TABLE} | {"endless"}


def test_the_executed_notebook_has_all_that_was_printed_and_drawn(tmp_path, index):
    big, drawn = tmp_path / "big", tmp_path / "drawn"
    for folder in (big, drawn):
        folder.mkdir()
    both = [start(big, "20 MB"), start(drawn, "matplotlib")]
    ended = [end(folder, each) for folder, each in zip((big, drawn), both, strict=True)]
    (printed,) = ended[0].cells[0]["outputs"]
    assert len("".join(printed["text"])) == 200_000 * 101
    assert any("image/png" in each.get("data", {}) for each in ended[1].cells[1]["outputs"])
    assert "data:image/png" in (drawn / "run/executed.html").read_text()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_finished_is_kept_however_an_endless_notebook_is_ended(tmp_path, how):
    """A lost instance says nothing more: what is there was put there before."""
    process, executed = start(tmp_path, "endless"), tmp_path / "run/executed.ipynb"
    while not (executed.exists() and re.search("before\\\\n", executed.read_text())):
        assert process.poll() is None
        time.sleep(0.1)
    kernels = children(process.pid)
    process.send_signal(how)
    ended = end(tmp_path, process) if how == signal.SIGTERM else Ended(process.wait(), "", tmp_path / "run")
    for kernel in kernels:  # a kernel whose runner was killed ends by itself; here it is not waited for
        if Path(f"/proc/{kernel}").exists():
            os.kill(kernel, signal.SIGKILL)
    assert ended.cells[0]["outputs"][0]["text"] == ["before\n"]
    if how == signal.SIGTERM:
        assert ended.code == 143
        assert "cell 2 of 2: stopped after" in ended.log
        assert ended.cells[1]["metadata"]["papermill"]["status"] == "failed"
        assert not any(Path(f"/proc/{kernel}").exists() for kernel in kernels)


@pytest.mark.usefixtures("connection")
def test_a_task_that_is_killed_leaves_the_cells_that_were_finished_and_no_instance_that_runs(bucket):
    home = f"oss://{bucket.bucket_name}"
    OssHook().put(f"{home}/nb/a.ipynb", (NOTEBOOKS / "endless.ipynb").read_bytes())
    run = Task(
        lambda: DswRunNotebookOperator(
            task_id="task",
            image="cpu",
            ecs_spec="ecs.g6.large",
            code={"uri": f"{home}/nb"},
            notebook="a.ipynb",
            output=f"{home}/out",
            log_interval=0.2,
            poll_interval=0.02,
        )
    )
    one = run.make()
    job_id = one.hook.submit(one.build(run.context(), one.identity(run.context()), 1))
    one._remember(run.context(), job_id)
    folder = one.hook.get(job_id).facts["run_uri"]

    def kept():
        found = [each.uri for each in OssHook().list_objects(folder) if str(each.uri).endswith("executed.ipynb")]
        return [cell["outputs"] for cell in json.loads(OssHook().get(found[0]))["cells"]] if found else [[]]

    until(kept, lambda outputs: outputs[0], timeout=60)
    one.on_kill()
    hook = DswHook()
    job = hook.wait(job_id, poll_interval=0.02, until=lambda job: job.status == "Stopped")
    assert job.status == "Stopped"
    assert [each["text"] for each in kept()[0]] == [["before\n"]]


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
