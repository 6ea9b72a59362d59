"""Notebooks as files: found from the worker where it can, read, and asked which parameters they declare."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiConfigError, PaiNotFoundError
from airflow_provider_pai.operators.workload.base import input_path

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss import OssHook
    from airflow_provider_pai.operators.meant import MeantData
    from airflow_provider_pai.operators.workload.code import Source
    from airflow_provider_pai.uri import OssUri

FIELD = "notebook"


def find_notebook(
    named: str, file: Path | None, source: Source | None, data: Mapping[str, MeantData], oss: OssHook
) -> str | None:
    """Return a notebook's text; None: only the image has it, or its repository can't be read here.

    :param file: on the worker.
    :param data: the inputs.
    :raises PaiConfigError: it is not there.
    """
    at = file or _on_oss(named, source, data)
    try:
        if file:
            return file.read_text(encoding="utf-8-sig")
        if at:
            return oss.get(str(at)).decode("utf-8-sig")
    except (OSError, PaiNotFoundError):
        raise PaiConfigError(FIELD, named, f"a file that is there: {at} is not") from None
    except UnicodeDecodeError as error:
        raise PaiConfigError(FIELD, named, f"a notebook: {error}") from None
    return None if source is None or PurePosixPath(named).is_absolute() else _in_git(named, source, oss)


def _in_git(named: str, source: Source, oss: OssHook) -> str | None:
    from airflow_provider_pai.operators.workload.git import GitError, file_at

    path = str(PurePosixPath(source.path) / named)
    try:
        return file_at(source.repo, source.commit, source.login, path)
    except GitError as error:
        if "does not exist in" in str(error):
            raise PaiConfigError(FIELD, named, f"a file of {source.repo}: {error}") from None
        oss.log.warning("Notebook %s could not be read here, the run will tell: %s", named, error)
        return None


def _on_oss(named: str, source: Source | None, data: Mapping[str, MeantData]) -> OssUri | None:
    """Return where a notebook lies that is mounted from OSS."""
    path = PurePosixPath(named)
    if source and source.mount and not path.is_absolute():
        return source.mount.join(*PurePosixPath(source.path).parts, *path.parts)
    for name, each in data.items():
        if path.is_relative_to(input_path(name)):
            return each.uri.folder.join(*path.relative_to(input_path(name)).parts)
    return None


def read_notebook(named: str, text: str) -> dict[str, Any]:
    """Return a notebook.

    :raises PaiConfigError: it is none, or has nothing to run.
    """
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PaiConfigError(FIELD, named, f"a notebook, which is JSON: {error}") from None
    cells = read.get("cells") if isinstance(read, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise PaiConfigError(FIELD, named, "a notebook of nbformat 4, with cells")
    if not any(cell.get("cell_type") == "code" and _source(cell).strip() for cell in cells):
        raise PaiConfigError(FIELD, named, "a notebook with a code cell that is not empty")
    return dict(read)


def undeclared(notebook: Mapping[str, Any], parameters: Iterable[str]) -> str:
    """Return in words which parameters a notebook does not declare; empty: none, or nobody can tell."""
    tagged = [cell for cell in notebook["cells"] if "parameters" in ((cell.get("metadata") or {}).get("tags") or ())]
    if not tagged:
        return f"has no cell with the tag parameters: {', '.join(parameters)} go before its first cell"
    try:
        statements = ast.parse(_source(tagged[0])).body
    except (SyntaxError, ValueError):
        return ""
    names = {name for statement in statements for name in _assigned(statement)}
    if missing := [name for name in parameters if name not in names]:
        return f"does not declare the parameters {', '.join(missing)}; it declares {', '.join(sorted(names)) or 'none'}"
    return ""


def _assigned(statement: ast.stmt) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _source(cell: Mapping[str, Any]) -> str:
    return "".join(cell.get("source") or "")
