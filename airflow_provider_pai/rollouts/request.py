"""Requests of rollouts and shadow runs: the arguments of an operator, read and checked before anything is created."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self

from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_1_PLUS

from airflow_provider_pai.artifact import ModelArtifact
from airflow_provider_pai.canary.goal import Goal
from airflow_provider_pai.canary.group import check_group_name, most_labels, service_name
from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.inputs import (
    json_list,
    mapping,
    one_of,
    optional,
    seconds,
    text,
    whole_number,
)
from airflow_provider_pai.labels import Key, Shadow, artifact_labels, checked_labels
from airflow_provider_pai.metrics.base import check_names, make_source
from airflow_provider_pai.metrics.golden_requests import make_probe
from airflow_provider_pai.remote import Json
from airflow_provider_pai.rollouts.history import serving_member
from airflow_provider_pai.rollouts.lease import Holder
from airflow_provider_pai.rollouts.shadow_driver import ShadowSpec
from airflow_provider_pai.rollouts.shadows import NAME
from airflow_provider_pai.rollouts.spec import RolloutSpec
from airflow_provider_pai.versions import utc_text

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas import EasHook

_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    # A text stays as it is: whether it names a group, and whether there must be one, is for the request to say.
    "group": lambda name, value: value if isinstance(value, str) else optional(name, value, "a service group"),
    "metrics": lambda name, value: None if value is None else json_list(name, value, "a source, or a list of them"),
    "probe": lambda name, value: mapping(name, value) or None,
    "source": partial(optional, allowed="a service"),
}
ON_INCONCLUSIVE = ("fail", "pass")
_DEFAULT_METRICS: list[Json] = [{"kind": "cloudmonitor"}]


class Operator(Protocol):
    """What a request asks of the operator whose arguments it has."""

    @property
    def hook(self) -> EasHook:
        """Return the hook."""
        ...

    def given_artifact(self) -> Mapping[str, Any] | str | None:
        """Return the artifact as the DAG gives it; None: it gives none."""
        ...

    def verified_artifact(self) -> ModelArtifact:
        """Return the artifact as its manifest has it."""
        ...

    def service_json(self, name: str, group: str | None, artifact_uri: str | None) -> Json:
        """Return the whole service JSON."""
        ...


@dataclass(frozen=True, kw_only=True)
class Request:
    """Arguments of an operator, of the same names, as its templates were rendered."""

    group: Any
    plan: Any
    probe: Any
    metrics: Any
    execution_timeout: timedelta | None

    @classmethod
    def of(cls, operator: Any) -> Self:
        """Take the arguments of an operator."""
        values = {field.name: getattr(operator, field.name) for field in fields(cls)}
        return cls(
            **{name: _READERS[name](name, value) if name in _READERS else value for name, value in values.items()}
        )

    def checked_metrics(self, eas: EasHook, plan: RolloutPlan) -> Any:
        """Return the declaration of the metrics source, which gives what the plan's checks ask for."""
        metrics = _DEFAULT_METRICS if self.metrics is None else self.metrics
        check_names(make_source(metrics, eas), plan.checks)
        if self.probe:
            make_probe(self.probe, eas.sibling(OssHook))
        return metrics


