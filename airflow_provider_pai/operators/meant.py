"""Artifact or data that a DAG means: what another task returned, or an address."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_pai.exceptions import PaiArtifactError, PaiConfigError
from airflow_provider_pai.inputs import parse_uri, required_artifact

if TYPE_CHECKING:
    from airflow_provider_pai.artifact import DatasetRef, ModelArtifact
    from airflow_provider_pai.hooks.oss import OssHook
    from airflow_provider_pai.uri import OssUri

ON_CHANGED_INPUTS = ("refuse", "warn")

_DATA = "write oss://bucket/prefix, or give a DatasetRef, a DatasetArtifact or a ModelArtifact, as object, dict or JSON"


class Meant(NamedTuple):
    """The artifact that a DAG means: its address, the argument that has it, and the digest if that is known."""

    field: str
    uri: str
    digest: str = ""

    @classmethod
    def of(cls, value: object, field: str = "artifact") -> Meant:
        """Read what another task returned, or an address; whether an artifact lies there is not looked up.

        :param field: the argument.
        :raises PaiConfigError: it is none, or the task that makes it has left nothing.
        """
        from airflow_provider_pai.artifact import ModelArtifact

        described = required_artifact(field, value)
        if isinstance(described, str):
            return cls(field, described)
        try:
            declared = ModelArtifact.from_dict(described)
        except ValueError as error:
            raise PaiConfigError(field, value, str(error)) from None
        return cls(f"{field}['uri']", declared.uri, declared.digest)

    def stored(self, oss: OssHook) -> ModelArtifact:
        """Return the artifact as its manifest has it.

        :raises PaiArtifactError: it has no valid manifest, or is not the one that was meant.
        """
        from airflow_provider_pai.manifests import read_artifact

        folder = str(parse_uri(self.field, self.uri).folder)
        stored = replace(read_artifact(oss, folder), uri=folder)
        if self.digest and self.digest != stored.digest:
            raise PaiArtifactError(f"{self.uri} has digest {stored.digest}, not {self.digest}: it was changed")
        return stored


class MeantData(NamedTuple):
    """The data that a DAG means: its prefix, and what another task has told of it.

    :param field: the argument that has it.
    :param digest: empty: nobody told one.
    :param version: of the artifact that it is; empty: an address was given.
    :param is_model: the digest is that of a manifest.
    """

    field: str
    uri: OssUri
    digest: str = ""
    version: str = ""
    is_model: bool = False

    @classmethod
    def of(cls, value: object, field: str) -> MeantData:
        """Read what another task returned, or an address; whether anything lies there is not looked up.

        :param field: the argument.
        :raises PaiConfigError: it is none, or the task that makes it has left nothing.
        :raises PaiVersionError: a later version wrote it.
        """
        from airflow_provider_pai.schemas import ARTIFACT

        given = required_artifact(field, value, _DATA)
        if isinstance(given, str):
            return cls(field, parse_uri(field, given).folder)
        ARTIFACT.check(given.get("schema_version"))
        uri, digest, version = told = [given.get(name) or "" for name in ("uri", "digest", "version")]
        if not uri or not all(isinstance(each, str) for each in told):
            raise PaiConfigError(field, value, _DATA)
        folder = parse_uri(f"{field}['uri']", uri).folder
        return cls(field, folder, digest, version, is_model="content_digest" in given)

    def check(self, oss: OssHook, now: DatasetRef) -> None:
        """Compare what was told with what lies there now.

        :raises PaiArtifactError: it was changed.
        """
        if self.is_model:
            Meant(self.field, str(self.uri), self.digest).stored(oss)
        elif self.digest not in ("", now.digest):
            raise PaiArtifactError(
                f"{self.field}: {self.uri} has digest {now.digest}, not {self.digest}: it was changed after the task "
                f"that made it"
            )
