"""Artifact that a DAG means: what another task returned, or the address of a model's version."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_pai.exceptions import PaiArtifactError, PaiConfigError
from airflow_provider_pai.inputs import parse_uri, required_artifact

if TYPE_CHECKING:
    from airflow_provider_pai.artifact import ModelArtifact
    from airflow_provider_pai.hooks.oss import OssHook


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
