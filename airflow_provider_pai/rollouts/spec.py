"""Spec of a rollout, as it travels from the worker to the triggerer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_pai.canary.goal import Goal
from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.metrics.base import Declaration
from airflow_provider_pai.remote import Json
from airflow_provider_pai.rollouts.lease import Holder


@dataclass(frozen=True, kw_only=True)
class RolloutSpec:
    """A rollout as it travels to the triggerer: JSON primitives, no secrets.

    :param config: service JSON of the candidate.
    :param metrics: declaration of the metrics source.
    :param probe: declaration of the golden requests, or None.
    :param artifact: address of the artifact.
    :param deadline: ISO 8601, when the rollout is to be ended; None: never.
    """

    plan: RolloutPlan
    goal: Goal
    config: Mapping[str, Any]
    metrics: Declaration
    probe: Mapping[str, Any] | None
    artifact: str
    holder: Holder
    deadline: str | None = None

    def to_dict(self) -> Json:
        """Return plain JSON."""
        return {**asdict(self), "plan": self.plan.to_dict(), "holder": self.holder.to_dict()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> RolloutSpec:
        """Read what `to_dict` wrote."""
        parts = {
            "plan": RolloutPlan.parse(value["plan"]),
            "goal": Goal(**value["goal"]),
            "holder": Holder.from_dict(value["holder"]),
        }
        return cls(**{**value, **parts})
