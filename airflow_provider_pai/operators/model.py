"""Operators on models: the gate before a deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import number, required
from airflow_provider_pai.operators.eas.artifacts import ArtifactOperator
from airflow_provider_pai.operators.meant import Meant
from airflow_provider_pai.remote import Json

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_pai.artifact import ModelArtifact


class ModelGateOperator(ArtifactOperator):
    """Let a model through if a metric is no worse than that of the model that serves, minus a tolerance.

    A model whose inputs were changed while its job ran does not get through, either (`inputs_changed`). What stands
    behind the gate is skipped with it when the model does not get through.

    :param artifact: a ModelArtifact as another task returned it, or the `oss://` address of its version; the metrics
        of its manifest count. (templated)
    :param group: EAS service group whose model is compared with. (templated)
    :param metric: name of the metric; higher is better. (templated)
    :param tolerance: how much lower it may be. (templated)
    :param minimum: what it must reach in any case. (templated)
    :returns: `{"metric", "candidate", "serving", "needed", "changed_inputs", "passed"}`; `serving` is None where no
        artifact serves that has the metric; `changed_inputs` tells by name what became of them.
    """

    about = "Compare {metric} of {artifact} with what group {group} serves"

    ui_color = "#f2ecd9"
    template_fields: Sequence[str] = (
        "group",
        "metric",
        "tolerance",
        "minimum",
    )

    def __init__(
        self,
        *,
        artifact: Mapping[str, Any] | str | XComArg,
        group: str,
        metric: str = "accuracy",
        tolerance: float | str = 0.0,
        minimum: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(artifact=artifact, **kwargs)
        self.group = group
        self.metric = metric
        self.tolerance = tolerance
        self.minimum = minimum

    def carry_out(self, context: Any) -> Json:
        """Compare and record.

        :raises AirflowSkipException: the model does not get through.
        :raises PaiConfigError: it has no such metric.
        :raises PaiArtifactError: it has no valid manifest, or is not the one that was meant.
        """
        self.group = required("group", self.group, "a service group")
        self.metric = required("metric", self.metric, "the name of a metric")
        tolerance = number("tolerance", self.tolerance, least=0)
        floors = [number("minimum", self.minimum)] if self.minimum is not None else []
        artifact = Meant.of(self.artifact).stored(self.oss)
        candidate = self._metric_of(artifact)
        served = self._serving()
        serving = max(map(self._metric_of, served), default=None)
        if [each.digest for each in served] == [artifact.digest]:
            self.log.info("Group %s serves %s already: it is compared with itself", self.group, artifact.version)
        if serving is not None:
            floors.append(serving - tolerance)
        needed = max(floors, default=None)
        refusal = self.refusal(artifact)
        passed = not refusal and (needed is None or candidate >= needed)
        result = {
            "metric": self.metric,
            "candidate": candidate,
            "serving": serving,
            "needed": needed,
            "changed_inputs": artifact.changed_inputs,
            "passed": passed,
        }
        identity, kind = self.identity(context), "gate_passed" if passed else "gate_failed"
        # One key for both kinds: a gate has one row a cycle.
        self.record(kind, self.group, identity, artifact, result, key=f"gate/{identity.owner}", beside=artifact.uri)
        text = f"{self.metric} {candidate:.4f} of {artifact.version}: {_compared(serving, needed, self.group)}"
        if not passed:
            context["ti"].xcom_push(key="return_value", value=result)
            self.skip(refusal or f"{text}; it does not get through")
        return result

    def told(self, result: Json) -> str:
        """Return in one line why the model gets through."""
        compared = _compared(result["serving"], result["needed"], self.group)
        return f"{result['metric']} {result['candidate']:.4f}: {compared}; the model gets through"

    def _metric_of(self, artifact: ModelArtifact) -> float:
        """Return the metric of an artifact.

        :raises PaiConfigError: it has none, and why.
        """
        from airflow_provider_pai.manifests import not_a_metric

        if self.metric not in artifact.metrics:
            raise PaiConfigError("metric", self.metric, not_a_metric(self.oss, artifact, self.metric))
        return artifact.metrics[self.metric]

    def _serving(self) -> list[ModelArtifact]:
        """Return the artifacts behind the services that carry the group's traffic now, which have the metric."""
        from airflow_provider_pai.canary.weights import carriers
        from airflow_provider_pai.manifests import served_artifact

        services = [self.hook.describe(member.name) for member in carriers(self.hook.group(self.group))]
        artifacts = [artifact for service in services if (artifact := served_artifact(self.oss, service))]
        for artifact in artifacts:
            if self.metric not in artifact.metrics:
                self.log.warning("Not compared with %s, which serves: it has no %s", artifact.version, self.metric)
        return [artifact for artifact in artifacts if self.metric in artifact.metrics]


def _compared(serving: float | None, needed: float | None, group: str) -> str:
    served = (
        f"group {group} serves {serving:.4f}"
        if serving is not None
        else f"group {group} serves no model to compare with"
    )
    return served if needed is None else f"{served}, needed is {needed:.4f}"
