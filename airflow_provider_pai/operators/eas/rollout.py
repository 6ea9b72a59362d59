"""Base of the operators that roll a model out under traffic: checked input, one driver, one finish."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, Stats

from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiTimeoutError,
    RolloutRolledBackError,
    RolloutStoppedError,
    RolloutStuckError,
)
from airflow_provider_pai.inputs import flag
from airflow_provider_pai.labels import ServedModel
from airflow_provider_pai.links import EasRolloutLink, EasServiceLink
from airflow_provider_pai.operators.base import is_backfill
from airflow_provider_pai.operators.eas.base import triggered_by
from airflow_provider_pai.operators.eas.driving import DrivingOperator
from airflow_provider_pai.remote import Json
from airflow_provider_pai.sensitive import hidden
from airflow_provider_pai.triggers.rollout import CanaryTrigger

if TYPE_CHECKING:
    from airflow_provider_pai.rollouts.spec import RolloutSpec


_ERRORS: Mapping[str, type[Exception] | None] = {
    "deployed": None,
    "promoted": None,
    "unchanged": None,
    "skipped": AirflowSkipException,
    "rolled_back": RolloutRolledBackError,
    "timed_out": PaiTimeoutError,
    "stopped": RolloutStoppedError,
}


class RolloutOperator(DrivingOperator):
    """Base of the operators that bring an artifact into an EAS service group.

    :param group: service group, 3 to 63 lowercase letters, digits and underscores. (templated)
    :param plan: further fields of `canary.plan.RolloutPlan`: durations, limits, patience. (templated)
    :param probe: golden requests: `{"requests": <oss:// address of JSON lines, or a list>, "path", "min_correct",
        "timeout", "tolerance"}`; each line `{"path", "method", "json", "status", "expect"}`. (templated)
    :param metrics: source of the counts, `{"kind": "cloudmonitor", "period": 60, …}`, kinds `sql` and `callable`, or a
        list: the first counts, the others add values for the plan's `checks`. (templated)
    :param allow_backfill: deploy from a backfill run, too.
    :param allow_older: deploy over a model with a later data interval, too.
    :param skip_analysis: for an emergency, why nobody is to judge the candidate: once every instance is ready and the
        golden requests are answered it gets all traffic at once, whatever `steps` say; the reason stands in the
        ledger. Empty: it is judged. (templated)
    :param plan_only: log what would be done, create nothing, and end as skipped. (templated)
    :param approval_task_id: a task of this run, not upstream of this one, that must have succeeded before the rise to
        100 %; if it is skipped or fails, the candidate is rolled back. It is judged while it waits. Airflow 3.1+.
    """

    operator_extra_links = (EasServiceLink(), EasRolloutLink())
    template_fields: Sequence[str] = (
        "group",
        "plan",
        "probe",
        "metrics",
        "skip_analysis",
        "plan_only",
    )
    steps: Sequence[int | str] | str = (100,)
    plan_defaults: Mapping[str, Any] = {}
    template_fields_renderers = {
        "plan": "json",
        "probe": "json",
        "metrics": "json",
    }

    def __init__(
        self,
        *,
        group: str,
        plan: Mapping[str, Any] | None = None,
        probe: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        allow_backfill: bool = False,
        allow_older: bool = False,
        skip_analysis: str | None = None,
        plan_only: bool | str = False,
        approval_task_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.group = group
        self.plan = plan
        self.probe = probe
        self.metrics = metrics
        self.allow_backfill = flag("allow_backfill", allow_backfill)
        self.allow_older = flag("allow_older", allow_older)
        self.skip_analysis = skip_analysis
        self.plan_only = plan_only
        self.approval_task_id = approval_task_id

    def begin(self, context: Any) -> RolloutSpec:
        """Check everything; nothing has been created yet."""
        from airflow_provider_pai.hooks.oss.home import rollout_folder
        from airflow_provider_pai.rollouts.home import check_usable
        from airflow_provider_pai.rollouts.rollout_driver import RolloutDriver

        spec = self.rollout(context)
        driver = RolloutDriver(spec, self.hook, self.log)
        if flag("plan_only", self.plan_only):
            self.log.info("Service JSON:\n%s", hidden(json.dumps(spec.config, indent=2), spec.config))
            self.skip(f"plan only\n{driver.preview()}")
        self._driver = driver
        home = driver.home
        check_usable(self.hook, home, spec.goal.group)
        EasServiceLink.persist(context, self.hook.console_url(spec.goal.service))
        state = rollout_folder(home, spec.goal.group)
        EasRolloutLink.persist(context, self.oss.console_url(state))
        return spec

    def look(self, spec: RolloutSpec) -> Json | None:
        """Go on until there is something to wait for: what ends at once need not be deferred."""
        from airflow_provider_pai.rollouts.driver import begin

        assert self._driver is not None
        return begin(self._driver, self.log).end

    def trigger(self, context: Any, spec: RolloutSpec) -> CanaryTrigger:
        """Return what goes on with the rollout."""
        task = self.identity(context).origin
        return CanaryTrigger(hook_arguments=self.hook_arguments, rollout=spec.to_dict(), task=task)

    def under_way(self, context: Any) -> RolloutSpec:
        """Return the rollout where its trigger failed, as in an older version's triggerer: services know how far."""
        return self.begin(context)

    def give_up(self, why: str) -> None:
        """Take the candidate's traffic away."""
        from airflow_provider_pai.rollouts.rollout_driver import RolloutDriver

        if self._resumed is not None and self._driver is None:
            self._driver = RolloutDriver(self.rollout(self._resumed), self.hook, self.log)
        super().give_up(why)

    def leave(self, context: Any, error: BaseException) -> None:
        """Take the candidate out, since no later try will go on with the rollout.

        :raises RolloutStuckError: it could not be taken out.
        """
        try:
            super().leave(context, error)
        except PaiApiError as stuck:
            text = f"a candidate of group {self.group} may still have traffic, and nobody goes on with its rollout"
            raise RolloutStuckError(f"{text}: {stuck}") from None

    def rollout(self, context: Any) -> RolloutSpec:
        """Return the checked rollout; nothing has been created yet.

        :raises PaiConfigError: naming field, value and what is allowed.
        :raises PaiArtifactError: the artifact has no valid manifest, or is not the one that was meant.
        """
        from airflow_provider_pai.rollouts.request import RolloutRequest

        self.check()
        return RolloutRequest.of(self).spec(self, self.identity(context), backfill=is_backfill(context))

    def finish(self, context: Any, end: Json) -> Json:
        """Turn a rollout's end into the task's: the one end of every path.

        :raises AirflowSkipException: the artifact must not deploy now.
        :raises RolloutRolledBackError: it was bad.
        :raises RolloutStoppedError: a person is needed.
        :raises PaiTimeoutError: it was not ready, or not reached, in time; a later try begins anew.
        """
        from airflow_provider_pai.rollouts.summary import below, summary

        log_tail, usage = end.get("log_tail", ""), end.get("usage")
        end = {name: value for name, value in end.items() if name not in ("log_tail", "usage")}
        self.record_overlap(context, usage, end["version"] or "")
        if end["outcome"] not in ("timed_out", "unchanged"):
            self._record(context, end)
        Stats.incr("pai.canary.ended", tags={"outcome": end["outcome"]})
        if page := end["service"] or end["previous"]:
            EasServiceLink.persist(context, self.hook.console_url(page))
        return self.ended(context, end, _ERRORS[end["outcome"]], summary(end), below(end, log_tail))

    def check(self) -> None:
        """Refuse what this kind of rollout does not take."""

    def _record(self, context: Any, end: Json) -> None:
        """Write a row for each step and one for the end; both bear the task's cycle, so that a retry adds none."""
        identity = self.identity(context)
        person = triggered_by(context)
        group, model = end["group"], ServedModel(version=end["version"], digest=end["digest"])
        record = partial(self.record, subject=group, identity=identity, model=model, beside=self.artifact_uri)
        for number, step in enumerate(end["steps"]):
            record("deployment_step", payload={**person, **step, "service": end["service"]}, number=number)
        record(end["outcome"], payload={**person, **end})
