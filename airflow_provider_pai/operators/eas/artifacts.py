"""Base of the operators that take a model: whether its inputs let it pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.inputs import one_of
from airflow_provider_pai.operators.eas.base import EasOperator
from airflow_provider_pai.operators.meant import ON_CHANGED_INPUTS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_pai.artifact import ModelArtifact


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
