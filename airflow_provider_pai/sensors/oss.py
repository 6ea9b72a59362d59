"""Sensors for OSS: objects and complete artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_pai.exceptions import PaiArtifactError, PaiConfigError
from airflow_provider_pai.hooks.artifacts import read_artifact
from airflow_provider_pai.hooks.base import Json
from airflow_provider_pai.hooks.oss import OssHook, parse_uri
from airflow_provider_pai.ledger import Event, EventKind, Ledger
from airflow_provider_pai.sensors.base import PaiSensor
from airflow_provider_pai.triggers.oss import OssArtifactTrigger, OssKeyTrigger


class OssKeySensor(PaiSensor):
    """Wait until objects exist; returns their addresses.

    :param uri: `oss://bucket/key`, one or a list. (templated)
    """

    hook_class = OssHook
    template_fields: Sequence[str] = (*PaiSensor.template_fields, "uri")

    def __init__(self, *, uri: str | list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.uri = uri

    @property
    def uris(self) -> list[str]:
        """Return the addresses.

        :raises PaiConfigError: one of them is not `oss://bucket/key`.
        """
        given = [self.uri] if isinstance(self.uri, str) else list(self.uri)
        parsed = [parse_uri("uri", uri) for uri in given]
        if not parsed or any(not uri.key for uri in parsed):
            raise PaiConfigError("uri", self.uri, "at least one oss://bucket/key with a key")
        return [str(uri) for uri in parsed]

    def check(self) -> list[str] | None:
        """Look for the objects."""
        missing = [uri for uri in self.uris if self.hook.head(uri) is None]
        if missing:
            self.log.info("Waiting for %s", ", ".join(missing))
        return None if missing else self.uris

    def make_trigger(self, poll_interval: float, deadline: str) -> OssKeyTrigger:
        """Return the trigger."""
        return OssKeyTrigger(
            uris=self.uris, hook_arguments=self.hook_arguments, poll_interval=poll_interval, deadline=deadline
        )


class OssArtifactSensor(PaiSensor):
    """Wait for a complete artifact: a manifest whose files are all there with their size and CRC64.

    A missing or torn manifest keeps waiting, and the log says what is wrong. Returns the artifact as a dict.

    :param artifact: a ModelArtifact's dict, as a task's XCom gives it, or its `oss://` prefix. (templated)
    :param ledger_conn_id: common-sql connection of the audit ledger; by default an SQLite file in AIRFLOW_HOME.
    """

    hook_class = OssHook
    template_fields: Sequence[str] = (*PaiSensor.template_fields, "artifact", "ledger_conn_id")

    def __init__(self, *, artifact: str | Mapping[str, Any], ledger_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.artifact = artifact
        self.ledger_conn_id = ledger_conn_id

    @property
    def uri(self) -> str:
        """Return the artifact's prefix.

        :raises PaiConfigError: it is neither an artifact nor an address.
        """
        given = self.artifact.get("uri") if isinstance(self.artifact, Mapping) else self.artifact
        return str(parse_uri("artifact", given).folder)

    def check(self) -> Json | None:
        """Read and verify the manifest."""
        try:
            return read_artifact(self.hook, self.uri).to_dict()
        except PaiArtifactError as error:
            self.log.info("Waiting: %s", error)
            return None

    def make_trigger(self, poll_interval: float, deadline: str) -> OssArtifactTrigger:
        """Return the trigger."""
        return OssArtifactTrigger(
            uri=self.uri, hook_arguments=self.hook_arguments, poll_interval=poll_interval, deadline=deadline
        )

    def result(self, context: Any, found: Any) -> Json:
        """Record that the artifact was verified."""
        artifact: Json = found
        self.log.info("Artifact %s %s is complete: %s", artifact["name"], artifact["version"], artifact["digest"])
        Ledger.open(self.ledger_conn_id or self.hook.connection.ledger_conn_id).record(
            Event(key=f"verified/{artifact['digest']}", kind=EventKind.ARTIFACT_VERIFIED, subject=artifact["name"],
                  version=artifact["version"], digest=artifact["digest"], payload={"uri": artifact["uri"]})
        )  # fmt: skip
        return artifact
