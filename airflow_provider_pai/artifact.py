"""Artifacts that travel through XCom, a model's or a dataset's, and the manifest of a model on OSS.

Everything here is a frozen dataclass that turns into plain JSON and back.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from airflow_provider_pai.costs import Usage
from airflow_provider_pai.exceptions import PaiVersionError
from airflow_provider_pai.schemas import ARTIFACT
from airflow_provider_pai.versions import version_time

MANIFEST_NAME = "_manifest.json"
INPUTS_FOLDER = "_inputs"
"""Beside the manifest: `<name>.jsonl`, the list of the objects of each input."""
RECORDS_FOLDER = "_runs"
"""Below an output: records of the runs whose version folders lie beside it. They are nobody's data."""
DATASET_NAME = "dataset.json"
"""In a run's folder: the whole of the dataset that it made."""
MAX_XCOM_BYTES = 16 * 1024
IN_MANIFEST = "in_manifest"
"""Of a model's dict: names of the fields that only the manifest has whole."""
IN_RECORD = "in_record"
"""Of a dataset's dict: names of the fields that only the record of its run has whole."""

Json = dict[str, Any]


def _from_dict(cls: type[Any], value: Mapping[str, Any]) -> Any:
    """Build a dataclass from JSON; fields that are not known here are left out."""
    known = {item.name for item in fields(cls)}
    return cls(**{name: item for name, item in value.items() if name in known})


def is_record(key: str) -> bool:
    """Tell whether an object below a prefix is a record of a run, and so no data."""
    return RECORDS_FOLDER in key.split("/")[:-1]


def is_metric(value: object) -> bool:
    """Tell whether a value is one that a gate can compare: a finite number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and -sys.float_info.max <= value <= sys.float_info.max  # type: ignore[operator]


def is_json(value: object) -> bool:
    """Tell whether JSON has a value, as an XCom and a manifest must: it has no NaN, say."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class DatasetChange:
    """What became of the objects that a job read, from its submit to its end; of each kind the first hundred keys."""

    replaced: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    """No reason to mistrust a model: folders grow."""
    further: int = 0
    """How many more keys were replaced, removed or added than stand here."""
    unread: str = ""
    """Why nobody knows; empty: they were read again."""

    @property
    def is_harmful(self) -> bool:
        """Tell whether the job may have read something else than what was there at the submit."""
        return bool(self.replaced or self.removed)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> DatasetChange:
        """Read what stands in an artifact's JSON."""
        read: DatasetChange = _from_dict(cls, value)
        replaced, removed, added = map(tuple, (read.replaced, read.removed, read.added))
        return replace(read, replaced=replaced, removed=removed, added=added)

    def __str__(self) -> str:
        """Return it in words, with a few of the keys."""
        if self.unread:
            return f"not read again: {self.unread}"
        kinds = {"replaced": self.replaced, "removed": self.removed, "added": self.added}
        told = [f"{kind} {', '.join(keys[:3])}{', …' * (len(keys) > 3)}" for kind, keys in kinds.items() if keys]
        count = sum(map(len, kinds.values())) + self.further
        return f"{count} objects: {'; '.join(told)}" if told else "unchanged"


@dataclass(frozen=True, kw_only=True)
class DatasetRef:
    """An input as it was at the submit: its prefix and a digest over the keys, sizes and ETags below it.

    The list of its objects lies beside the manifest, in `_inputs/<name>.jsonl`.
    """

    name: str
    uri: str
    digest: str
    size: int
    """Bytes."""
    files: int
    version: str = ""
    """Of the dataset or the model that another task made; empty: an address was given."""
    pinned: str = ""
    """Prefix of the copy that the job read instead; empty: it read `uri` itself."""
    versioned: bool = False
    """The list has a version of each object, by which it can be read even where it was replaced."""
    change: DatasetChange | None = None
    """None: the job has not ended, or nobody looked."""

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> DatasetRef:
        """Read what stands in an artifact's JSON."""
        read: DatasetRef = _from_dict(cls, value)
        return replace(read, change=DatasetChange.from_dict(value["change"])) if value.get("change") else read


