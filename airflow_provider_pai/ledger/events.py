"""Events of the audit ledger, and rows as they stand in it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.schemas import LEDGER_ROW
from airflow_provider_pai.versions import utc_text

if TYPE_CHECKING:
    from airflow_provider_pai.artifact import Artifact, ModelArtifact
    from airflow_provider_pai.costs import Usage
    from airflow_provider_pai.identity import TaskIdentity
    from airflow_provider_pai.labels import ServedModel

GENESIS = "0" * 64
"""What stands for the hash before the first row."""

ROW_SCHEMA = "row_schema_version"
"""In a payload, which may be an artifact with a number of its own."""


class EventKind(StrEnum):
    """What a row records."""

    RUN_FINISHED = "run_finished"
    ARTIFACT_PRODUCED = "artifact_produced"
    DATASET_PRODUCED = "dataset_produced"
    INPUTS_CHANGED = "inputs_changed"
    """An artifact may have been trained on something else than its digests say."""
    ARTIFACT_VERIFIED = "artifact_verified"
    REUSED = "reused"
    """Nothing had changed: an earlier artifact was taken, and no job was made."""
    GATE_PASSED = "gate_passed"
    GATE_FAILED = "gate_failed"
    DEPLOYMENT_STEP = "deployment_step"
    DEPLOYED = "deployed"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    """What a rollout or a deployment has tried was taken out by itself."""
    RESTORED = "restored"
    """A person went back to what served before: the row is about what serves again."""
    REPRODUCED = "reproduced"
    """A person has trained a model again; the model that is there is what it was."""
    RESULTS_COMMITTED = "results_committed"
    """What a notebook has left was pushed to Git; the subject is the task."""
    SHADOWED = "shadowed"
    SKIPPED = "skipped"
    STOPPED = "stopped"
    USAGE = "usage"
    """What a job, an instance or a service has used; the subject is the DAG."""
    OVER_BUDGET = "over_budget"
    """Nothing was made, since a DAG had spent what it may; the subject is the DAG."""


class LedgerError(PaiError):
    """A row could not be written, or the chain is broken."""


class Event(NamedTuple):
    """One thing that happened.

    :param key: makes it unique, e.g. `promoted/digits/<task>/<cycle>`; of any length.
    :param subject: the EAS group, the model's name, or of a usage the DAG.
    :param payload: JSON, but for numbers that JSON has not: NaN and the infinities are kept as texts.
    """

    key: str
    kind: EventKind
    subject: str
    version: str = ""
    digest: str = ""
    payload: Mapping[str, Any] = MappingProxyType({})

    @classmethod
    def of(
        cls,
        kind: str,
        subject: str,
        identity: TaskIdentity,
        model: ServedModel | ModelArtifact | None,
        payload: Mapping[str, Any],
        *,
        key: str | None = None,
        number: int | None = None,
    ) -> Event:
        """Return what a task instance did; its cycle stands in the key, so that a retry adds no row, and a clear does.

        :param number: which of several of a kind.
        """
        with_schema = "" if number is None else f"/{number}"
        return cls(
            key=key or f"{kind}/{subject}/{identity.owner}{with_schema}",
            kind=EventKind(kind),
            subject=subject,
            version=model.version if model else "",
            digest=model.digest if model else "",
            payload={**identity.origin, **payload},
        )

    @classmethod
    def about(cls, artifact: Artifact, kind: EventKind, key: str, payload: Mapping[str, Any]) -> Event:
        """Return what happened to an artifact."""
        return cls(key, kind, artifact.name, artifact.version, artifact.digest, payload)

    @classmethod
    def produced(cls, artifact: Artifact) -> Event:
        """Return that an artifact is there; whoever finds it again adds no row."""
        from airflow_provider_pai.dataset import DatasetArtifact

        is_dataset = isinstance(artifact, DatasetArtifact)
        kind = EventKind.DATASET_PRODUCED if is_dataset else EventKind.ARTIFACT_PRODUCED
        return cls.about(artifact, kind, f"artifact/{artifact.uri}", artifact.to_dict())

    @classmethod
    def inputs_changed(cls, artifact: Artifact) -> Event:
        """Return which inputs of an artifact were replaced or removed while its job ran."""
        facts = {"uri": artifact.uri, "inputs": artifact.changed_inputs}
        return cls.about(artifact, EventKind.INPUTS_CHANGED, f"inputs/{artifact.uri}", facts)

    @classmethod
    def used(cls, usage: Usage, origin: Mapping[str, Any], *, task: str, version: str = "", model: str = "") -> Event:
        """Return what a job has used, once it has ended; whoever finds it again adds no row.

        :param origin: the task instance, as of `TaskName`.
        :param task: its hash.
        :param version: of the artifact that the job was to make.
        """
        return cls(
            key=usage.key,
            kind=EventKind.USAGE,
            subject=str(origin["dag_id"]),
            version=version,
            payload={**origin, "task": task, "model": model, **asdict(usage)},
        )


class Row(NamedTuple):
    """An event as it stands in the ledger."""

    seq: int
    event_key: str
    kind: str
    subject: str
    version: str
    digest: str
    payload: str
    recorded_at: str
    event_key_sha256: str
    subject_sha256: str
    version_sha256: str
    previous_hash: str
    hash: str

    @classmethod
    def of(cls, event: Event, last: Row | None, now: datetime) -> Row:
        """Return the row of an event that follows another; None: it is the first."""
        row = cls(
            seq=last.seq + 1 if last else 1,
            event_key=stored_text(event.key),
            kind=str(event.kind),
            subject=stored_text(event.subject),
            version=stored_text(event.version),
            digest=stored_text(event.digest),
            payload=json.dumps(plain_json(with_schema(event.payload)), sort_keys=True, default=str),
            recorded_at=utc_text(now),
            event_key_sha256=lookup(event.key),
            subject_sha256=lookup(event.subject),
            version_sha256=lookup(event.version),
            previous_hash=last.hash if last else GENESIS,
            hash="",
        )
        return row._replace(hash=row.content_hash)

    def check(self) -> None:
        """Refuse a row of a later version, whose payload may mean something else.

        :raises PaiVersionError: it is one.
        """
        LEDGER_ROW.check(json.loads(self.payload).get(ROW_SCHEMA))

    @property
    def day(self) -> str:
        """Return the UTC day on which it was recorded."""
        return self.recorded_at[:10]

    @property
    def content_hash(self) -> str:
        """Return the hash that this row must bear."""
        content = {name: value for name, value in self._asdict().items() if name != "hash"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def with_schema(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload with the number of its schema: that of whoever recorded the event, not of who writes its row."""
    return {ROW_SCHEMA: LEDGER_ROW.number, **payload}


def lookup(text: str) -> str:
    """Return by what a text of any length is found in an index."""
    return hashlib.sha256(stored_text(text).encode()).hexdigest()


def stored_text(text: str) -> str:
    """Return a text without what no database takes: a NUL, half a pair of surrogates."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def plain_json(value: Any) -> Any:
    """Return a value as JSON has it, since the row of paid work is not lost for a number or a key that JSON has not."""
    if isinstance(value, Mapping):
        return {str(key): plain_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
