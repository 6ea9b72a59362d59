"""Provenance of an artifact: nodes, time in each status, packages and CUDA of the job that made it."""

from __future__ import annotations

import shlex
from datetime import datetime
from itertools import pairwise

from airflow_provider_pai.remote import Json

# What is read of GetJob.
_SPECS = [{"EcsSpec": str, "ResourceConfig": {str: str}, "PodCount": int}]
_HISTORY = [{"Status": str, "StartTime": str}]

# Neither pip nor a Python of today need be in the image.
_PACKAGES = """\
import sys
from importlib import metadata
print("python", sys.version.replace("\\n", " "))
print(*sorted({"%s==%s" % (each.metadata["Name"], each.version) for each in metadata.distributions()}), sep="\\n")
"""
_CUDA = "Product Name|Driver Version|CUDA Version"
# One node writes it, that of rank 0 where DLC gives ranks; what it lacks fails no job.
_TELL = f"""\
[ "${{RANK:-0}}" != 0 ] || {{
python -c {shlex.quote(_PACKAGES)}
echo "cuda ${{CUDA_VERSION:-unknown}}"
nvidia-smi -q | grep -E {shlex.quote(_CUDA)} | sort -u
}} > "$PAI_OUTPUT_DIR"/environment.txt 2>/dev/null || :
"""


def telling_its_environment(script: str) -> str:
    """Return a script that writes `environment.txt` before it does its work."""
    return _TELL + script


def job_facts(job: Json) -> Json:
    """Return the fields of an artifact that GetJob tells; what can't be read is left out, since the job is paid."""
    from airflow_provider_pai.hooks.answers import fits

    specs, history = (job.get(name) or [] for name in ("JobSpecs", "StatusHistory"))
    return {
        "instances": _instances(specs) if fits(specs, _SPECS) else {},
        "status_seconds": _status_seconds(history) if fits(history, _HISTORY) else {},
    }


def _instances(specs: list[Json]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for spec in specs:
        resources = spec.get("ResourceConfig") or {}
        kind = spec.get("EcsSpec") or ", ".join(f"{name} {value}" for name, value in resources.items() if value)
        counts[kind] = counts.get(kind, 0) + (spec.get("PodCount") or 0)
    return counts


def _status_seconds(history: list[Json]) -> dict[str, int]:
    """Add up StatusHistory (model StatusTransitionItem): a status ends where the next begins, the last one never."""
    seconds: dict[str, int] = {}
    for entry, following in pairwise(history):
        try:
            begin, end = (datetime.fromisoformat(each["StartTime"]) for each in (entry, following))
            lasted = int((end - begin).total_seconds())
        except (KeyError, TypeError, ValueError):
            continue
        status = str(entry.get("Status"))
        seconds[status] = seconds.get(status, 0) + lasted
    return seconds
