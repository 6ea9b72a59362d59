"""Operator that tries a model on copies of production's requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_pai.exceptions import (
    PaiTimeoutError,
    RolloutRolledBackError,
    RolloutStoppedError,
)
from airflow_provider_pai.labels import ServedModel
from airflow_provider_pai.links import EasServiceLink
from airflow_provider_pai.operators.eas.driving import DrivingOperator
from airflow_provider_pai.remote import Json
from airflow_provider_pai.triggers.rollout import ShadowTrigger

if TYPE_CHECKING:
    from airflow_provider_pai.rollouts.shadow_driver import ShadowSpec


_ERRORS: Mapping[str, type[Exception] | None] = {
    "passed": None,
    "failed": RolloutRolledBackError,
    "timed_out": PaiTimeoutError,
}


class EasShadowOperator(DrivingOperator):
    """Try a model on copies of production's requests, whose answers nobody gets, and compare it with production.

    The model gets a service of its own, outside any group. When every instance is ready and the golden requests, if
    there are any, are answered as expected, EAS copies `ratio` percent of production's requests to it for `duration`
    seconds. Its error rate and latency are judged by the limits of a rollout, every `interval`. Then, and on every
    other way out (a bad verdict, an error, a kill, a clear, a time-out), the mirror is ended and the service deleted.

    Copies are worked on twice, so what a request changes is changed twice: `requests_are_idempotent` must say that it
    does no harm.

    API: CreateService, CreateServiceMirror, DeleteServiceMirror, DeleteService.

    :param source: service whose requests are copied. (templated)
    :param group: or the group, of which the service that carries most traffic is taken. (templated)
    :param ratio: percent of the requests, 1 to 100. (templated)
    :param duration: seconds. (templated)
    :param requests_are_idempotent: must be True.
    :param plan: limits and times, fields of `canary.plan.RolloutPlan`: interval, min_requests, max_error_rate,
        max_error_rate_delta, max_p95_ms, max_p95_ratio, ready_timeout, gateway_timeout, … (templated)
    :param probe: golden requests, as `EasCanaryDeployOperator` has them. (templated)
    :param metrics: source of the counts, as `EasCanaryDeployOperator` has it. (templated)
    :param on_inconclusive: `fail` or `pass`: what too few requests mean. (templated)
    :returns: `{"source", "shadow", "outcome", "reason", "version", "digest", "ratio", "requests", "errors", "p95_ms",
        "production": {"requests", "errors", "p95_ms"}}`; outcome is passed, failed, inconclusive, timed_out or stopped.
        It is pushed before the task fails, too (failed: `RolloutRolledBackError`, stopped and, unless `on_inconclusive`
        is `pass`, inconclusive: `RolloutStoppedError`, timed_out, before anything was copied: `PaiTimeoutError`, which
        `retries` try again).
    """

    about = "Copy {ratio} % of the requests of {source}{group} for {duration} s: {artifact}"

    operator_extra_links = (EasServiceLink(),)
    template_fields: Sequence[str] = (
        "source",
        "group",
        "ratio",
        "duration",
        "plan",
        "probe",
        "metrics",
        "on_inconclusive",
    )
    template_fields_renderers = {
        "plan": "json",
        "probe": "json",
        "metrics": "json",
    }

    def __init__(
        self,
        *,
        source: str | None = None,
        group: str | None = None,
        ratio: int | str = 10,
        duration: float | str = 600.0,
        requests_are_idempotent: bool = False,
        plan: Mapping[str, Any] | None = None,
        probe: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        on_inconclusive: str = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.group = group
        self.ratio = ratio
        self.duration = duration
        self.requests_are_idempotent = requests_are_idempotent
        self.plan = plan
        self.probe = probe
        self.metrics = metrics
        self.on_inconclusive = on_inconclusive

    def begin(self, context: Any) -> ShadowSpec:
        """Check everything; nothing has been created yet."""
        from airflow_provider_pai.rollouts.shadow_driver import ShadowDriver

        spec = self.shadow(context)
        self.log.info("%d %% of %s's requests to %s for %s s", spec.ratio, spec.source, spec.shadow, spec.duration)
        EasServiceLink.persist(context, self.hook.console_url(spec.shadow))
        self._driver = ShadowDriver(spec, self.hook, self.log)
        return spec

    def trigger(self, context: Any, spec: ShadowSpec) -> ShadowTrigger:
        """Return what goes on with the run."""
        task = self.identity(context).origin
        return ShadowTrigger(hook_arguments=self.hook_arguments, shadow=spec.to_dict(), task=task)

    def gives_up(self, context: Any, error: BaseException) -> bool:
        """Tell that nobody goes on after any failure: production must not be copied any longer than it is watched."""
        return not isinstance(error, TaskDeferred)

    def give_up(self, why: str) -> None:
        """Take everything down; what another process has begun is found by its labels."""
        from airflow_provider_pai.rollouts.shadows import EasShadowHook

        super().give_up(why)
        if self._resumed is not None:
            hook = self.hook.sibling(EasShadowHook)
            for shadow in hook.tagged(self.identity(self._resumed).owner.labels()):
                hook.request_stop(shadow.job_id)

    def finish(self, context: Any, end: Json) -> Json:
        """Turn a run's end into the task's: the one end of every path.

        :raises RolloutRolledBackError: the model is bad.
        :raises RolloutStoppedError: nobody can tell, or someone else interfered.
        :raises PaiTimeoutError: it was not ready, or not reached, in time.
        """
        from airflow_provider_pai.rollouts.summary import one_line

        log_tail, usage = end.get("log_tail", ""), end.get("usage")
        end = {name: value for name, value in end.items() if name not in ("log_tail", "usage")}
        self.record_overlap(context, usage, end["version"] or "")
        identity = self.identity(context)
        model = ServedModel(version=end["version"] or "", digest=end["digest"] or "")
        key = f"shadowed/{end['source']}/{identity.owner}"
        self.record("shadowed", self.group or end["source"], identity, model, end, key=key, beside=self.artifact_uri)
        reason = end["reason"].replace(end["shadow"], "the shadow").replace(end["source"], "production")
        line = one_line(f"{end['version'] or end['shadow']} in the shadow of production, {end['outcome']}: {reason}")
        tolerated = end["outcome"] == "inconclusive" and self.on_inconclusive == "pass"
        error = None if tolerated else _ERRORS.get(end["outcome"], RolloutStoppedError)
        return self.ended(context, end, error, line, log_tail)

    def shadow(self, context: Any) -> ShadowSpec:
        """Return the checked run; nothing has been created yet.

        :raises PaiConfigError: naming field, value and what is allowed.
        :raises PaiArtifactError: the artifact has no valid manifest.
        """
        from airflow_provider_pai.rollouts.request import ShadowRequest

        return ShadowRequest.of(self).spec(self, self.identity(context))
