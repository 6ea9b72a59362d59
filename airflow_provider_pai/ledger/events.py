"""Events of the audit ledger, and rows as they stand in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_pai.exceptions import PaiError

if TYPE_CHECKING:
    from airflow_provider_pai.artifact import ModelArtifact
    from airflow_provider_pai.identity import TaskIdentity
    from airflow_provider_pai.labels import ServedModel

# The longest key that every MySQL row format indexes.
MAX_KEY = 191


class EventKind(StrEnum):
    """What a row records."""

    RUN_FINISHED = "run_finished"
    ARTIFACT_PRODUCED = "artifact_produced"
    ARTIFACT_VERIFIED = "artifact_verified"
    GATE_PASSED = "gate_passed"
    GATE_FAILED = "gate_failed"
    DEPLOYMENT_STEP = "deployment_step"
    DEPLOYED = "deployed"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    SHADOWED = "shadowed"
    SKIPPED = "skipped"
    STOPPED = "stopped"


class LedgerError(PaiError):
    """A row could not be written, or the chain is broken."""


class Event(NamedTuple):
    """One thing that happened.

    :param key: makes it unique, e.g. `promoted/digits/<task>/<cycle>`.
    :param subject: the EAS group, or the model's name.
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
        numbered = "" if number is None else f"/{number}"
        return cls(
            key=key or f"{kind}/{subject}/{identity.owner}{numbered}",
            kind=EventKind(kind),
            subject=subject,
            version=model.version if model else "",
            digest=model.digest if model else "",
            payload={**identity.origin, **payload},
        )

    @classmethod
    def produced(cls, artifact: ModelArtifact) -> Event:
        """Return that an artifact is there; whoever finds it again adds no row."""
        return cls(
            key=f"artifact/{artifact.uri}"[-MAX_KEY:],
            kind=EventKind.ARTIFACT_PRODUCED,
            subject=artifact.name,
            version=artifact.version,
            digest=artifact.digest,
            payload=artifact.to_dict(),
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
    previous_hash: str
    hash: str

    @property
    def content_hash(self) -> str:
        """Return the hash that this row must bear."""
        content = {name: value for name, value in self._asdict().items() if name != "hash"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
