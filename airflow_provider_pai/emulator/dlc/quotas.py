"""Resource quotas with limited room, and the queue of jobs that wait for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_pai.emulator.dlc.job import Job
from airflow_provider_pai.emulator.ecs import demand

LIMITS = ("pods", "cpu", "gpu", "memory")


class Quotas:
    """Room by quota id: what is limited, who holds it, who waits for it.

    First in, first out, as the page "Scheduling policies" describes it: the job of the highest priority, then the
    oldest, goes first, and one that does not fit is not skipped. The public pool and quotas without limits take
    every job at once. Whether a job that is larger than its quota waits for ever is a switch of the world.
    """

    def __init__(self, limits: Mapping[str, Mapping[str, float]]) -> None:
        self._limits: dict[str, dict[str, float]] = {}
        self._waiting: dict[Job, asyncio.Event] = {}
        self._holding: set[Job] = set()
        self.set(limits)

    def set(self, limits: Mapping[str, Mapping[str, float]]) -> None:
        """Set the limits of some quotas; what runs goes on, what waits may get room.

        :raises ValueError: a limit is not one of `LIMITS`, or no number.
        """
        self._limits |= {quota: checked_limits(quota, numbers) for quota, numbers in limits.items()}
        self.admit()

    def lift(self) -> None:
        """Lift every limit."""
        self._limits.clear()
        self.admit()

    @contextlib.asynccontextmanager
    async def room(self, job: Job) -> AsyncIterator[None]:
        """Wait until the job's quota has room for all its pods, and hold it."""
        turn = self._waiting[job] = asyncio.Event()
        self.admit()
        try:
            await turn.wait()
            yield
        finally:
            self._waiting.pop(job, None)
            self._holding.discard(job)
            self.admit()

    def admit(self) -> None:
        """Give room to the jobs whose turn it is; called whenever anything has changed."""
        blocked: set[str] = set()
        for job in self._queue():
            quota = _quota_of(job)
            if quota not in blocked and self._fits(quota, job):
                self._holding.add(job)
                self._waiting.pop(job).set()
            else:
                blocked.add(quota)

    def describe(self) -> dict[str, Any]:
        """Return limits, use and queue of each quota that has limits."""
        return {
            quota: {
                "limits": limits,
                "used": _demand(self._holders(quota)),
                "waiting": [job.id for job in self._queue() if _quota_of(job) == quota],
            }
            for quota, limits in self._limits.items()
        }

    def _queue(self) -> list[Job]:
        return sorted(self._waiting, key=lambda job: (-job.request["Priority"], job.document["CreatedAt"]))

    def _holders(self, quota: str) -> list[Job]:
        return [job for job in self._holding if _quota_of(job) == quota]

    def could_fit(self, job: Job) -> bool:
        """Tell whether a job's quota has room for it where nothing else is."""
        return self._within(_quota_of(job), [job])

    def _fits(self, quota: str, job: Job) -> bool:
        return self._within(quota, [*self._holders(quota), job])

    def _within(self, quota: str, jobs: Sequence[Job]) -> bool:
        demand = _demand(jobs)
        return all(demand[name] <= limit for name, limit in self._limits.get(quota, {}).items())


def _quota_of(job: Job) -> str:
    return job.request.get("ResourceId") or ""


def _demand(jobs: Iterable[Job]) -> dict[str, float]:
    return demand(spec for job in jobs for spec in job.request["JobSpecs"])


def checked_limits(quota: str, limits: Any) -> dict[str, float]:
    """Return the limits of a quota if they make sense.

    :raises ValueError: one is not among `LIMITS`, or no number.
    :raises TypeError: they are no mapping.
    """
    if not isinstance(limits, Mapping):
        raise TypeError(f"{quota}: {limits!r} does not map limits to numbers")
    for name, limit in limits.items():
        if name not in LIMITS:
            raise ValueError(f"{quota}: {name!r} is not one of {', '.join(LIMITS)}")
        if isinstance(limit, bool) or not isinstance(limit, int | float) or limit < 0:
            raise ValueError(f"{quota}: {name} must be a number, not {limit!r}")
    return dict(limits)
