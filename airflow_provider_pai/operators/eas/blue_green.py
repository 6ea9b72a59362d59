"""Operator that switches all traffic to a model at once, after the checks, and back at once."""

from __future__ import annotations

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import mapping
from airflow_provider_pai.operators.eas.rollout import RolloutOperator


class EasBlueGreenDeployOperator(RolloutOperator):
    """Bring an artifact into an EAS service group by switching all its traffic at once, after the checks.

    The new service (green) takes no request before every instance is ready and the golden requests, here required, are
    answered as expected; then the group's whole traffic goes to it, while the old one (blue) stays up. It is judged at
    100 % as a canary is at its last step, and for the plan's `bake` after that; where it is bad, or where
    `max_duration` passes and nothing can be told, the traffic goes back at once.

    API: CreateService, ReleaseService, UpdateGroup.

    :returns: as `EasCanaryDeployOperator`, which also tells how it fails and skips.
    """

    about = "Switch group {group} to {artifact}"

    plan_defaults = {"on_inconclusive": "rollback"}

    def check(self) -> None:
        """Ask for golden requests: nothing else is checked before the switch."""
        if not mapping("probe", self.probe):
            raise PaiConfigError("probe", self.probe, "golden requests: nothing else is checked before the switch")
