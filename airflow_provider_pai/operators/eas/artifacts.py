"""Base of the operators that take a model: the artifact that is meant, and whether its inputs let it pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_pai.exceptions import PaiArtifactError, PaiConfigError
from airflow_provider_pai.inputs import one_of, parse_uri, required_artifact
from airflow_provider_pai.operators.eas.base import EasOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_pai.artifact import ModelArtifact
    from airflow_provider_pai.hooks.oss import OssHook

ON_CHANGED_INPUTS = ("refuse", "warn")


class ArtifactOperator(EasOperator):
    """Base of the operators that take a model.

    :param artifact: a ModelArtifact as another task returned it, or the `oss://` address of its version. (templated)
    :param inputs_changed: what becomes of a model whose inputs were replaced or removed while its job ran, so that
        nobody knows what it was trained on: `refuse` skips this task, and what stands behind it; `warn` says so and
        goes on. (templated)
    """

    template_fields: Sequence[str] = ("artifact", "inputs_changed")

    def __init__(
        self,
        *,
        artifact: Mapping[str, Any] | str | XComArg | None = None,
        inputs_changed: str = "refuse",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.artifact = artifact
        self.inputs_changed = inputs_changed

    def refusal(self, artifact: ModelArtifact) -> str:
        """Return why a model must not go on because of its inputs; empty: it may, and the log has what is doubtful.

        :raises PaiConfigError: `inputs_changed` is neither.
        """
        refuses = one_of("inputs_changed", self.inputs_changed, ON_CHANGED_INPUTS) == "refuse"
        for ref in artifact.inputs:
            if ref.change and ref.change.unread:
                self.log.warning("Input %s of %s was %s", ref.name, artifact.version, ref.change)
        changed = [f"input {name}, {change}" for name, change in artifact.changed_inputs.items()]
        if not changed:
            return ""
        text = f"{artifact.version} may have been trained on other data than it says: {'; '.join(changed)}"
        if refuses:
            return f"{text} (inputs_changed='warn' lets it pass)"
        self.log.warning("%s", text)
        return ""


class Meant(NamedTuple):
    """The artifact that a DAG means: its address, the argument that has it, and the digest if that is known."""

    field: str
    uri: str
    digest: str = ""

    @classmethod
    def of(cls, value: object) -> Meant:
        """Read what another task returned, or an address; whether an artifact lies there is not looked up.

        :raises PaiConfigError: it is none, or the task that makes it has left nothing.
        """
        from airflow_provider_pai.artifact import ModelArtifact

        described = required_artifact("artifact", value)
        if isinstance(described, str):
            return cls("artifact", described)
        try:
            declared = ModelArtifact.from_dict(described)
        except ValueError as error:
            raise PaiConfigError("artifact", value, str(error)) from None
        return cls("artifact['uri']", declared.uri, declared.digest)

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
