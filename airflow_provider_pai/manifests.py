"""Artifacts on OSS: built, written with a manifest last, believed only with a manifest that fits the files."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from airflow_provider_pai.artifact import (
    IN_MANIFEST,
    INPUTS_FOLDER,
    MANIFEST_NAME,
    Artifact,
    DataInterval,
    Manifest,
    ManifestFile,
    ModelArtifact,
    Producer,
    content_digest,
    is_json,
    is_metric,
    is_record,
)
from airflow_provider_pai.dataset import DatasetArtifact
from airflow_provider_pai.exceptions import PaiArtifactError, PaiNotFoundError, PaiVersionError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.datasets import describe_dataset
from airflow_provider_pai.hooks.oss.objects import ObjectInfo
from airflow_provider_pai.hooks.oss.parallel import in_parallel
from airflow_provider_pai.hooks.oss.tables import tables_of
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.inputs import moment
from airflow_provider_pai.uri import OssUri
from airflow_provider_pai.versions import utc_text

METRICS_NAME = "metrics.json"
PARAMS_NAME = "params.json"
ENVIRONMENT_NAME = "environment.txt"
"""Packages and CUDA as the job saw them."""

_HEADS_AT_ONCE = 16


def unfinished_artifact(
    context: Any, identity: TaskIdentity, *, name: str, version: str, uri: str, **facts: Any
) -> ModelArtifact:
    """Return an artifact as far as it is known before its files are there.

    :param facts: further fields of ModelArtifact.
    """
    run = context["dag_run"]
    start, end = run.data_interval_start, run.data_interval_end
    return ModelArtifact(
        name=name,
        version=version,
        uri=uri,
        data_interval=DataInterval(start=utc_text(start), end=utc_text(end)) if start and end else None,
        produced_by=Producer(**identity.origin, try_number=identity.try_number, **_bundle(context["ti"])),
        created_at=utc_text(datetime.now(UTC)),
        **facts,
    )


def _bundle(ti: Any) -> dict[str, Any]:
    """Return where the DAG file came of: Airflow 3's task runner tells the task instance, 2.11 has no bundles."""
    bundle = getattr(ti, "bundle_instance", None)
    return {"bundle": bundle.name, "bundle_version": bundle.version} if bundle else {}


def read_unfinished(hook: OssHook, uri: str) -> Manifest:
    """Return an unfinished artifact that was put on OSS, as a manifest without files.

    :raises PaiArtifactError: it is not there any more, or is none.
    """
    try:
        return Manifest.from_bytes(hook.get(uri))
    except PaiNotFoundError:
        raise PaiArtifactError(f"{uri} is gone, without which nobody knows what the job's files are") from None
    except (ValueError, AttributeError) as error:
        raise PaiArtifactError(f"{uri} is no artifact as it was at the submit: {error}") from None


def write_artifact(hook: OssHook, artifact: ModelArtifact, request: Mapping[str, Any] | None = None) -> ModelArtifact:
    """Describe the files below the artifact's prefix in a manifest, written last, and return the finished artifact.

    Metrics and params are read from `metrics.json` (name to number) and `params.json` beside the model. A manifest
    that is already there and fits is returned as it is: a repeated finish changes nothing.

    :param request: what the job was made of, which the manifest alone keeps.
    :raises PaiArtifactError: no files, or a metrics or params file that is not a JSON object.
    """
    try:
        finished = read_artifact(hook, artifact.uri)
    except PaiArtifactError:
        hook.log.info("Writing the manifest of %s", artifact.uri)
        finished = _write(hook, artifact, request or {})
    if left_out := finished.to_dict().get(IN_MANIFEST):
        names = ", ".join(left_out)
        hook.log.warning("Not in XCom, over 16 KiB: %s of %s; its manifest has them", names, finished.uri)
    return finished