@dataclass(frozen=True, kw_only=True)
class Code:
    """What ran: a Git repository at a commit, or an `oss://` address and its digest, and the command."""

    repo: str
    commit: str
    entry: str | None = None
    branch: str | None = None


@dataclass(frozen=True, kw_only=True)
class JobRef:
    """The job that made an artifact; `url` is its console page."""

    service: str
    id: str
    url: str


@dataclass(frozen=True, kw_only=True)
class DataInterval:
    """The data interval of the DAG run, ISO 8601 in UTC."""

    start: str
    end: str


@dataclass(frozen=True, kw_only=True)
class Producer:
    """The task try that made an artifact."""

    dag_id: str
    run_id: str
    task_id: str
    try_number: int
    map_index: int = -1
    bundle: str | None = None
    """Airflow 3: the DAG bundle that the DAG file came of; `bundle_version` where it has versions, a commit, say."""
    bundle_version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """What a job made: where it lies and everything that tells how it came about.

    Plain JSON in XCom (`to_dict`), at most 16 KiB.
    """

    name: str
    version: str
    """Sorts by data interval: `20261121T1800Z-3f2a9c1b`."""
    uri: str
    """The version's own prefix, `oss://bucket/models/digits/<version>/`."""
    digest: str = ""
    """`sha256:`, of a model's manifest, or of a dataset's keys, sizes and ETags."""
    size: int = 0
    """Bytes of all files."""
    files: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    code: Code | None = None
    image: str | None = None
    image_digest: str | None = None
    """`sha256:` of the image as it was at the submit; None: `image_note` says why nobody knows."""
    image_note: str | None = None
    environment: str | None = None
    """The file that tells packages and CUDA of the job, beside the model or in `record`; None: it wrote none."""
    record: str | None = None
    """The folder of the run that has its records: executed notebook, log, environment; None: none were kept."""
    job: JobRef | None = None
    instances: Mapping[str, int] = field(default_factory=dict)
    """Nodes of the job by instance type; of a quota's by the resources of one."""
    status_seconds: Mapping[str, int] = field(default_factory=dict)
    """How long the job was in each status, by the service's own times."""
    inputs: tuple[DatasetRef, ...] = ()
    usage: tuple[Usage, ...] = ()
    """What the version has taken: its own job, and those of the task before it that came to nothing."""
    data_interval: DataInterval | None = None
    produced_by: Producer | None = None
    created_at: str = ""
    schema_version: int = ARTIFACT.number

    long_fields: ClassVar[Mapping[str, Any]] = {"params": {}, "inputs": [], "usage": []}
    """What an XCom may have to do without, and what stands there instead."""
    kept_whole: ClassVar[str] = IN_MANIFEST

    @property
    def changed_inputs(self) -> dict[str, str]:
        """Return the names of the inputs whose objects were replaced or removed while the job ran, and what was."""
        return {ref.name: str(ref.change) for ref in self.inputs if ref.change and ref.change.is_harmful}

    @property
    def interval_end(self) -> datetime:
        """Return the time that makes an artifact newer or older: data interval end, else the version's."""
        if self.data_interval is not None:
            return datetime.fromisoformat(self.data_interval.end).astimezone(UTC)
        return version_time(self.version)

    def to_dict(self) -> Json:
        """Return plain JSON; over 16 KiB, the longest is kept elsewhere alone, and `kept_whole` names it."""
        value: Json = json.loads(json.dumps(asdict(self)))
        without: Json = {**self.long_fields, "code": value["code"] and {**value["code"], "entry": None}}
        while without and len(json.dumps(value).encode()) > MAX_XCOM_BYTES:
            longest = max(without, key=lambda name: len(json.dumps(value[name])))
            value[longest] = without.pop(longest)
            value[self.kept_whole] = sorted([*value.get(self.kept_whole, ()), longest])
        return value

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; what others wrote as a metric or parameter, and is none, is left out.

        :raises ValueError: when it is no artifact.
        :raises PaiVersionError: a later version wrote it.
        """
        ARTIFACT.check(value.get("schema_version"))
        allowed = f"allowed is what a {cls.__name__}'s to_dict() returns"
        missing = [name for name in ("name", "version", "uri") if not isinstance(value.get(name) or None, str)]
        if missing:
            raise ValueError(f"artifact: {missing} missing; {allowed}")
        try:
            artifact: Self = _from_dict(cls, {**value, **cls._parts(value)})
        except (AttributeError, TypeError) as error:
            raise ValueError(f"artifact: {error}; {allowed}") from None
        return artifact

    @classmethod
    def _parts(cls, value: Mapping[str, Any]) -> Json:
        """Return the fields that are more than what JSON has."""
        nested = {name: _from_dict(part, value[name]) for name, part in _PARTS.items() if value.get(name)}
        kept = {name: _kept(value.get(name), fits) for name, fits in _FITS.items()}
        inputs = tuple(DatasetRef.from_dict(item) for item in value.get("inputs") or ())
        usage = tuple(Usage.read(item) for item in value.get("usage") or ())
        return {**nested, **kept, "inputs": inputs, "usage": usage}


@dataclass(frozen=True, kw_only=True)
class ModelArtifact(Artifact):
    """A trained model; the whole of it also stands in the manifest."""

    content_digest: str = ""
    """`sha256:` over keys, sizes and checksums of the files alone: the same for the same model, whoever trained it."""
    framework: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    """Short hashes of what decided the training, by name: another training with the same comes to the same."""
    reused_from: str | None = None
    """In an XCom: the version that was taken in place of a training; no manifest has it."""

    long_fields: ClassVar[Mapping[str, Any]] = {**Artifact.long_fields, "metrics": {}, "fingerprint": {}}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote, as `Artifact.from_dict`; a dataset is no model.

        :raises ValueError: when it is no model's.
        """
        if "tables" in value:
            raise ValueError(f"{value.get('uri')} is a dataset, not a model: what made it has left no metrics.json")
        return super().from_dict(value)