@dataclass(frozen=True, kw_only=True)
class RolloutRequest(Request):
    """What a rollout is asked for."""

    steps: Any
    plan_defaults: Mapping[str, Any]
    skip_analysis: Any
    approval_task_id: str | None
    allow_backfill: bool
    allow_older: bool

    def spec(self, operator: Operator, identity: TaskIdentity, *, backfill: bool) -> RolloutSpec:
        """Return the rollout.

        :raises PaiConfigError: naming field, value and what is allowed.
        :raises PaiArtifactError: the artifact has no valid manifest, or is not the one that was meant.
        """
        plan, group = self.checked_plan(), check_group_name("group", self.group)
        model = operator.verified_artifact()
        name = service_name(group, model.version)
        config = operator.service_json(name, group, model.uri)
        own = {*most_labels(len(plan.steps)), *identity.name.labels(), Key.STATE}
        checked_labels("service['labels']", config.get("labels"), own)
        goal = Goal(
            group=group,
            service=name,
            version=model.version,
            digest=model.digest,
            interval_end=utc_text(model.interval_end),
            task=identity.task,
            cycle=identity.cycle,
            try_number=identity.try_number,
            backfill=backfill,
            allow_backfill=self.allow_backfill,
            allow_older=self.allow_older,
            smoke=bool(self.probe),
            skip_analysis=self.unjudged(),
            approval=self.approval(identity),
            # A rollout's own labels leave room for little more than these four.
            labels=identity.name.labels(),
        )
        return RolloutSpec(
            plan=plan,
            goal=goal,
            metrics=self.checked_metrics(operator.hook, plan),
            config=config,
            probe=self.probe,
            artifact=model.uri,
            holder=Holder.of(identity),
            deadline=operator.hook.in_service_time(
                identity.deadline(_without_drain(self.execution_timeout, plan.drain))
            ),
        )

    def checked_plan(self) -> RolloutPlan:
        """Return the plan; that of a candidate that nobody judges has one step."""
        plan_fields = mapping("plan", self.plan)
        if "steps" in plan_fields:
            raise PaiConfigError("plan", "steps", "a field of its own: steps")
        plan = RolloutPlan.parse({**self.plan_defaults, **plan_fields, "steps": self.steps})
        return replace(plan, steps=(100,), bake=0.0) if self.unjudged() else plan

    def unjudged(self) -> str:
        """Return why nobody is to judge the candidate; a template that renders to nothing is no reason."""
        allowed = "the reason in words, or none"
        reason = "" if self.skip_analysis is None else text("skip_analysis", self.skip_analysis, allowed).strip()
        if reason.lower() in ("true", "false"):
            raise PaiConfigError("skip_analysis", self.skip_analysis, allowed)
        return "" if reason == "None" else reason

    def approval(self, identity: TaskIdentity) -> str:
        """Return the task that lets the candidate rise to 100 %; empty: nobody is asked."""
        task_id = self.approval_task_id
        if task_id and not AIRFLOW_V_3_1_PLUS:
            raise PaiConfigError("approval_task_id", task_id, "none before Airflow 3.1: there nobody can be asked")
        if task_id == identity.task_id:
            raise PaiConfigError("approval_task_id", task_id, "another task of this run")
        return task_id or ""


@dataclass(frozen=True, kw_only=True)
class ShadowRequest(Request):
    """What a shadow run is asked for."""

    source: Any
    ratio: Any
    duration: Any
    requests_are_idempotent: bool
    on_inconclusive: Any

    def spec(self, operator: Operator, identity: TaskIdentity) -> ShadowSpec:
        """Return the run.

        :raises PaiConfigError: naming field, value and what is allowed.
        :raises PaiArtifactError: the artifact has no valid manifest.
        """
        self.check()
        plan = RolloutPlan.parse({**mapping("plan", self.plan), "steps": [100]})
        has_artifact = operator.given_artifact() is not None
        given = operator.service_json("unknown", None, "oss://unknown/" if has_artifact else None)
        model = operator.verified_artifact() if has_artifact else None
        own = {**identity.tags(1), **artifact_labels(model), **Shadow(source="").labels()}
        checked_labels("service['labels']", given.get("labels"), own)
        hook = operator.hook
        metrics, source = self.checked_metrics(hook, plan), self.copied_service(hook)
        name = f"{source[:46]}{NAME}{identity.task[:8]}"
        return ShadowSpec(
            source=source,
            shadow=name,
            config=operator.service_json(name, None, model.uri if model else None),
            labels={**own, **Shadow(source=source).labels()},
            owner=identity.owner.labels(),
            ratio=whole_number("ratio", self.ratio),
            duration=seconds("duration", self.duration),
            plan=plan.to_dict(),
            metrics=metrics,
            probe=self.probe,
            begun=hook.service_clock.utc().isoformat(),
            deadline=hook.in_service_time(identity.deadline(self.execution_timeout)),
        )

    def check(self) -> None:
        """Refuse what needs no look at a service."""
        if self.requests_are_idempotent is not True:
            allowed = "True: copies are worked on twice"
            raise PaiConfigError("requests_are_idempotent", self.requests_are_idempotent, allowed)
        if bool(self.source) == bool(self.group):
            raise PaiConfigError("source", self.source, "either a service or a group")
        check_group_name("source" if self.source else "group", self.source or self.group)
        whole_number("ratio", self.ratio, least=1, most=100)
        one_of("on_inconclusive", self.on_inconclusive, ON_INCONCLUSIVE)
        seconds("duration", self.duration)

    def copied_service(self, eas: EasHook) -> str:
        """Return the service whose requests are copied."""
        if self.source:
            eas.describe(self.source)
            return str(self.source)
        serving = serving_member(eas.group(str(self.group)))
        if serving is None:
            raise PaiConfigError("group", self.group, "a group in which a service serves")
        return serving.name


def _without_drain(timeout: timedelta | None, drain: float) -> timedelta | None:
    """Return the time that a rollout has: the candidate must have drained before the task's own time is over."""
    return None if timeout is None else timeout - min(timedelta(seconds=drain), timeout / 4)
