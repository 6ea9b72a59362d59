"""Findings about a run that could not be had again, one line each, before anything is made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.values import finite

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_pai.artifact import DatasetRef
    from airflow_provider_pai.operators.workload.code import Source

WARN, REQUIRE, OFF = REPRODUCIBLE = ("warn", "require", "off")

_COMMIT = r"[0-9a-f]{40}|[0-9a-f]{64}"
# A name without a registry and a tag is the id of one of PAI's own images.
_IMAGE = r"(?P<name>(?:.*/)?[^:@/]+)(?::(?P<tag>[^@]+))?(?P<digest>@.+)?"


def heed(mode: str, found: Iterable[str], log: Any) -> None:
    """Log what was found, or refuse it.

    :param mode: of `REPRODUCIBLE`.
    :raises PaiConfigError: something was found, and `require` asks for nothing.
    """
    lines = [] if mode == OFF else list(found)
    if lines and mode == REQUIRE:
        raise PaiConfigError("reproducible", mode, "\n- ".join(["this run could not be had again:", *lines]))
    for line in lines:
        log.warning("Not reproducible: %s", line)


def file_findings(notebook: Path, bundle_version: str | None) -> Iterator[str]:
    """Yield how a notebook of the DAG bundle differs from its commit.

    :param bundle_version: what Airflow has checked out for this run alone, where it does so: nobody changes that.
    """
    if bundle_version:
        return
    from airflow_provider_pai.operators.workload.git import GitError, Tracked

    try:
        change = Tracked.of(notebook).change
    except GitError as error:
        change = f"is in no commit that the worker knows: {error}"
    if change:
        yield f"notebook {notebook.name} {change}"


def image_findings(image: str) -> Iterator[str]:
    """Yield that an image's name may stand for another one tomorrow."""
    named = re.fullmatch(_IMAGE, image)
    if named is None or named["digest"] or ("/" not in image and not named["tag"]):
        return
    if named["tag"] in (None, "latest"):
        yield f"image {image} has {'tag latest' if named['tag'] else 'no tag'}: name a version, or @sha256:…"


def input_findings(datasets: Iterable[DatasetRef]) -> Iterator[str]:
    """Yield which inputs somebody may replace; a bucket with versions keeps what was read."""
    for ref in datasets:
        if not ref.pinned and not ref.versioned:
            yield f"input {ref.name} ({ref.uri}) is not pinned: pin=True reads a copy that stays"


def code_findings(source: Source | None, declared: Mapping[str, Any]) -> Iterator[str]:
    """Yield that nobody knows which code it is, or that somebody may replace it.

    :param declared: the operator's `code`.
    """
    if source is None:
        return
    if source.mount and not declared.get("digest"):
        yield f"code at {source.repo} is of no commit: give code['digest'] = {source.commit!r}, or take it from Git"
    if not source.mount and not re.fullmatch(_COMMIT, source.commit):
        yield f"which commit {source.commit} of {source.repo} is could not be looked up: give its hash"


def cell_findings(notebook: Mapping[str, Any]) -> Iterator[str]:
    """Yield which cells were run in another order than they stand in, by the numbers that Jupyter has kept.

    Without numbers nothing is known: their outputs were cleared. Cells are counted as the run's log counts them.
    """
    sources = [cell for cell in notebook.get("cells", ()) if cell.get("cell_type") == "code"]
    counts = [finite(cell.get("execution_count")) for cell in sources if "".join(cell.get("source") or "").strip()]
    last: float = 0
    for number, count in enumerate(counts if any(counts) else (), 1):
        if not count:
            yield f"cell {number} of the source was not run, others were: run all cells, or clear their outputs"
        elif count < last:
            yield f"cell {number} of the source was run as [{count}], before [{last}] that stands above it"
        last = max(last, count or 0)