def _write(hook: OssHook, artifact: ModelArtifact, request: Mapping[str, Any]) -> ModelArtifact:
    prefix = OssUri.parse(artifact.uri).folder
    files = files_of(hook, prefix)
    if not files:
        raise PaiArtifactError(f"{artifact.uri}: the job left no file there")
    names = {file.key for file in files}
    described = replace(
        artifact,
        metrics=metrics_of(hook, prefix, files) or artifact.metrics,
        params={**artifact.params, **(_kept(hook, prefix, PARAMS_NAME, is_json) if PARAMS_NAME in names else {})},
        size=sum(file.size for file in files),
        files=len(files),
        content_digest=content_digest(files),
        environment=ENVIRONMENT_NAME if ENVIRONMENT_NAME in names else None,
    )
    manifest = Manifest(artifact=described, files=files, request=request)
    hook.put(prefix.join(MANIFEST_NAME), manifest.to_bytes())
    return replace(described, digest=manifest.digest)


def made_dataset(hook: OssHook, made: Artifact, **facts: Any) -> DatasetArtifact:
    """Return what lies below an artifact's prefix as a dataset, which has no manifest.

    :param facts: further fields of it.
    :raises PaiArtifactError: no files.
    """
    prefix = OssUri.parse(made.uri).folder
    try:
        found = describe_dataset(hook, made.name, prefix)
    except PaiNotFoundError:
        raise PaiArtifactError(f"{made.uri}: the job left no file there") from None
    tables = tables_of(hook, prefix)
    return DatasetArtifact.of(made, digest=found.digest, size=found.size, files=found.files, tables=tables, **facts)


def metrics_of(hook: OssHook, prefix: OssUri, files: Iterable[ManifestFile]) -> Mapping[str, float]:
    """Return the metrics beside a model; none where there is no such file among its files."""
    return _kept(hook, prefix, METRICS_NAME, is_metric) if any(file.key == METRICS_NAME for file in files) else {}


def files_of(hook: OssHook, prefix: OssUri) -> tuple[ManifestFile, ...]:
    """Describe the files below a prefix as a listing does; of those that came in parts HEAD tells the CRC64.

    The ETag of an object that was put is the MD5 of its bytes, and that of a copy; one of parts is neither (page "Data
    consistency validation"), and nothing but the CRC64 tells its copy from another object.
    """
    listed = [info for info in hook.list_objects(prefix) if _is_file(info, prefix)]
    in_parts = [info for info in listed if "-" in info.etag]
    crcs = dict(in_parallel(lambda info: (info.uri, _crc64(hook, info)), in_parts, _HEADS_AT_ONCE))
    return tuple(
        ManifestFile(info.uri.key.removeprefix(prefix.key), info.size, info.etag, crcs.get(info.uri, ""))
        for info in listed
    )


def read_manifest(hook: OssHook, uri: str) -> Manifest:
    """Return the manifest at a prefix; its files are not looked at.

    :raises PaiArtifactError: there is none, or a torn one.
    """
    prefix = OssUri.parse(uri).folder
    try:
        return Manifest.from_bytes(hook.get(prefix.join(MANIFEST_NAME)))
    except PaiNotFoundError:
        raise PaiArtifactError(f"{prefix}: no {MANIFEST_NAME}") from None
    except PaiVersionError as error:
        raise PaiArtifactError(f"{prefix}{MANIFEST_NAME}: {error}") from None
    except ValueError as error:
        raise PaiArtifactError(f"{prefix}{MANIFEST_NAME} is torn: {error}") from None


def read_artifact(hook: OssHook, uri: str) -> ModelArtifact:
    """Return the artifact at a prefix after checking every file of its manifest against OSS's listing.

    :raises PaiArtifactError: no manifest, a torn one, or a file that is missing, or another than it was.
    """
    prefix, manifest = OssUri.parse(uri).folder, read_manifest(hook, uri)
    missing = {file.key: file for file in manifest.files}
    unlike = []
    for info in hook.list_objects(prefix):
        file = missing.pop(info.uri.key.removeprefix(prefix.key), None)
        if file is not None and (info.size, info.etag) != (file.size, file.etag):
            unlike.append((file, info))
    for key in missing:
        raise PaiArtifactError(f"{prefix}{key} is in the manifest but not there")
    for _ in in_parallel(lambda pair: _check_copy(hook, *pair), unlike, _HEADS_AT_ONCE):
        pass
    return manifest.artifact