_PARTS: Mapping[str, type[Any]] = {
    "code": Code,
    "job": JobRef,
    "data_interval": DataInterval,
    "produced_by": Producer,
}
_FITS: Mapping[str, Callable[[object], bool]] = {"metrics": is_metric, "params": is_json, "fingerprint": is_json}


def _kept(values: Mapping[str, Any] | None, fits: Callable[[object], bool]) -> Json:
    return {name: value for name, value in (values or {}).items() if fits(value)}


@dataclass(frozen=True)
class ManifestFile:
    """One file, as a listing has it; `key` is relative to the artifact's prefix."""

    key: str
    size: int
    etag: str
    crc64: str = ""
    """OSS's unsigned decimal; empty: the writer did not know it."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The list of an artifact's files, written last: an artifact without a valid manifest does not exist."""

    artifact: ModelArtifact
    files: tuple[ManifestFile, ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)
    """What the job was made of, in its API's field names, without secrets: by it the model can be made again."""
    schema_version: int = ARTIFACT.number

    def to_bytes(self) -> bytes:
        """Return the bytes of `_manifest.json`; equal content gives equal bytes."""
        value = asdict(self)
        del value["artifact"]["digest"]
        return json.dumps(value, indent=1, sort_keys=True).encode()

    @property
    def digest(self) -> str:
        """Return `sha256:` of the bytes."""
        return "sha256:" + hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read a manifest and give its artifact the digest of these bytes.

        :raises ValueError: when the bytes are torn or not a manifest.
        :raises PaiVersionError: a later version wrote it.
        """
        try:
            value = json.loads(data)
            ARTIFACT.check(value.get("schema_version"))
            files = tuple(_from_dict(ManifestFile, each) for each in value["files"])
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            artifact = ModelArtifact.from_dict({**value["artifact"], "digest": digest})
        except PaiVersionError:
            raise
        except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
            raise ValueError(f"manifest: {error!r}; allowed is what Manifest.to_bytes() writes") from error
        number = value.get("schema_version", ARTIFACT.number)
        return cls(artifact=artifact, files=files, request=value.get("request") or {}, schema_version=number)


def content_digest(files: Iterable[ManifestFile]) -> str:
    """Return a digest over keys, sizes and checksums: that of an equal model, written in the same way, is equal."""
    lines = sorted(f"{file.key}\0{file.size}\0{file.crc64 or file.etag}\n" for file in files)
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()
