"""Candidates of canary rollouts as jobs: found by their labels, and taken out when their task is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from airflow_provider_pai.canary.goal import Goal
from airflow_provider_pai.canary.group import Progress
from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.exceptions import PaiNotFoundError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.eas.calls import labels_of
from airflow_provider_pai.labels import Key
from airflow_provider_pai.remote import RemoteJob
from airflow_provider_pai.rollouts.changes import WITHDRAWABLE, withdraw_candidate
from airflow_provider_pai.states import EAS_CANDIDATE, States

# Half of it is for requests in flight.
_SECONDS = 60.0


class EasCandidateHook(EasHook):
    """Candidates before their promotion: one that is in it serves people, and the group's next rollout ends it.

    A candidate has no room for a label with the deployment: who looks for orphans tells by the hash of its task.
    """

    states: ClassVar[States] = EAS_CANDIDATE

    def tagged(self, tags: Mapping[str, str]) -> list[RemoteJob]:
        """Return the candidates that bear these labels, the deployment's aside."""
        wanted = {name: value for name, value in tags.items() if name != Key.DEPLOYMENT}
        names = {
            service["ServiceName"]
            for phase in sorted(WITHDRAWABLE)
            for service in self.list_services(label={Key.PHASE: phase.value, **wanted})
        }
        # A list may be behind: what was a candidate may have been promoted.
        candidates = [job for job in map(self.get, sorted(names)) if job.tags.get(Key.PHASE) in WITHDRAWABLE]
        return [job._replace(tags={**job.tags, Key.GENERATION: "1"}) for job in candidates]

    def request_stop(self, job_id: str) -> None:
        """Take a candidate out of its group's traffic, then stop it; one that is gone is no error."""
        try:
            service = self.describe(job_id)
        except PaiNotFoundError:
            return
        progress = Progress.of(labels_of(service))
        if progress is None:
            return
        goal = Goal(
            group=service["ServiceGroup"],
            service=job_id,
            version=progress.version,
            digest=progress.digest,
            task=progress.task,
            cycle=progress.cycle,
        )
        withdraw_candidate(self, goal, RolloutPlan(), "nobody goes on with its rollout", _SECONDS)
