"""Fence around the changes of a group: none after its lease is lost, and one that was on its way then is taken back.

A process may freeze between its last look at the lease and the moment at which its call arrives, for as long as others
need to take the lease and go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_pai.canary.group import Group, Phase
from airflow_provider_pai.canary.weights import carriers, weights_for
from airflow_provider_pai.exceptions import PaiTransientError
from airflow_provider_pai.rollouts.lease import Lease, LeaseLostError

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas import EasHook

_OUT = frozenset({Phase.WITHDRAWN, Phase.ROLLED_BACK, Phase.RETIRING, Phase.RETIRED})


class Fence:
    """The lease's number, read before and after each call that changes the group.

    :param steps: percent of the traffic at each step of the rollout that the lease is for.
    """

    def __init__(self, lease: Lease, eas: EasHook, group: str, steps: Sequence[int] = ()) -> None:
        self._lease = lease
        self._eas = eas
        self._group = group
        self._steps = steps

    @contextmanager
    def around(self, *services: str, labels: bool = False) -> Iterator[None]:
        """Let a change of these services out only while the lease is ours.

        :param labels: it writes theirs, too.
        :raises LeaseLostError: it is not, or is not any more: what came late is taken back.
        """
        self._lease.check()
        try:
            yield
        except PaiTransientError:
            self._check_late(services, labels)  # it may have been carried out
            raise
        self._check_late(services, labels)

    def _check_late(self, services: tuple[str, ...], labels: bool) -> None:
        try:
            self._lease.check()
        except LeaseLostError:
            holder = self._lease.holder()
            if labels:
                self._restore_labels(services)
            # Another process of this rollout would take a share that it has not set for a person's.
            steps = self._steps if holder is not None and holder.key == self._lease.own.key else ()
            for service in services:
                self._restore_traffic(service, steps)
            raise

    def _restore_labels(self, services: tuple[str, ...]) -> None:
        """Write what the holder knew at its last look over what came late."""
        for member in self._shown(*services).members:
            kept = self._lease.memory.get(member.name)
            if member.name in services and kept is not None and kept.created == member.created:
                self._eas.log.warning("%s: labels that came after the lease was lost are taken back", member.name)
                self._eas.label(member.name, {**member.labels, **kept.labels})

    def _restore_traffic(self, service: str, steps: Sequence[int]) -> None:
        """Give a service the traffic that the holder has given it, as the labels tell."""
        group = self._shown(service)
        member = group.member(service)
        progress = member.progress if member else None
        if member is None or progress is None:
            return
        others = [one.name for one in carriers(group) if one.name != service]
        weights, now = _weights(group, service, steps), member.weight if member.grouping else 0
        if weights and now not in weights:
            self._release(service, weights[0])
        elif progress.phase in _OUT and now and others:
            self._release(service, 0)
        elif progress.phase is Phase.PROMOTED and not others and now != 100:
            self._release(service, 100)

    def _shown(self, *services: str) -> Group:
        return self._eas.group(self._group, *services, *self._lease.memory)

    def _release(self, service: str, weight: int) -> None:
        self._eas.log.warning("%s: traffic that was moved after the lease was lost is taken back", service)
        self._eas.release(service, weight=weight, grouping=weight > 0)


def _weights(group: Group, service: str, steps: Sequence[int]) -> list[int]:
    """Return the weights that a service may have in the step under way; while it is reached, the one before first."""
    for member in group.members:
        progress = member.progress
        if steps and progress and progress.phase is Phase.STEP and service in (member.name, progress.stable):
            first = progress.step - (progress.since is None)
            percents = [steps[min(step, len(steps) - 1)] for step in range(max(0, first), progress.step + 1)]
            both = [weights_for(percent) for percent in percents]
            return [weights.candidate if service == member.name else weights.stable for weights in both]
    return []
