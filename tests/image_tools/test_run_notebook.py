"""The runner of notebooks, as the image runs it: a program beside nothing of ours."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from importlib.resources import files

import pytest

from airflow_provider_pai.image_tools import run_notebook
from airflow_provider_pai.image_tools.run_notebook import (
    LINES,
    Folder,
    Log,
    NoStartError,
    known_by,
    middle_out,
    page_of,
    read,
)

PROGRAM = files("airflow_provider_pai.image_tools") / "run_notebook.py"


def code(source, *tags):
    metadata = {"tags": list(tags)} if tags else {}
    return {"cell_type": "code", "metadata": metadata, "outputs": [], "execution_count": None, "source": source}


def notebook(*cells, kernel="python3"):
    spec = {"name": kernel, "display_name": kernel, "language": "python"}
    cells = [cell if isinstance(cell, dict) else code(cell) for cell in cells]
    return {"cells": cells, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 4}


def run(tmp_path, *cells, name="n.ipynb", options=(), params=None, isolated=False, kernel="python3"):
    """Return how a run ended, what it logged, and the executed notebook."""
    source, folder = tmp_path / name, tmp_path / "run"
    source.write_text(json.dumps(notebook(*cells, kernel=kernel)))
    folder.mkdir()
    python = [sys.executable, *(["-I", "-S"] if isolated else [])]
    ended = subprocess.run(
        [*python, str(PROGRAM), "--every", "0.5", *options, "--", str(source), str(folder)],
        env={**os.environ, "PAI_PARAMS": json.dumps(params or {}), "PAI_RUN_URI": "oss://b/run/"},
        capture_output=True,
        text=True,
        check=False,
    )
    executed = folder / "executed.ipynb"
    return ended.returncode, ended.stdout, json.loads(executed.read_text()) if executed.exists() else None


def test_it_is_written_in_the_language_of_old_images():
    ast.parse(PROGRAM.read_text(), feature_version=(3, 8))


def test_a_notebook_runs_with_its_parameters_and_tells_where_it_failed(tmp_path):
    pytest.importorskip("papermill")
    status, log, executed = run(
        tmp_path,
        code("n = 1", "parameters"),
        "# twice\nprint(n)\nn * 2",
        "raise ValueError('no rows')",
        "print('never')",
        params={"n": 21},
        name="笔记 {1}.ipynb",
        kernel="my-conda",
    )
    assert status == 1
    for line in [
        "python3 runs the notebook: the image has no kernel 'my-conda'",
        "cell 3 of 5: print(n)\n21\n42\ncell 3 of 5: done after ",
        "    raise ValueError('no rows')\n",
        "The notebook failed in cell 4: ValueError: no rows\nexecuted notebook: oss://b/run/executed.ipynb\n",
    ]:
        assert line in log
    assert [cell["metadata"]["tags"] for cell in executed["cells"][:2]] == [["parameters"], ["injected-parameters"]]
    assert "n = 21" in "".join(executed["cells"][1]["source"])
    assert executed["cells"][3]["outputs"][0]["ename"] == "ValueError"
    assert executed["metadata"]["kernelspec"]["name"] == "python3"
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["executed.html", "executed.ipynb"]


def test_an_image_that_can_not_run_it_is_told_before_any_cell(tmp_path):
    status, log, executed = run(tmp_path, "print(1)", isolated=True)
    assert (status, executed) == (2, None)
    assert "add `RUN pip install papermill ipykernel nbconvert` to its Dockerfile, or name an index" in log


def test_a_kernel_that_is_not_there_is_told_with_those_that_are(tmp_path):
    pytest.importorskip("papermill")
    status, log, _ = run(tmp_path, "print(1)", options=["--kernel", "julia"])
    assert status == 2
    assert "The notebook was not started: the image has no kernel 'julia'; kernels there: python3" in log


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("b.ipynb", "{}", r"there is no notebook .*/a\.ipynb; notebooks there: b\.ipynb"),
        ("a.ipynb", "print(1)", "a.ipynb is no notebook: "),
        ("a.ipynb", "[]", "is no notebook: it has no nbformat"),
    ],
)
def test_what_is_no_notebook_is_told(tmp_path, name, text, why):
    (tmp_path / name).write_text(text)
    with pytest.raises(NoStartError, match=why):
        read(tmp_path / "a.ipynb")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (["a\nb", "c\n"], ["a", "bc"]),
        (["\x1b[31mred\x1b[0m\r\n"], ["red"]),
        (["1%\r", "2%\r", "100%\n"], ["100%"]),
        (["x\n" * (LINES + 3)], ["x"] * LINES + ["… 3 more lines are in the executed notebook"]),
        (["é" * 600], ["é" * 500 + " …"]),
    ],
)
def test_what_a_cell_prints_is_shown_in_lines_and_bounded(capsys, written, shown):
    log = Log(every=60)
    for text in written:
        log.write(text)
    log.end()
    assert capsys.readouterr().out.splitlines() == shown


def test_a_line_that_is_written_over_is_shown_when_it_is_due(capsys):
    log = Log(every=0)
    log.write("1%\r2%\r")
    assert capsys.readouterr().out.splitlines() == ["1%", "2%"]


def test_a_cell_is_known_by_its_first_line_that_is_no_comment():
    assert known_by("\n# about\n  x = 1\ny = 2") == "x = 1"
    assert known_by("# all") == "# all"
    assert middle_out(list("abcdefgh"), 5) == ["a", "… 4 lines are left out here", "f", "g", "h"]


def test_an_nbconvert_that_can_not_be_imported_costs_the_page_alone(tmp_path, monkeypatch, capsys):
    (tmp_path / "nbconvert.py").write_text("raise ImportError('lxml.html.clean is now a separate project')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "nbconvert", raising=False)
    page_of({}, Folder(tmp_path, every=60))
    assert capsys.readouterr().out == "no executed.html: lxml.html.clean is now a separate project\n"


def test_a_mount_that_renames_nothing_over_a_file_gets_it_written_anew(tmp_path, monkeypatch):
    folder = Folder(tmp_path, every=60)

    def refuse(*_):
        raise OSError

    monkeypatch.setattr(run_notebook.Path, "replace", refuse)
    folder.newest = "one"
    folder.keep()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"executed.ipynb": "one"}
