"""Folders that a TensorBoard shows, from the many ways in which CreateTensorboard names them.

The API publishes what its fields are called, hardly how they go together. Here SummaryPath is a path in the
container, and SummaryRelativePath goes on from there, or from the mount path where there is no SummaryPath.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from airflow_provider_pai.emulator.dlc.job import Job
from airflow_provider_pai.emulator.errors import InvalidParameterError
from airflow_provider_pai.emulator.runtime.mounts import check_mount_path, check_mounts, parse_oss_uri
from airflow_provider_pai.emulator.types import Json

DEFAULT_MOUNT_PATH = "/mnt/data"
NOT_EMULATED = ("DataSourceId", "DataSources")


@dataclass(frozen=True)
class Folders:
    """OSS folders by the container paths where they are mounted, and the container path that is shown."""

    mounts: dict[str, str]
    shown: str


def find_folders(request: Json, job: Job | None, job_of: Callable[[str], Job]) -> Folders:
    """Find the folders that a CreateTensorboard request means.

    :param job: the job of its JobId; `job_of` looks up those of its TensorboardDataSources.
    :raises InvalidParameterError: naming what is missing, unknown or outside of every mount.
    """
    for field in NOT_EMULATED:
        if request.get(field):
            raise InvalidParameterError(f"{field} {request[field]!r} does not exist; use Uri or JobId.")
    if sources := request.get("TensorboardDataSources"):
        return _of_sources(sources, job_of)
    if request.get("Uri"):
        _check_uri("", request)
        path = _mount_path(request)
        return Folders({path: request["Uri"]}, _shown(request, path, [path]))
    if job is None:
        raise InvalidParameterError("Uri, JobId or TensorboardDataSources is required.")
    mounts = _mounts_of(job)
    return Folders(mounts, _shown(request, "/", mounts))


def _of_sources(sources: Sequence[Json], job_of: Callable[[str], Job]) -> Folders:
    """Show each source below a folder of its own."""
    mounts: dict[str, str] = {}
    for index, source in enumerate(sources):
        here = f"TensorboardDataSources[{index}]"
        name = source.get("DirectoryName") or source.get("Name") or source.get("Id") or str(index)
        path = f"/{name}"
        check_mount_path(path, f"{here}.DirectoryName")
        check_mounts([*mounts, path], f"{here}.DirectoryName")
        mounts[path] = _source_uri(here, source, job_of)
        parse_oss_uri(mounts[path], f"{here}.Uri")
    return Folders(mounts, "/")


def _source_uri(here: str, source: Json, job_of: Callable[[str], Job]) -> str:
    summary = source.get("SummaryPath") or ""
    if source.get("FullSummaryPath"):
        return str(source["FullSummaryPath"])
    if source.get("Uri"):
        _check_uri(f"{here}.", source)
        return _below(source["Uri"], summary)
    if source.get("SourceType") != "dlcjob":
        raise InvalidParameterError(f"{here} must have Uri, FullSummaryPath or the SourceType dlcjob with an Id.")
    mounts = _mounts_of(job_of(source.get("Id") or ""))
    path = PurePosixPath(summary)
    for mount_path, uri in mounts.items():
        if path.is_relative_to(mount_path):
            return _below(uri, str(path.relative_to(mount_path)))
    raise _outside(f"{here}.SummaryPath", summary, mounts)


def _check_uri(prefix: str, source: Json) -> None:
    if source.get("DataSourceType") not in (None, "", "OSS"):
        raise InvalidParameterError(f"{prefix}DataSourceType {source['DataSourceType']!r}: the emulator has OSS only.")
    parse_oss_uri(source["Uri"], f"{prefix}Uri")


def _mounts_of(job: Job) -> dict[str, str]:
    sources = job.request.get("DataSources") or []
    if not sources:
        raise InvalidParameterError(f"Job {job.id} has no data sources whose logs could be shown.")
    return {source["MountPath"]: source["Uri"] for source in sources}


def _mount_path(request: Json) -> str:
    """Read the mount path from Options, JSON such as `{"mountpath": "/root/data/"}`; documented in both spellings."""
    try:
        options = json.loads(request.get("Options") or "{}")
        by_lower_name = {name.lower(): value for name, value in options.items()}
    except (AttributeError, ValueError) as error:
        raise InvalidParameterError(f"Options must be a JSON object, not {request['Options']!r}.") from error
    path = str(by_lower_name.get("mountpath") or DEFAULT_MOUNT_PATH)
    check_mount_path(path, "Options.MountPath")
    return path


def _shown(request: Json, base: str, mount_paths: Iterable[str]) -> str:
    relative = (request.get("SummaryRelativePath") or "").strip("/")
    shown = PurePosixPath(request.get("SummaryPath") or base) / relative
    inside = any(shown.is_relative_to(path) for path in mount_paths) or shown == PurePosixPath(base)
    if ".." in shown.parts or not inside:
        raise _outside("SummaryPath", str(shown), mount_paths)
    return str(shown)


def _below(uri: str, relative: str) -> str:
    return f"{uri.rstrip('/')}/{relative.strip('/')}"


def _outside(field: str, path: str, mount_paths: Iterable[str]) -> InvalidParameterError:
    return InvalidParameterError(f"{field} {path!r} is not below a mount path: {', '.join(mount_paths)}.")