def _check_copy(hook: OssHook, file: ManifestFile, info: ObjectInfo) -> None:
    """Make sure that an object whose size or ETag is not the manifest's has the same bytes: it may be a copy.

    :raises PaiArtifactError: it has not, or nobody can tell.
    """
    crc64 = _crc64(hook, info) if file.crc64 and info.size == file.size else ""
    if not crc64 or crc64 != file.crc64:
        raise PaiArtifactError(
            f"{info.uri} is not what the manifest says: {info.size} bytes, ETag {info.etag}, CRC64 {crc64 or 'unknown'}"
            f"; the manifest has {file.size}, {file.etag}, {file.crc64 or 'unknown'}"
        )


def served_artifact(hook: OssHook, service: Mapping[str, Any]) -> ModelArtifact | None:
    """Return the artifact that a service mounts; None where it mounts none.

    :param service: as DescribeService gives it.
    """
    config = json.loads(service.get("ServiceConfig") or "{}")
    for storage in config.get("storage") or []:
        path = (storage.get("oss") or {}).get("path")
        try:
            if path:
                return replace(read_artifact(hook, path), uri=str(OssUri.parse(path).folder))
        except PaiArtifactError as error:
            hook.log.info("%s mounts %s, which is no artifact: %s", service["ServiceName"], path, error)
    hook.log.warning("%s mounts no artifact", service["ServiceName"])
    return None


def check_awaited(artifact: ModelArtifact, digest: str = "", newer_than: str | None = None) -> ModelArtifact:
    """Return an artifact that is the one that is waited for.

    :param digest: that it must have; empty: any.
    :param newer_than: ISO 8601; the end of its data interval must lie behind.
    :raises PaiArtifactError: it is another one, or older.
    """
    if digest and artifact.digest != digest:
        raise PaiArtifactError(f"{artifact.uri}: {artifact.version} is there ({artifact.digest}), not yet {digest}")
    if newer_than and artifact.interval_end <= moment("newer_than", newer_than):
        raise PaiArtifactError(
            f"{artifact.uri}: {artifact.version} is there, whose data ends {artifact.interval_end}; "
            f"it must be newer than {newer_than}"
        )
    return artifact


def _crc64(hook: OssHook, info: ObjectInfo) -> str:
    head = hook.head(info.uri)
    return (head and head.crc64) or ""


def _is_file(info: ObjectInfo, prefix: OssUri) -> bool:
    key = info.uri.key.removeprefix(prefix.key)
    ours = key == MANIFEST_NAME or key.startswith(f"{INPUTS_FOLDER}/") or is_record(key)
    return not info.is_marker and not ours


def not_a_metric(hook: OssHook, artifact: ModelArtifact, name: str) -> str:
    """Return why an artifact has no metric of a name."""
    prefix = OssUri.parse(artifact.uri).folder
    try:
        written = _read_json(hook, prefix, METRICS_NAME)
    except PaiNotFoundError:
        written = {}
        if not artifact.metrics:
            return f"{prefix} has no {METRICS_NAME}: the job has to leave one in PAI_OUTPUT_DIR, names to numbers"
    if name in written:
        return f"in {prefix}{METRICS_NAME} it is {reprlib.repr(written[name])}, and a metric is a finite number"
    return f"one of the artifact's: {', '.join(artifact.metrics) or 'none'}"


def _kept(hook: OssHook, prefix: OssUri, name: str, fits: Callable[[object], bool]) -> dict[str, Any]:
    """Return what fits of a file beside the model; the log names the rest, which the file alone has."""
    written = _read_json(hook, prefix, name)
    left_out = {key: value for key, value in written.items() if not fits(value)}
    if left_out:
        kind, told = "finite numbers" if fits is is_metric else "JSON", reprlib.repr(left_out)
        hook.log.warning("Left out of the artifact, no %s: %s; %s%s has them", kind, told, prefix, name)
    return {key: value for key, value in written.items() if fits(value)}


def _read_json(hook: OssHook, prefix: OssUri, name: str) -> Mapping[str, Any]:
    data = hook.get(prefix.join(name))
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PaiArtifactError(f"{prefix}{name} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise PaiArtifactError(f"{prefix}{name} must be a JSON object, not {type(value).__name__}")
    return value
